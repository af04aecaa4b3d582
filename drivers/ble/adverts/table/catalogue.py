"""Catalogue of the formats that are data: the built-in ones, read when they are first needed, and those of the user."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import msgspec

from gatepost.drivers.ble.adverts.table.engine import TableFormat
from gatepost.drivers.ble.adverts.table.schema import FormatSpec
from gatepost.drivers.ble.peripheral import ReceivedAdvert

DATA = Path(__file__).parent / "data"  # importlib.resources would load half a mebibyte

_users: tuple[TableFormat, ...] = ()
_changes = 0


@cache
def built_in() -> tuple[TableFormat, ...]:
    """In the order of their files and names."""
    specs: list[FormatSpec] = []
    for file in sorted(DATA.glob("*.json")):
        specs += msgspec.json.decode(file.read_bytes(), type=list[FormatSpec])
    return tuple(map(TableFormat, specs))


def use_formats(specs: Iterable[FormatSpec]) -> None:
    """The formats of the user from now on; they are asked before the built-in ones."""
    global _users, _changes
    _users = tuple(map(TableFormat, specs))
    _changes += 1


def version() -> int:
    """Grows when the formats of the user change."""
    return _changes


def every_format() -> tuple[TableFormat, ...]:
    return (*_users, *built_in())


class TableIndex:
    """Index of formats by company id and service; those without an id by the length of the payload."""

    def __init__(self, formats: Iterable[TableFormat]) -> None:
        self._companies: dict[int, list[TableFormat]] = defaultdict(list)
        self._services: dict[str, list[TableFormat]] = defaultdict(list)
        self._any_company: dict[int, list[TableFormat]] = defaultdict(list)
        for form in formats:
            for company in form.company_ids:
                self._companies[company].append(form)
            for service in form.services:
                self._services[service].append(form)
            if not form.company_ids and not form.services:
                for length in form.lengths():
                    self._any_company[length].append(form)
        self._companies, self._services = dict(self._companies), dict(self._services)
        self._any_company = dict(self._any_company)

    def find(self, advert: ReceivedAdvert) -> list[tuple[TableFormat, bytes]]:
        """Formats that match, each with its payload."""
        candidates: list[tuple[TableFormat, bytes, int | None]] = [
            (form, data, None)
            for service, data in advert.service_data.items()
            for form in self._services.get(service, ())
        ]
        for company, data in advert.manufacturer_data.items():
            forms = self._companies.get(company, ())
            others = self._any_company.get(len(data), ())
            candidates += [(form, data, company) for form in (*forms, *others)]
        matched = ((form, form.payload(data, company, advert)) for form, data, company in candidates)
        return [(form, payload) for form, payload in matched if payload is not None]
