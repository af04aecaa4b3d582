"""History of a device as curves: least, most, mean, last of each bucket of time; a month costs as much as an hour."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import orjson

from gatepost.agent.core.clock import US, Clock
from gatepost.agent.store.curves.buckets import BucketCell, BucketTable, numbers
from gatepost.agent.store.model import Record
from gatepost.agent.store.queries import SEARCH_SECONDS, StoreQueries
from gatepost.agent.store.series import SeriesBook
from gatepost.agent.store.writer import StoreWriter
from gatepost.agent.store.zone_map import ZONE_ROWS

RAW_ROWS = 50_000  # readings of the device, and zones of the log, that are looked at row by row
RAW_ZONES = 64
NICE_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
AUTO_POINTS = 400


class CurveName(NamedTuple):
    """What makes one curve: never two units in one."""

    metric: str
    name: str
    unit: str | None


class HistoryCurves(NamedTuple):
    """Curves from `since` to `until` in buckets of `step` seconds; not `complete`: older ones took too long."""

    since: int
    until: int
    step: int
    complete: bool
    curves: dict[CurveName, dict[int, BucketCell]]


class _Drawing:
    """One question while it is answered."""

    def __init__(self, series: Collection[int], names: Collection[str] | None, book: SeriesBook) -> None:
        self.series = series
        self.names = names
        self._book = book
        self._curves: dict[tuple[int, str], CurveName] = {}

    def align(self, since: int, until: int, step: int) -> None:
        self.step = step
        self.since, self.until = since // step * step, -(-until // step) * step
        self.table = BucketTable[CurveName](step)

    def curve(self, series: int, name: str) -> CurveName:
        known = self._curves.get((series, name))
        if known is None:
            common = orjson.loads(self._book.get(series).common)
            units = common.get("units") or {}
            known = self._curves[series, name] = CurveName(common.get("metric_type", ""), name, units.get(name))
        return known

    def params(self, lo: int, hi: int) -> dict[str, Any]:
        return {
            "lo": lo,
            "hi": hi,
            "since": self.since,
            "until": self.until,
            "step": self.step,
            "series": orjson.dumps(sorted(self.series)).decode(),
            "names": None if self.names is None else orjson.dumps(sorted(self.names)).decode(),
        }

    def done(self, reached: int) -> HistoryCurves:
        """All of it is there from `reached` on."""
        since = max(self.since, -(-reached // self.step) * self.step)
        curves = {
            curve: {start: cell for start, cell in sorted(cells.items()) if start >= since}
            for curve, cells in sorted(self.table.curves.items(), key=lambda item: (item[0].metric, item[0].name))
        }
        return HistoryCurves(since, self.until, self.step, since <= self.since, {k: v for k, v in curves.items() if v})


def auto_step(since: int, until: int) -> int:
    """Seconds of a bucket that make a curve of a few hundred points."""
    return next((step for step in NICE_STEPS if (until - since) / step <= AUTO_POINTS), NICE_STEPS[-1])


class HistoryReader:
    """Reader of curves: out of the summaries, and row by row what is newer or so short that it costs little."""

    def __init__(
        self,
        queries: StoreQueries,
        writer: StoreWriter,
        book: SeriesBook,
        clock: Clock,
        time_of: Callable[[Record], tuple[int, str]],
    ) -> None:
        self._queries = queries
        self._writer = writer
        self._book = book
        self._clock = clock
        self._time_of = time_of

    async def curves(
        self, device: str, metric: str | None, since: int, until: int, step: int, names: Collection[str] | None = None
    ) -> HistoryCurves | None:
        """Times in seconds since 1970; they come out at bounds of buckets, and `step` may come out coarser.

        None where nothing of the device was ever stored. Raises StoreError.
        """
        series = await self._queries.series_wanted(device, metric)
        if not series:
            return None
        drawing = _Drawing(series, names, self._book)
        drawing.align(since, until, step)
        zones = await self._queries.search("summary_zones", {"since": drawing.since, "until": drawing.until})
        dense = [(zone, fine) for zone, fine in zones if fine]
        cheap = not dense or await self._is_cheap(drawing, dense)
        if not cheap:
            coarsest = max(fine for _, fine in dense)
            drawing.align(since, until, -(-step // coarsest) * coarsest)
        rows = [(zone * ZONE_ROWS, (zone + 1) * ZONE_ROWS) for zone, fine in reversed(zones) if cheap or not fine]
        reached = await self._add_rows(drawing, [await self._tail(), *rows])
        if not cheap and reached <= drawing.since:
            await self._add_summaries(drawing, dense[0][0], dense[-1][0] + 1)
        return drawing.done(reached)

    async def _is_cheap(self, drawing: _Drawing, zones: list[tuple[Any, ...]]) -> bool:
        if drawing.step >= max(fine for _, fine in zones) or len(zones) > RAW_ZONES:
            return False
        rows = await self._queries.search("summary_rows", drawing.params(zones[0][0], zones[-1][0] + 1))
        return int(rows[0][0]) <= RAW_ROWS

    async def _tail(self) -> tuple[int, int]:
        """The numbers that have no summary yet."""
        _, top = (await self._queries.search("summary_span", ()))[0]
        return 0 if top is None else (top + 1) * ZONE_ROWS, self._writer.head + 1

    async def _add_summaries(self, drawing: _Drawing, lo: int, hi: int) -> None:
        params = drawing.params(lo, hi)
        newest = {row[:3]: row[3:] for row in await self._queries.search("summary_newest", params)}
        rows = await self._queries.search("summary_buckets", params)
        await self._queries.load_series({row[0] for row in rows})
        for series, name, bucket, count, least, most, total in rows:
            value, last = newest.get((series, name, bucket), (most, 0))
            drawing.table.add(drawing.curve(series, name), bucket, count, least, most, total, last, value)

    async def _add_rows(self, drawing: _Drawing, ranges: list[tuple[int, int]]) -> int:
        """From which second on all is in the table, ranges of numbers being the newest first."""
        give_up, reached = self._clock.monotonic() + SEARCH_SECONDS, drawing.until
        for lo, end in ranges:
            hi = end
            while lo < hi:
                if self._clock.monotonic() > give_up:
                    return reached
                zone = max(lo, self._queries.zones.bounds(hi - 1)[0])
                records, hi = await self._queries.stretch(zone, hi, drawing.series)
                for record in records:
                    second = self._time_of(record)[0] // US
                    reached = min(reached, second + 1)
                    if drawing.since <= second < drawing.until:
                        _add(drawing, record, second)
                if not records:  # numbers may have been left out
                    last = await self._queries.last(hi)
                    hi = 0 if last is None else last + 1
                await asyncio.sleep(0)
        return drawing.since


def _add(drawing: _Drawing, record: Record, second: int) -> None:
    for name, value in numbers(record.body):
        if drawing.names is None or name in drawing.names:
            curve = drawing.curve(record.series, name)
            drawing.table.add(curve, second, 1, value, value, value, record.seq, value)
