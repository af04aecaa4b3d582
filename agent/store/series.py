"""Series numbers: what repeats from reading to reading is written once, the first time it is seen."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Any

import orjson

from gatepost.agent.store.database import Database
from gatepost.agent.store.model import Series, lost_series, series_from

log = logging.getLogger(__name__)

MAX_EARLIER = 5000  # series of earlier boots held in memory while a backlog is read
MAX_CURRENT = 10_000  # series of this boot that are found again; the oldest beyond them get a new number


class SeriesBook:
    """Series numbers for (device, patient, common) in this boot; earlier boots' series are read when needed.

    A number is made of what it stands for: where damage mixes a log with an older copy of it, no reading becomes one of
    another device.
    """

    def __init__(self, boot: int, known: Iterable[Series], on_new: Callable[[Series], None]) -> None:
        self._boot = boot
        self._by_number: dict[int, Series] = {}
        self._numbers: dict[tuple[str, str | None, bytes], int] = {}
        self._on_new = on_new
        for series in known:
            self._keep(series)

    def number(self, device: str, patient: str | None, common: dict[str, object]) -> int:
        """The number of this series; a new one is written with the next commit."""
        body = orjson.dumps(common)
        found = self._numbers.get((device, patient, body))
        if found is not None:
            return found
        series = self._numbered(device, patient, b"%b" % body)  # exact size: orjson's holds on to kilobytes
        if len(self._numbers) >= MAX_CURRENT:
            del self._numbers[next(iter(self._numbers))]
        self._keep(series)
        self._on_new(series)
        return series.number

    def _numbered(self, device: str, patient: str | None, common: bytes) -> Series:
        parts = (str(self._boot), device, "" if patient is None else f"of {patient}", common.decode())
        content = "\x1f".join(parts).encode("utf-8", "surrogatepass")
        number = int.from_bytes(blake2b(content, digest_size=6).digest()) >> 1 or 1  # 6 octets of a row
        while (other := self._by_number.get(number)) is not None and other.boot:
            number += 1  # two of a hundred trillion
        return Series(number, self._boot, device, patient, common)

    def get(self, number: int) -> Series:
        """KeyError when it was not loaded: see `load`."""
        return self._by_number[number]

    def known(self) -> list[Series]:
        """What memory holds, and can vouch for."""
        return [series for series in self._by_number.values() if series.boot]

    def unknown(self, numbers: Iterable[int]) -> list[int]:
        return sorted(set(numbers) - self._by_number.keys())

    async def load(self, database: Database, numbers: Iterable[int]) -> None:
        """Have all of these in memory when it returns. One that is gone is replaced: its readings stay."""
        wanted = set(numbers)
        while missing := self.unknown(wanted):  # again, where another page made way for its own meanwhile
            rows = await database.read("series_some", (orjson.dumps(missing).decode(),))
            self._make_way(wanted)
            found = {series.number: series for series in whole_series(rows)}
            for number in missing:
                series = found.get(number)
                if series is None:
                    log.error("series %d cannot be read; its readings are marked", number)
                    series = lost_series(number)
                self._by_number[number] = series

    def _make_way(self, wanted: set[int]) -> None:
        if len(self._by_number) > MAX_EARLIER + len(self._numbers):
            keep = wanted | set(self._numbers.values())
            self._by_number = {number: series for number, series in self._by_number.items() if number in keep}

    def _keep(self, series: Series) -> None:
        self._by_number[series.number] = series
        if series.boot == self._boot:
            self._numbers[series.device, series.patient, series.common] = series.number


def whole_series(rows: Iterable[tuple[Any, ...]]) -> list[Series]:
    """Those rows of series_load or series_some that pass their checksum."""
    return [series for series in map(series_from, rows) if series is not None]
