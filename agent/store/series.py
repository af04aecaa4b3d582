"""Series numbers: what repeats from reading to reading is written once, the first time it is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import orjson

from agent.store.database import Database
from agent.store.rows import Series

KEPT = 5000  # series of earlier boots held in memory while a backlog is read


class SeriesBook:
    """Numbers for (device, patient, common) in this boot; earlier boots' series are read when a page needs them."""

    def __init__(self, boot: int, top: int, known: Iterable[Series], on_new: Callable[[Series], None]) -> None:
        self._boot = boot
        self._next = top + 1
        self._by_number: dict[int, Series] = {}
        self._numbers: dict[tuple[str, str | None, bytes], int] = {}
        self._on_new = on_new
        for series in known:
            self._keep(series)

    def number(self, device: str, patient: str | None, common: dict[str, object]) -> int:
        body = orjson.dumps(common)
        found = self._numbers.get((device, patient, body))
        if found is not None:
            return found
        series = Series(self._next, self._boot, device, patient, body)
        self._next += 1
        self._keep(series)
        self._on_new(series)
        return series.number

    def get(self, number: int) -> Series:
        """KeyError when it was not loaded: see `load`."""
        return self._by_number[number]

    def current(self) -> list[Series]:
        """The series of this boot."""
        return [self._by_number[number] for number in self._numbers.values()]

    def unknown(self, numbers: Iterable[int]) -> list[int]:
        return sorted(set(numbers) - self._by_number.keys())

    async def load(self, database: Database, numbers: Iterable[int]) -> None:
        """Read the series of a page that are not in memory."""
        missing = self.unknown(numbers)
        if not missing:
            return
        if len(self._by_number) > KEPT:
            current = set(self._numbers.values())
            self._by_number = {n: series for n, series in self._by_number.items() if n in current}
        for row in await database.read("series_some", (orjson.dumps(missing).decode(),)):
            series = from_row(row)
            self._by_number[series.number] = series

    def _keep(self, series: Series) -> None:
        self._by_number[series.number] = series
        if series.boot == self._boot:
            self._numbers[series.device, series.patient, series.common] = series.number


def from_row(row: tuple[Any, ...]) -> Series:
    """A row of series_load or series_some."""
    return Series(row[0], row[1], row[2], row[3], row[4].encode())
