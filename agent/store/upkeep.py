"""Retention: age, size, and the free space that is never used. What is still owed goes last, with a gap record."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable
from typing import Any

from agent.clock import US, Clock
from agent.settings.model import Store as StoreSettings
from agent.store.database import PAGE_SIZE, Database, Run
from agent.store.extras import RideAlong
from agent.store.positions import NORMAL, TRACKS, URGENT_TRACK
from agent.store.ranges import Range, Ranges
from agent.store.writer import Writer

log = logging.getLogger(__name__)

EVERY = 60.0  # seconds between two looks, unless much was stored,
SPACING = 1.0  # and never sooner than this
STEP_ROWS = 5000  # rows a deleting transaction: commits of readings go between
LOOK_ROWS = 20_000  # rows a look at their age
SPARE = 2_000_000  # room made beyond what is needed, so that it is not made row by row
KEEP_GAPS = 10_000
KEEP_DEAD = 10_000


def free_space(path: str) -> int:
    """Octets of the file system that this user may still write."""
    seen = os.statvfs(path)
    return seen.f_bavail * seen.f_frsize


class Upkeep:
    """The retention rule, applied every minute and whenever the disk is full."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        ride: RideAlong,
        clock: Clock,
        boot: int,
        free: Callable[[], int],
    ) -> None:
        self.settings = StoreSettings()
        self.configured: Collection[str] = ()
        self.state = "ok"
        self.dropped = 0
        self._database = database
        self._writer = writer
        self._ride = ride
        self._clock = clock
        self._boot = boot
        self._free = free
        self._looked_to = 0
        self._grown = 0
        self._soon = asyncio.Event()
        self._lock = asyncio.Lock()

    def grown(self, octets: int) -> None:
        """So much was stored; a share of the allowed size is worth a look before the minute is over."""
        self._grown += octets
        if self._grown > self.settings.max_size // 50:
            self._soon.set()

    async def run(self) -> None:
        """The task; an error is reported and the next look comes as usual."""
        while True:
            self._soon.clear()
            self._grown = 0
            try:
                await self.once()
            except sqlite3.Error as error:
                log.warning("retention could not run: %s", error)
            await asyncio.sleep(SPACING)
            try:
                async with asyncio.timeout(EVERY):
                    await self._soon.wait()
            except TimeoutError:
                continue

    async def once(self) -> None:
        async with self._lock:
            await self._expire()
            await self._fit()
            await self._prune()

    async def make_room(self) -> None:
        """The disk said that it is full: drop what the rule allows, so that pages can be used again."""
        async with self._lock:
            await self._drop(SPARE)

    async def sizes(self) -> dict[str, int]:
        """Octets in use by rows, octets of the file, and of the write-ahead log."""
        pages = int(await self._database.pragma("page_count"))
        spare = int(await self._database.pragma("freelist_count"))
        wal = self._database.path.with_name(self._database.path.name + "-wal")
        return {
            "used": (pages - spare) * PAGE_SIZE,
            "file": pages * PAGE_SIZE,
            "wal": wal.stat().st_size if wal.exists() else 0,
        }

    async def _expire(self) -> None:
        now = self._clock.now()
        keep = int(self.settings.keep * US)
        lo = max(self._looked_to, await self._first())
        edge = 0
        while lo < self._writer.head:
            params = {
                "lo": lo,
                "hi": lo + LOOK_ROWS,
                "boot": self._boot,
                "mono": now.mono - keep,
                "wall": now.wall - keep,
            }
            found = (await self._database.read("upkeep_expired", params))[0][0]
            if found is None:
                break
            edge, lo = int(found) + 1, int(found) + 1
        self._looked_to = max(edge, self._looked_to)
        for track in TRACKS:
            for lo, hi in self._delivered(track, self._looked_to):
                await self._delete(track, lo, hi)

    async def _fit(self) -> None:
        sizes = await self.sizes()
        over = sizes["used"] - self.settings.max_size
        if self._free() < self.settings.reserve:
            # The file may not grow: what is written from now on must find free pages in it.
            over = max(over, SPARE - (sizes["file"] - sizes["used"]))
        if over <= 0:
            self._say("ok")
            return
        await self._drop(over + min(SPARE, self.settings.max_size // 20))

    async def _drop(self, octets: int) -> None:
        rows = await self._rows_for(octets)
        for track in TRACKS:
            for lo, hi in self._delivered(track, self._writer.head):
                rows -= await self._delete(track, lo, hi, most=rows)
                if rows <= 0:
                    return self._say("ok")
        if self.settings.when_full == "refuse":
            return self._say("refusing")
        for track in (NORMAL, URGENT_TRACK):
            for lo, hi in list(self._owed(track)):
                rows -= await self._delete(track, lo, min(hi, self._writer.head), most=rows, gap=True)
                if rows <= 0:
                    return self._say("dropping")
        return self._say("dropping")

    def _say(self, state: str) -> None:
        if state != self.state:
            level = logging.INFO if state == "ok" else logging.WARNING
            log.log(level, "retention: %s", {"ok": "within its limits again"}.get(state, f"the log is full, {state}"))
        self.state = state
        why = "the log is full and store.when_full says refuse" if state == "refusing" else None
        if self._writer.refusing != why:
            self._writer.refuse(why)

    async def _rows_for(self, octets: int) -> int:
        used = (await self.sizes())["used"]
        rows = max(1, self._writer.head - await self._first() + 1)
        return max(100, int(octets / max(30.0, used / rows)))

    async def _first(self) -> int:
        return int((await self._database.read("reading_first"))[0][0])

    def _owed(self, track: int) -> Ranges:
        for note in self._ride.before_save:
            note()
        owed = Ranges(limit=10_000)
        for broker in self.configured:
            position = self._ride.positions.get(broker)
            for lo, hi in position.owed[track] if position else ():
                owed.add(lo, hi)
        return owed

    def _delivered(self, track: int, hi: int) -> Iterable[Range]:
        """What no configured broker owes, below `hi`; the newest row always stays, it carries the sequence on."""
        return self._owed(track).outside(0, min(hi, self._writer.head))

    async def _delete(self, track: int, lo: int, hi: int, most: int = 1 << 60, gap: bool = False) -> int:
        gone = 0
        while lo < hi and gone < most:
            span = {"lo": lo, "hi": hi, "urgent": track, "limit": min(STEP_ROWS, most - gone)}
            edge = (await self._database.read("upkeep_edge", span))[0][0]
            if edge is None:
                break
            span = {"lo": lo, "hi": int(edge) + 1, "urgent": track}
            async with self._database.transaction() as run:
                if gap:
                    await self._record(run, span)
                gone += await run("upkeep_delete", span)
            if gap:
                for broker in self.configured:
                    self._ride.positions[broker].settle(track, span["lo"], span["hi"])
                self._ride.tell(await self._database.read("gap_untold"))
                self._writer.wake()
            lo = span["hi"]
        return gone

    async def _record(self, run: Run, span: dict[str, int]) -> None:
        lo, hi, track = span["lo"], span["hi"], span["urgent"]
        owing = [b for b in self.configured if self._ride.positions[b].owed[track].within(lo, hi)]
        now = self._clock.now().wall
        victims: list[tuple[Any, ...]] = await run.read("upkeep_victims", span)
        for device, count, urgent, first, last, since, until in victims:
            self.dropped += count
            row = (now, "log-full", device or None, ",".join(owing), count, urgent, first, last, since, until)
            await run("gap_add", row)

    async def _prune(self) -> None:
        await self._database.write("gap_prune", (KEEP_GAPS,))
        await self._database.write("dead_letter_prune", (KEEP_DEAD,))
        oldest = await self._database.read("upkeep_oldest_boot")
        if oldest and oldest[0][0] is not None and oldest[0][0] > 1:
            async with self._database.transaction() as run:
                if await run("series_prune", (oldest[0][0],)):
                    await run("boot_prune", (oldest[0][0],))
