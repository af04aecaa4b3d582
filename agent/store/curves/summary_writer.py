"""Summaries of the log, written once for each full zone of it: what came in each five minutes, value by value."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence

from gatepost.agent.core.clock import US
from gatepost.agent.core.errors import StoreError
from gatepost.agent.store.boot_clock import BootClock
from gatepost.agent.store.curves.zone_summary import COARSE_STEP, NewestZone, ZoneSummary
from gatepost.agent.store.delivery.positions import NORMAL
from gatepost.agent.store.model import Record
from gatepost.agent.store.queries import StoreQueries
from gatepost.agent.store.ranges import FOREVER
from gatepost.agent.store.series import SeriesBook
from gatepost.agent.store.writer import StoreWriter
from gatepost.agent.store.zone_map import ZONE_ROWS

log = logging.getLogger(__name__)

IDLE_SHARE = 4.0  # so many times as long as one took, the next zone waits


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
        self._newest = NewestZone(self._begin, writer.head)
        self._full = writer.head  # zones below it are full, and summarised in memory where that could be
        self._due = asyncio.Event()

    def stored(self, batch: Sequence[Record], octets: int) -> None:
        """These were stored, with bodies of so many octets."""
        if not batch:
            return
        zone_full = batch[-1].seq // ZONE_ROWS != self._full // ZONE_ROWS
        if self._newest.stored(batch, octets) or zone_full:
            asyncio.get_running_loop().call_soon(self._take_in)  # after what is sent now

    def _take_in(self) -> None:
        head, before = self._writer.head, self._full
        self._newest.take_in()
        self._full = head
        if head // ZONE_ROWS != before // ZONE_ROWS:
            self._due.set()

    def wake(self, changed: int = FOREVER) -> None:
        """Rows below `changed` were deleted, or their times are others now."""
        self._newest.forget(changed, self._writer.head)
        self._due.set()

    async def run(self) -> None:
        """The task. A summary that cannot be written is tried again when the next zone is full."""
        while True:
            self._due.clear()
            try:
                await self.catch_up()
            except (sqlite3.Error, StoreError) as error:  # nothing is lost by it: no reading makes room for a summary
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
        first = await self._queries.first(lo)
        if first is None or self._queries.zones.bounds(first)[1] > self._full + 1:
            return None
        return int(first // ZONE_ROWS)

    async def _summarise(self, zone: int) -> None:
        kept = [summary.rows() for summary in self._newest.take(zone) or [await self._read(zone)]]
        async with self._database.transaction() as run:
            for cells, row in kept:
                run.many("summary_put", cells)
                run.later("summary_zone_put", row)

    async def _read(self, zone: int) -> ZoneSummary:
        """The summary of a zone out of the file."""
        summary = self._begin(zone)
        lo, hi = zone * ZONE_ROWS, (zone + 1) * ZONE_ROWS
        while lo < hi:
            records, hi = await self._queries.stretch(lo, hi)
            summary.add(records)
            await asyncio.sleep(0)
        return summary

    def _begin(self, zone: int) -> ZoneSummary:
        return ZoneSummary(zone, self._boots, self._book)

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
        (wall,), _ = self._begin(0).times(oldest[:1])
        zone = oldest[0].seq // ZONE_ROWS
        await self._drop(0, zone)
        await self._database.write("summary_drop_old", (zone, wall // US - COARSE_STEP))

    async def _drop(self, lo: int, hi: int) -> None:
        async with self._database.transaction() as run:
            run.later("summary_drop", (lo, hi))
            run.later("summary_zone_drop", (lo, hi))
