"""Summaries of the log, written once for each full zone of it: what came in each five minutes, value by value."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator

from gatepost.agent.core.clock import US
from gatepost.agent.store.boot_clock import BootClock
from gatepost.agent.store.curves.buckets import BucketTable, columns
from gatepost.agent.store.delivery.positions import NORMAL
from gatepost.agent.store.model import IN_STEP, Record
from gatepost.agent.store.queries import StoreQueries
from gatepost.agent.store.ranges import FOREVER
from gatepost.agent.store.series import SeriesBook
from gatepost.agent.store.writer import StoreWriter
from gatepost.agent.store.zone_map import ZONE_ROWS

log = logging.getLogger(__name__)

STEP, COARSE_STEP = 300, 1800  # seconds of a bucket; the coarse ones where fine ones would hardly be fewer than rows
DENSE = {STEP: 8, COARSE_STEP: 4}  # rows that a bucket must stand for; a zone without such ones has no summary: step 0
IDLE_SHARE = 4.0  # so many times as long as a zone took, the next one waits


class SummaryWriter:
    """Writer of summaries, behind the log and never in its way: what is not summarised yet is read row by row."""

    def __init__(
        self,
        queries: StoreQueries,
        writer: StoreWriter,
        boots: BootClock,
        book: SeriesBook,
        may_write: Callable[[], bool],
    ) -> None:
        self._database = queries.database
        self._queries = queries
        self._writer = writer
        self._boots = boots
        self._book = book
        self._may_write = may_write
        self._zone = writer.head // ZONE_ROWS
        self._due = asyncio.Event()

    def grown(self, head: int) -> None:
        if head // ZONE_ROWS != self._zone:
            self._zone = head // ZONE_ROWS
            self._due.set()

    def wake(self) -> None:
        """Rows were deleted, or times are others now."""
        self._due.set()

    async def run(self) -> None:
        """The task. A summary that cannot be written is tried again when the next zone is full."""
        while True:
            self._due.clear()
            try:
                await self.catch_up()
            except sqlite3.Error as error:  # nothing is lost by it: no reading makes room for a summary
                log.info("the summaries of the log could not be written: %s", error)
            await self._due.wait()

    async def catch_up(self) -> None:
        """Until every full zone has its summary, and no deleted one."""
        loop = asyncio.get_running_loop()
        if self._database.read_only or not self._may_write():
            return
        await self._drop_unsure()
        await self._drop_deleted()
        while self._may_write() and (zone := await self._next()) is not None:
            began = loop.time()
            await self._summarise(zone)
            await asyncio.sleep(IDLE_SHARE * (loop.time() - began))

    async def _next(self) -> int | None:
        _, top = (await self._database.read("summary_span"))[0]
        lo = 0 if top is None else (top + 1) * ZONE_ROWS
        first = (await self._database.read("reading_from", (lo,)))[0][0]
        if first is None or self._queries.zones.bounds(first)[1] > self._writer.head + 1:
            return None
        return int(first // ZONE_ROWS)

    async def _summarise(self, zone: int) -> None:
        table = BucketTable[tuple[int, str]](STEP)
        lo, hi = zone * ZONE_ROWS, (zone + 1) * ZONE_ROWS
        first, last, rows, unsure = FOREVER, 0, 0, None
        while lo < hi:
            records, hi = await self._queries.stretch(lo, hi)
            groups: defaultdict[tuple[int, int], list[Record]] = defaultdict(list)
            for record in records:
                groups[record.series, record.bits & IN_STEP].append(record)
            for (series, _), group in groups.items():
                walls, boot = self._times(group)
                unsure = boot if unsure is None else unsure
                first, last, rows = min(first, *walls), max(last, *walls), rows + len(group)
                for bucket, part in _by_bucket(walls, group):
                    bodies, seqs = [record.body for record in part], [record.seq for record in part]
                    for name, values, seq in columns(bodies, seqs):
                        table.add_all((series, name), bucket, values, seq)
            await asyncio.sleep(0)
        if table.size * DENSE[STEP] > rows:
            table = table.coarser(COARSE_STEP)
            if table.size * DENSE[COARSE_STEP] > rows:
                table = BucketTable(0)
        cells = [
            (zone, series, name, start, *cell.row())
            for (series, name), curve in table.curves.items()
            for start, cell in curve.items()
        ]
        async with self._database.transaction() as run:
            run.many("summary_put", cells)
            run.later("summary_zone_put", (zone, table.step, min(first, last) // US, last // US, unsure))

    def _times(self, group: list[Record]) -> tuple[list[int], int | None]:
        """Wall microseconds of records of one series and trust, and the boot that may tell others later."""
        if group[0].bits & IN_STEP:
            return [record.wall for record in group], None
        boot = self._book.get(group[0].series).boot
        shift = self._boots.shift(boot)
        if shift is None:
            return [record.wall for record in group], boot
        return [record.mono + shift for record in group], None

    async def _drop_unsure(self) -> None:
        """Zones with a boot whose clock is in step by now are made again, and all after them."""
        rows = await self._database.read("summary_unsure")
        wrong = [zone for boot, zone in rows if self._boots.shift(boot) is not None]
        if wrong:
            await self._drop(min(wrong), FOREVER)

    async def _drop_deleted(self) -> None:
        """What was deleted when it was old enough is in no summary either."""
        oldest = await self._queries.page(NORMAL, 0, FOREVER, 1)
        bottom, _ = (await self._database.read("summary_span"))[0]
        if not oldest or bottom is None or bottom > oldest[0].seq // ZONE_ROWS:
            return
        (wall,), _ = self._times(oldest[:1])
        zone = oldest[0].seq // ZONE_ROWS
        await self._drop(0, zone)
        await self._database.write("summary_drop_old", (zone, wall // US - COARSE_STEP))

    async def _drop(self, lo: int, hi: int) -> None:
        async with self._database.transaction() as run:
            run.later("summary_drop", (lo, hi))
            run.later("summary_zone_drop", (lo, hi))


def _by_bucket(walls: list[int], group: list[Record]) -> Iterator[tuple[int, list[Record]]]:
    """Records by the start of their bucket, in seconds: nearly always one."""
    width = STEP * US
    if min(walls) // width == max(walls) // width:
        yield walls[0] // width * STEP, group
        return
    parts: defaultdict[int, list[Record]] = defaultdict(list)
    for wall, record in zip(walls, group, strict=True):
        parts[wall // width * STEP].append(record)
    yield from parts.items()
