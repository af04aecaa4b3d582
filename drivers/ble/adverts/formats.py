"""The formats of advertisements: those that are code, by the service data or company's data each is found in, and those
that are data (table/).

A format's module is loaded when its first advertisement is heard. `recognise` says what a scan has found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

from gatepost.drivers.ble.adverts.decoded_advert import AdvertSender, DecodedAdvert
from gatepost.drivers.ble.adverts.table.catalogue import TableIndex, every_format, version
from gatepost.drivers.ble.adverts.table.engine import TableFormat
from gatepost.drivers.ble.peripheral import ReceivedAdvert
from gatepost.drivers.ble.uuids import uuid

KEY_WANTED = "put its 32 hex digits here"  # no valid key, so that nobody overlooks it


class AdvertFormat(NamedTuple):
    """One place where a payload is found. `name` is the driver's option; more than one place may have the same.

    `presence`: it says who is there, and is left to itself while a sensor speaks.
    """

    name: str
    title: str
    module: str
    key: str | int  # UUID of the service data, or company id of the manufacturer data
    presence: bool = False
    fits_with: str = "fits"
    interpret_with: str = "interpret"
    seals: bool = False  # it has an encrypted form
    company: bool = False  # the decoder wants to know the company id
    named: bool = False  # the name of the device says whether it fits
    varies: bool = False  # it sends different things in turn, each repeated on its own
    idles: bool = False  # it sends payloads with nothing in them between the others

    def interpret(self, data: bytes, sender: AdvertSender) -> DecodedAdvert:
        """Decode the payload; FrameError."""
        module = load(self.module)
        more = (self.key,) if self.company else ()
        interpret: Callable[..., DecodedAdvert] = getattr(module, self.interpret_with)
        return interpret(data, sender, *more)

    def fits(self, data: bytes, name: str = "") -> bool:
        """True if it can be this format at all; says nothing of its content."""
        module = load(self.module)
        more = (*((self.key,) if self.company else ()), *((name,) if self.named else ()))
        return bool(getattr(module, self.fits_with)(data, *more))

    def variant(self, data: bytes) -> int:
        """Which of the things that it sends in turn."""
        return int(load(self.module).variant(data)) if self.varies else 0

    def is_idle(self, data: bytes) -> bool:
        """True if it is this format with nothing in it."""
        return self.idles and bool(load(self.module).is_idle(data))

    def sealed(self, data: bytes) -> bool:
        """True if this payload is encrypted."""
        return self.seals and bool(load(self.module).sealed(data))


@cache
def load(module: str) -> ModuleType:
    return import_module(f"gatepost.drivers.ble.adverts.{module}")


def _formats() -> Iterator[AdvertFormat]:
    yield AdvertFormat("bthome", "BTHome v2 sensor", "bthome", uuid(0xFCD2), seals=True, varies=True)
    yield AdvertFormat("ruuvi", "RuuviTag", "ruuvi", 0x0499)
    yield AdvertFormat("atc", "Xiaomi thermometer with custom firmware", "atc", uuid(0x181A), seals=True)
    for company in (0xEC88, 0x0001, 0x8801):
        yield AdvertFormat(
            "govee", "Govee thermometer", "govee", company, company=True, varies=company == 0x0001, named=True
        )
    yield AdvertFormat("mibeacon", "Xiaomi sensor", "mibeacon", uuid(0xFE95), seals=True, varies=True, idles=True)
    yield AdvertFormat("victron", "Victron device", "victron", 0x02E1, seals=True)
    yield AdvertFormat("mi-scale", "Mi Smart Scale", "mi_scale", uuid(0x181D))
    yield AdvertFormat(
        "mi-scale",
        "Mi Body Composition Scale",
        "mi_scale",
        uuid(0x181B),
        fits_with="fits_body",
        interpret_with="interpret_body",
    )
    yield AdvertFormat("eddystone", "Eddystone beacon", "eddystone", uuid(0xFEAA), presence=True, varies=True)
    yield AdvertFormat("ibeacon", "iBeacon", "ibeacon", 0x004C, presence=True)


FORMATS = tuple(_formats())
NAMES = tuple(dict.fromkeys(form.name for form in FORMATS))


AnyFormat = AdvertFormat | TableFormat


class AdvertPayload(NamedTuple):
    """A payload that fits a format."""

    form: AnyFormat
    data: bytes


def names() -> tuple[str, ...]:
    """Names of all formats."""
    return (*NAMES, *dict.fromkeys(form.name for form in every_format()))


class RecognisedAdvert(NamedTuple):
    """A format that a scan has found, and the options of the driver `ble-advertisement` for it."""

    format: str
    title: str
    options: dict[str, Any]


class AdvertFilter:
    """The cheap first look: adverts without a place of a wanted format cost a few dictionary walks and nothing else."""

    def __init__(self, wanted: str = "auto") -> None:
        """`wanted`: one of `names()`, or auto for all."""
        chosen = [form for form in FORMATS if wanted in ("auto", form.name)]
        self._places: dict[str | int, AdvertFormat] = {form.key: form for form in chosen}
        self._table = TableIndex(form for form in every_format() if wanted in ("auto", form.name))

    def has_place(self, advert: ReceivedAdvert) -> bool:
        """True if something stands where a wanted format is found, be it one or not."""
        return any(key in self._places for key in (*advert.service_data, *advert.manufacturer_data))

    def is_idle(self, advert: ReceivedAdvert) -> bool:
        """True if it is a wanted format with nothing in it."""
        places = ((self._places.get(service), data) for service, data in advert.service_data.items())
        return any(form is not None and form.is_idle(data) for form, data in places)

    def payloads(self, advert: ReceivedAdvert) -> list[AdvertPayload]:
        """Payloads that fit a wanted format."""
        find, name = self._places.get, advert.name
        payloads: list[AdvertPayload] = []
        for service, data in advert.service_data.items():
            if (form := find(service)) is not None and form.fits(data, name):
                payloads.append(AdvertPayload(form, data))
        for company, data in advert.manufacturer_data.items():
            if (form := find(company)) is not None and form.fits(data, name):
                payloads.append(AdvertPayload(form, data))
        payloads += [AdvertPayload(each, payload) for each, payload in self._table.find(advert)]
        return payloads


def advert_filter(wanted: str = "auto") -> AdvertFilter:
    """The filter that all sensors with this choice share; a new one once the user's formats have changed."""
    return _filter(wanted, version())


@lru_cache(maxsize=64)
def _filter(wanted: str, version: int) -> AdvertFilter:
    return AdvertFilter(wanted)


def recognise(advert: ReceivedAdvert) -> list[RecognisedAdvert]:
    """Formats that `ble-advertisement` can decode, sensors before beacons; empty for everything else."""
    fitting = advert_filter().payloads(advert)
    fitting.sort(key=lambda payload: payload.form.presence)
    recognised: dict[str, RecognisedAdvert] = {}
    for form, data in fitting:
        if form.sealed(data):
            title, options = f"{form.title}, encrypted", {"format": form.name, "key": KEY_WANTED}
        else:
            title, options = form.title, {"format": form.name}
        recognised.setdefault(form.name, RecognisedAdvert(form.name, title, options))
    return list(recognised.values())
