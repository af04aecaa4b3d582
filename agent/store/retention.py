"""Retention: age, size, and the free space that is never used. What is still owed goes last, with a gap record."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from gatepost.agent.core.clock import US, Clock
from gatepost.agent.core.named_files import off_loop
from gatepost.agent.settings.model import StoreSettings
from gatepost.agent.store.backlog import DeliveryBacklog
from gatepost.agent.store.damage.loss_watch import LossWatch
from gatepost.agent.store.database import PAGE_SIZE, Database, TransactionRun
from gatepost.agent.store.delivery.positions import NORMAL, TRACKS, URGENT_TRACK
from gatepost.agent.store.log_order import is_ordered, out_of_order
from gatepost.agent.store.model import is_sound
from gatepost.agent.store.pending_writes import PendingWrites
from gatepost.agent.store.ranges import FOREVER, Range, Ranges
from gatepost.agent.store.writer import StoreWriter

log = logging.getLogger(__name__)

INTERVAL = 60.0  # seconds between two looks, unless much was stored,
SHORTEST_INTERVAL = 1.0  # and never sooner than this
STEP_ROWS = 5000  # rows a deleting transaction: commits of readings go between
FIRST_LOOK_ROWS, LOOK_ROWS = 500, 20_000  # rows a look at their age: the first one, and those after it
MIN_SPARE, MAX_SPARE = 32_000, 2_000_000  # room made beyond what is needed, so that it is not made row by row
MIN_ROW_OCTETS, MAX_ROW_OCTETS = 30, 1000  # octets: what a row takes is learnt while room is made
KEEP_GAPS = 10_000
KEEP_DEAD = 10_000
MAX_RANGES = 10_000
DISK_SECONDS = 5.0  # for a disk to say how much space it has
MAX_STARTS = 100  # more than so many are looked through for those of which nothing is left
SUFFIXES = {NORMAL: "", URGENT_TRACK: "_urgent"}  # of the statements for each track


def free_space(path: str) -> int:
    """Octets of the file system that this user may still write."""
    seen = os.statvfs(path)
    return seen.f_bavail * seen.f_frsize


class RetentionRule:
    """Retention rule, applied every minute and whenever the disk is full.

    Nothing is removed before it is known which brokers there are.
    """

    def __init__(
        self,
        database: Database,
        writer: StoreWriter,
        pending: PendingWrites,
        backlog: DeliveryBacklog,
        clock: Clock,
        boot: int,
        free: Callable[[], int],
        losses: LossWatch,
        on_deleted: Callable[[int, int], None],
        on_trouble: Callable[[sqlite3.Error], Awaitable[bool]],
    ) -> None:
        self.settings = StoreSettings()
        self.state = "ok"
        self.dropped = 0
        self._database = database
        self._writer = writer
        self._pending = pending
        self._backlog = backlog
        self._clock = clock
        self._boot = boot
        self._free = free
        self._losses = losses
        self._on_deleted = on_deleted
        self._on_trouble = on_trouble
        self._old_to = 0  # everything below is older than it is kept
        self._look_from = 0  # the age of everything below is known, or never will be
        self._disordered = False  # rows were left that damage has put out of order
        self._cleared: dict[int, list[Range]] = {}  # by track: what was deleted when it had become old
        self._generation = database.generation
        self._pruned_at = 0  # the oldest boot when unused series were looked for
        self._grown = 0
        self._allowance = self.settings.max_size // 50
        self._soon = asyncio.Event()
        self._lock = asyncio.Lock()

    def grown(self, octets: int) -> None:
        """So much was stored; a share of the allowed size is worth a look before the minute is over."""
        self._grown += octets
        if self._grown > self._allowance:
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
                await self._on_trouble(error)
            await asyncio.sleep(SHORTEST_INTERVAL)
            try:
                async with asyncio.timeout(INTERVAL):
                    await self._soon.wait()
            except TimeoutError:
                continue

    async def once(self) -> None:
        """Look at age, size and free space. Raises sqlite3.Error."""
        async with self._lock:
            if self._backlog.brokers is not None:
                self._disordered = False
                await self._expire()
                await self._fit()
                await self._prune()
                if self._disordered:
                    raise out_of_order()

    async def make_room(self) -> None:
        """The disk said that it is full: drop what the rule allows, so that pages can be used again. What is owed goes
        only where the disk really has less left than its reserve."""
        async with self._lock:
            if self._backlog.brokers is not None:
                sizes = await self.sizes()
                missing = self._spare(sizes) - (sizes["file"] - sizes["used"])
                if missing > 0:
                    await self._drop(missing, owed=await self._short_of_space())
        self._soon.set()

    async def sizes(self) -> dict[str, int]:
        """Octets in use by rows, and octets of the file."""
        pages = int(await self._database.pragma("page_count"))
        spare = int(await self._database.pragma("freelist_count"))
        return {"used": (pages - spare) * PAGE_SIZE, "file": pages * PAGE_SIZE}

    async def _short_of_space(self) -> bool:
        """Whether the disk has less left than its reserve; not known of one that does not answer."""
        try:
            free = await off_loop(f"free space of {self._database.path}", self._free, DISK_SECONDS)
        except OSError as error:
            log.warning("the free space of the disk is not known: %s", error)
            return False
        return free < self.settings.reserve

    async def _expire(self) -> None:
        if self._generation != self._database.generation:  # a mended file may hold again what was deleted
            self._generation = self._database.generation
            self._look_from, self._cleared = 0, {}
        await self._find_old()
        for track in TRACKS:
            due = self._delivered(track, self._old_to)
            for lo, hi in _without(due, self._cleared.get(track, [])):
                await self._delete(track, lo, hi)
            self._cleared[track] = due

    async def _find_old(self) -> None:
        now = self._clock.now()
        keep = int(self.settings.keep * US)
        limit, hi = FIRST_LOOK_ROWS, FOREVER
        while self._look_from < self._writer.head:
            # Readings of earlier boots are judged by the wall clock, which must be right for that.
            wall = now.wall - keep if now.synchronised else None
            times = {"boot": self._boot, "mono": now.mono - keep, "wall": wall}
            span = {"lo": self._look_from, "hi": hi, "limit": limit}
            last, old, young = (await self._database.read("retention_expired", span | times))[0]
            if last is None or (wall is None and old is None):
                return
            if not await is_ordered(self._database.read, self._look_from, last + 1):
                self._disordered = True  # nothing is as old as a damaged number says,
                return
            if old is not None and not await self._is_sound(old):  # or a damaged time
                if old == self._look_from:
                    self._look_from, hi = old + 1, FOREVER
                else:
                    hi = old
                continue
            if old is not None:
                self._old_to = old + 1
            elif young:
                return
            self._look_from = last + 1 if old is None else old + 1
            limit, hi = LOOK_ROWS, FOREVER

    async def _is_sound(self, seq: int) -> bool:
        rows = await self._database.read("reading_one", {"lo": seq})
        return bool(rows) and is_sound(rows[0][:5], *rows[0][5:])

    async def _fit(self) -> None:
        sizes = await self.sizes()
        over, self._allowance = sizes["used"] - self.settings.max_size, self.settings.max_size // 50
        if over > 0:
            over += min(MAX_SPARE, self.settings.max_size // 20)
        if await self._short_of_space():
            # The file may not grow: what is written from now on must find free pages in it.
            spare = self._spare(sizes)
            over = max(over, spare - (sizes["file"] - sizes["used"]))
            self._allowance = min(self._allowance, spare // 2)
        if over <= 0:
            self._say("ok")
        else:
            await self._drop(over)

    def _spare(self, sizes: dict[str, int]) -> int:
        """Octets to be kept free in a file that cannot grow: a small part of it, and what waits to be written."""
        return max(MIN_SPARE, min(MAX_SPARE, sizes["used"] // 10), 2 * self._writer.waiting_octets)

    async def _drop(self, octets: int, owed: bool = True) -> None:
        goal = (await self.sizes())["used"] - octets
        for track in TRACKS:
            for lo, hi in self._delivered(track, self._writer.head):
                if await self._delete(track, lo, hi, goal):
                    return self._say("ok")
        if not owed:
            return None
        if self.settings.when_full == "refuse":
            return self._say("refusing")
        for track in (NORMAL, URGENT_TRACK):
            for lo, hi in list(self._owed(track)):
                if await self._delete(track, lo, min(hi, self._writer.head), goal, gap=True):
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

    def _owed(self, track: int) -> Ranges:
        owed = Ranges(limit=MAX_RANGES)
        for broker in self._backlog.brokers or ():
            position = self._pending.positions.get(broker)
            for lo, hi in position.owed[track] if position else ():
                owed.add(lo, hi)
        return owed

    def _delivered(self, track: int, hi: int) -> list[Range]:
        """What no configured broker owes, below `hi`; the newest row always stays, it carries the sequence on."""
        owed = self._owed(track)
        for seq in self._pending.unwritten_dead_letters():  # not before it is written down why it was not delivered
            owed.add(seq, seq + 1)
        return owed.outside(0, min(hi, self._writer.head))

    async def _delete(self, track: int, lo: int, hi: int, goal: int | None = None, gap: bool = False) -> bool:
        """Delete a track's rows of [lo, hi), oldest first; true once no more than `goal` octets are in use."""
        limit, suffix = STEP_ROWS, SUFFIXES[track]
        before, gone, row = 0, 0, MAX_ROW_OCTETS
        while lo < hi:
            if goal is not None:
                used = (await self.sizes())["used"]
                if used <= goal:
                    return True
                if gone:
                    row = min(MAX_ROW_OCTETS, max(MIN_ROW_OCTETS, (before - used) // gone))
                limit, before = max(100, min(STEP_ROWS, (used - goal) // row)), used
            edge = (await self._database.read("retention_edge" + suffix, {"lo": lo, "hi": hi, "limit": limit}))[0][0]
            if edge is None:
                break
            span = {"lo": lo, "hi": min(int(edge) + 1, self._losses.border(lo))}
            dropped, seqs = 0, list[int]()
            async with self._database.transaction() as run:
                if not await is_ordered(run.read, **span):
                    self._disordered = True
                    lo = span["hi"]
                    continue
                if gap:
                    dropped = await self._record(run, track, span)
                    if any(position.account is not None for position in self._pending.positions.values()):
                        seqs = [row[0] for row in await run.read("retention_dropped" + suffix, span)]
                gone = await run("retention_delete" + suffix, span)
                run.then(self._losses.removed(lo, gone))
            if gone:
                self._on_deleted(span["lo"], span["hi"])
            if dropped:
                self.dropped += dropped
                self._pending.tell(await self._database.read("gap_untold", (self._pending.told_to,)))
                self._writer.wake()
            if gap:
                for broker in self._backlog.brokers or ():
                    self._pending.positions[broker].dropped(track, span["lo"], span["hi"], seqs)
            lo = span["hi"]
        return goal is not None and (await self.sizes())["used"] <= goal

    async def _record(self, run: TransactionRun, track: int, span: dict[str, int]) -> int:
        positions = self._pending.positions
        owing = [b for b in self._backlog.brokers or () if positions[b].owed[track].within(span["lo"], span["hi"])]
        now = self._clock.now().wall
        victims: list[tuple[Any, ...]] = await run.read("retention_victims" + SUFFIXES[track], span)
        for device, count, urgent, first, last, since, until in victims:
            row = (now, "log-full", device or None, ",".join(owing), count, urgent, first, last, since, until)
            run.later("gap_add", row)
        return sum(victim[1] for victim in victims)

    async def _prune(self) -> None:
        gaps, dead = (await self._database.read("retention_surplus", (KEEP_GAPS, KEEP_DEAD)))[0]
        if gaps:
            await self._database.write("gap_prune", (KEEP_GAPS,))
        if dead:
            await self._database.write("dead_letter_prune", (KEEP_DEAD,))
        if len(await self._database.read("starts")) > MAX_STARTS:
            await self._database.write("start_prune")
        oldest = await self._database.read("retention_oldest_boot")
        if oldest and oldest[0][1] and oldest[0][0] != self._pruned_at:
            unused = [row[0] for row in await self._database.search("series_unused", (self._boot,))]
            if unused:
                async with self._database.transaction() as run:
                    run.later("series_prune", (orjson.dumps(unused).decode(),))
                    run.later("boot_prune", (self._boot, oldest[0][0]))
            self._pruned_at = oldest[0][0]


def _without(ranges: list[Range], taken: list[Range]) -> list[Range]:
    """The parts of `ranges` outside of `taken`."""
    left = Ranges(ranges, limit=1 << 30)  # never joined: what is between is not to be deleted
    for lo, hi in taken:
        left.subtract(lo, hi)
    return list(left)
