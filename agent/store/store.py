"""Durable log of readings: takes them, commits them, and holds the parts that read, forward and keep them."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import orjson

from gatepost.agent.core.clock import Clock, Stamp, rfc3339
from gatepost.agent.core.errors import StoreError
from gatepost.agent.core.events import EventBus
from gatepost.agent.settings.model import StoreSettings
from gatepost.agent.store.backlog import DeliveryBacklog
from gatepost.agent.store.boot_clock import BootClock
from gatepost.agent.store.command_ledger import CommandLedger
from gatepost.agent.store.curves.reader import HistoryReader
from gatepost.agent.store.curves.summary_writer import SummaryWriter
from gatepost.agent.store.damage.loss_check import LogLoss
from gatepost.agent.store.damage.loss_watch import LossWatch
from gatepost.agent.store.damage.recovery import StoreRecovery, open_file
from gatepost.agent.store.damage.revoked_ids import RevokedIds
from gatepost.agent.store.damage.salvage import SalvageReport, make, salvage
from gatepost.agent.store.database import Database
from gatepost.agent.store.dead_letter_events import DeadLetterEvents
from gatepost.agent.store.delivery.positions import load
from gatepost.agent.store.disk_watch import DiskWatch
from gatepost.agent.store.gap_counter import GapCounter, gap_dict, legible
from gatepost.agent.store.key_value import KeyValueStore
from gatepost.agent.store.log_order import last_of
from gatepost.agent.store.model import IN_STEP, Record, Series
from gatepost.agent.store.pending_writes import DAMAGED_ROW, DAMAGED_ROWS, PendingWrites
from gatepost.agent.store.queries import StoreQueries
from gatepost.agent.store.ranges import FOREVER
from gatepost.agent.store.recent_records import RecentRecords
from gatepost.agent.store.retention import RetentionRule, free_space
from gatepost.agent.store.series import SeriesBook, whole_series
from gatepost.agent.store.start_epochs import StartEpochs
from gatepost.agent.store.writer import AppendReading, StoreWriter, explain, is_damage

log = logging.getLogger(__name__)


class Store:
    """Durable log in one database file. Made by `open`; the owner runs `background_tasks()` and calls `close`.

    Its parts: `backlog` (what each broker is owed), `queries` (rows out of the file), `history` (curves, made of
    `summaries`), `recent` (the newest rows in memory), `key_value` (small state), `ledger` (of commands), `writer`,
    `retention`, `pending`, `boots`, `epochs`, `losses`, `database`.
    """

    def __init__(self, path: Path, gateway: str, clock: Clock, events: EventBus, rng: Random) -> None:
        self.path = path
        self.gateway = gateway
        self.database = Database(path)
        self.losses = LossWatch(path, clock)
        self.revoked = RevokedIds(path)
        self.on_stored: list[Callable[[], None]] = []
        self.on_condition: list[Callable[[], None]] = []  # `condition` has changed: told within seconds
        self.repairs = 0  # damaged files replaced since the start
        self._clock = clock
        self._events = events
        self._rng = rng
        self._event_timer: asyncio.TimerHandle | None = None

    @classmethod
    async def open(
        cls,
        path: Path,
        gateway: str,
        settings: StoreSettings,
        clock: Clock,
        events: EventBus,
        rng: Random | None = None,
        free: Callable[[], int] | None = None,
    ) -> Store:
        """Open or make the log; a damaged file is set aside and what can be read of it is carried over. StoreError
        where the agent may not write in the directory, or the file is a newer agent's."""
        rng, free = rng or Random(), free or (lambda: free_space(str(path.parent)))  # noqa: S311 - jitter, no secret
        report, damaged = None, False
        while True:
            store = cls(path, gateway, clock, events, rng)
            try:
                if damaged:  # beyond what was probed
                    report = await asyncio.to_thread(salvage, path)
                await store._load(settings, free, report)
            except (sqlite3.Error, OSError, ValueError, TypeError) as error:
                await store.database.close()
                # Damage makes no numbers of numbers, too.
                seen = is_damage(error) if isinstance(error, sqlite3.Error) else not isinstance(error, OSError)
                if seen and not damaged:
                    damaged = True
                    continue
                text = explain(error) if isinstance(error, sqlite3.Error) else getattr(error, "strerror", error)
                hint = "the agent must be able to write to its state directory, and there must be space"
                raise StoreError(f"the database {path} cannot be opened: {text}", hint) from error
            except BaseException:
                await store.database.close()
                raise
            return store

    def background_tasks(self) -> dict[str, Callable[[], Any]]:
        """The tasks that must run while the store is open, by name."""
        parts = (("writer", self.writer.run), ("retention", self.retention.run), ("disk", self.disk.run))
        return {f"store.{name}": run for name, run in (*parts, ("summaries", self.summaries.run))}

    async def close(self) -> None:
        """Close the file; the writer's task has been ended with `finish` before."""
        self.backlog.close()
        if self._event_timer is not None:
            self._event_timer.cancel()
        await self.losses.stopped(self.writer.unstored + self._gaps.waiting)
        await self.database.close()

    def finish(self) -> None:
        """Let the writer's task end once everything that waits is stored."""
        self._dead_letters.tell_due(self._clock.monotonic(), all_of_it=True)
        self.pending.finish()
        self.writer.close()

    # --- taking readings

    def series(self, device: str, patient: str | None, common: dict[str, Any]) -> int:
        """The number under which `common` (metric_type, units, quality, flags) of this device is kept."""
        return self._book.number(device, patient, common)

    @property
    def append(self) -> AppendReading:
        """Queue one reading, by the writer itself: whoever has many keeps this."""
        return self.writer.append

    @property
    def append_all(self) -> Callable[[Stamp, Sequence[tuple[int, bytes]]], int]:
        """The same of many plain ones of one moment; how many were taken."""
        return self.writer.append_all

    def lost(self, device: str, count: int, reason: str) -> None:
        """Readings that could not be taken: they become a gap record, which is stored and forwarded."""
        self._gaps.add(device, count, reason, self._clock.now())
        self._schedule_events()

    def event(self, kind: str, fields: dict[str, Any]) -> int:
        """Store and forward an event of the gateway (contract: gateway_events)."""
        series = self._book.number("", None, {"event": kind})
        return self.writer.append(series, self._clock.now(), b"%b" % orjson.dumps(fields), event=True)

    async def wait_until_writable(self) -> None:
        """Return once `append` takes readings again."""
        await self.writer.wait_until_writable()

    async def stored(self, seq: int, hurry: bool = False) -> None:
        """Return once the row is fsynced, with `hurry` at once. StoreFull when the agent stops before that."""
        await self.writer.stored(seq, hurry)

    # --- reading

    @property
    def head(self) -> int:
        """The highest stored sequence number."""
        return self.writer.head

    def reading_id(self, seq: int) -> str:
        """No other reading ever has it."""
        return f"{self._named}:{self.epochs.of(seq)}:{seq}"

    def id_prefix(self, seq: int) -> bytes:
        """What stands before the number in the id of this row."""
        if seq >= self.epochs.first:
            return self._prefix
        return f"{self._named}:{self.epochs.of(seq)}:".encode()

    def series_of(self, number: int) -> Series:
        return self._book.get(number)

    def time_of(self, record: Record) -> tuple[int, str]:
        """Wall microseconds and how far to trust them: synchronised, rectified or unsynchronised."""
        if record.bits & IN_STEP:
            return record.wall, "synchronised"
        shift = self.boots.shift(self._book.get(record.series).boot)
        return (record.wall, "unsynchronised") if shift is None else (record.mono + shift, "rectified")

    # --- records about the log

    def dead_letter(self, broker: str, seq: int, code: int | None, reason: str, event: bool = False) -> None:
        """A broker refused this row for good: kept with the reason, and told as an event; of a flood some are, with
        their count. An `event` that was refused is not told by another one: it would never end."""
        self.pending.add_dead(broker, seq, code, reason)
        if not event:
            self._dead_letters.add(broker, self.reading_id(seq), code, reason, self._clock.monotonic())
        self.writer.wake()
        self._schedule_events()

    async def gaps(self, limit: int = 100) -> list[dict[str, Any]]:
        rows = map(legible, await self.database.read("gap_list", (limit,)))
        return [gap_dict(row[1:]) | {"id": row[0]} for row in rows]

    async def dead_letters(self, limit: int = 100, broker: str | None = None) -> list[dict[str, Any]]:
        rows = await self.database.read("dead_letter_list", {"broker": broker, "limit": limit})
        return [
            {"time": rfc3339(time), "broker": name, "reading": self.reading_id(seq), "code": code, "reason": reason}
            for _, time, name, seq, code, reason in map(legible, rows)
        ]

    async def stats(self) -> dict[str, Any]:
        """How the log is. Without a number of rows: counting reads the whole file, which may be 2 GB on a card."""
        sizes = await self.retention.sizes()
        return {
            "path": str(self.path),
            "state": self.state,
            "head": self.head,
            "queue": self.writer.waiting,
            "commits": self.writer.commits,
            "stored": self.writer.rows,
            "commit_seconds": round(self.writer.commit_seconds, 6),
            "lost": self._gaps.total,
            "dropped": self.retention.dropped,
            "repairs": self.repairs,
            "loss": self.losses.notice,
            "bytes": sizes["used"],
            "file_bytes": sizes["file"],
            "wal_bytes": await self.database.log_size(),
        }

    @property
    def state(self) -> str:
        """`ok`, or a sentence that says what is the matter."""
        if self.failing:
            return self.failing
        return "ok" if self.retention.state == "ok" else f"the log is full, {self.retention.state}"

    @property
    def failing(self) -> str:
        """Why nothing is stored; "" = it is."""
        return self.writer.trouble or self.disk.trouble or self.writer.refusing or ""

    @property
    def loss(self) -> str:
        """What stored readings may be missing; "" = none, or somebody has seen it."""
        return self.losses.notice

    async def loss_seen(self) -> None:
        """Somebody has seen what is missing. Raises StoreError."""
        await self.losses.seen(self.key_value)

    @property
    def condition(self) -> str:
        """Why the log is not well: how it fails, or what is missing and nobody has seen; "" = all is well."""
        return self.losses.notice if self.state == "ok" else self.state

    def _tell_condition(self) -> None:
        for listener in tuple(self.on_condition):
            listener()

    # --- settings and clock

    def configure(self, settings: StoreSettings) -> None:
        self.retention.settings = settings
        self.writer.interval = settings.commit_interval

    async def clock_in_step(self) -> bool:
        """The clock is synchronised now: readings of this boot taken before get their time from its boot time.

        False when that was known, or could not be written: ask again.
        """
        if self.boots.shift(self.boots.current) is not None:
            return False
        now = self._clock.now()
        row = (*self.boots.row()[:2], now.wall - now.mono)
        try:
            await self.database.write("boot_put", row)
        except sqlite3.Error as error:
            log.warning("the time of this boot could not be written: %s", explain(error))
            return False
        self.boots.put(row)
        self.queries.zones.forget()  # their times have changed
        self.summaries.wake()
        return True

    # --- opening and mending

    async def _load(
        self, settings: StoreSettings, free: Callable[[], int], report: SalvageReport | None = None
    ) -> None:
        """`report`: of a repair that was made just before."""
        expected = await self.losses.look()
        report = await open_file(self.database, self.gateway, expected) or report
        database, clock = self.database, self._clock
        loss = await self.losses.judge(database)
        last = await last_of(database.read, 1, FOREVER) or 0
        floor, starting = int(await self._meta("floor") or 0), int(await self._meta("starting") or 0)
        top_boot = int((await database.read("boot_top"))[0][0] or 0)
        next_seq = self.losses.first_number(max(last, floor), database.read_only)
        self._gaps = GapCounter()
        if self.losses.unstored:
            self._gaps.add("", self.losses.unstored, "stopped-unstored", clock.now())
        self._dead_letters = DeadLetterEvents(lambda fields: self.event("dead-letter", fields))
        self.pending = PendingWrites(clock, self._gaps, self._announce)
        self.pending.forget_starting = bool(starting)
        self.recent = RecentRecords(next_seq)
        self.writer = StoreWriter(
            database,
            clock,
            next_seq,
            settings.commit_interval,
            self.pending,
            self._stored,
            self.mend,
            self._rng,
            self.losses.stored,
        )
        self.boots = BootClock(await database.read("boots"), top_boot, clock.boot_id)
        self.epochs = StartEpochs(await database.read("starts"), next_seq)
        # A log that went to another gateway id keeps the first one in its ids: nothing is sent again under another id.
        self._named = await self._meta("gateway") or self.gateway
        self._prefix = f"{self._named}:{self.epochs.current}:".encode()
        self.pending.add_starts(self.epochs.rows())
        if self.boots.is_new:
            self.pending.add_boot(self.boots.row())
        boot, bad = self.boots.current, self.pending.damaged
        known = whole_series(await database.read("series_load", (boot,)))
        self._book = SeriesBook(boot, known, self.pending.add_series)
        self.queries = StoreQueries(database, clock, self._book, lambda: self.head, bad, self._damaged_row, self.mend)
        self.backlog = DeliveryBacklog(self.pending, self.writer, self.queries, clock, self.time_of, starting)
        self.retention = RetentionRule(
            database, self.writer, self.pending, self.backlog, clock, boot, free, self.losses, self._deleted, self.mend
        )
        self.retention.settings = settings
        self.summaries = SummaryWriter(self.queries, self.writer, self.boots, self._book, lambda: self.state == "ok")
        self.history = HistoryReader(self.queries, self.writer, self._book, clock, self.time_of)
        self._recovery = StoreRecovery(
            database, clock, self.retention.make_room, lambda: self.writer.next_seq, self._mended, self._compare
        )
        self.disk = DiskWatch(
            database, self._open_for_writing, self._recovery.put_back, lambda: self.condition, self._tell_condition
        )
        self.key_value = KeyValueStore(database)
        self.pending.damaged.update(await self.key_value.get(DAMAGED_ROWS) or ())
        self.ledger = CommandLedger(database, self.losses.command_recorded)
        self.pending.positions = load(await database.read("owed_load"))
        for position in self.pending.positions.values():
            position.on_dirty = self.backlog.save_soon
        self.pending.tell(await database.read("gap_untold", (0,)))
        if report is not None:
            self._report_repair(report)
        if not database.read_only:
            await self._begin(loss)

    async def _begin(self, loss: LogLoss | None) -> None:
        """The file can be written, and is compared with its mark."""
        if loss is not None:
            self.event("log-damaged", {"signs": list(loss.signs), "missing": loss.missing})
        self.ledger.horizon = self.losses.horizon
        await self.losses.started(self.database, self.epochs)

    async def _open_for_writing(self) -> None:
        """The disk can be written again; what the start could not compare is compared now. OSError, sqlite3.Error."""
        database, losses = self.database, self.losses
        if database.in_memory:
            await asyncio.to_thread(make, self.path, self.gateway)
        await losses.open_for_writing(database)
        if database.read_only or losses.begun:
            return
        loss = await losses.judge(database, before=self.epochs.first)
        if losses.put_back:
            self.epochs.learn(await database.read("starts"))
            self.pending.add_starts(self.epochs.rows())
            for position in self.pending.positions.values():  # sent with the next connection
                position.owe(losses.put_back[0][0], losses.put_back[-1][0] + 1)
        await self._begin(loss)

    async def _meta(self, key: str) -> str | None:
        rows = await self.database.read("meta_get", (key,))
        return str(rows[0][0]) if rows else None

    async def mend(self, error: sqlite3.Error) -> bool:
        """After a failed statement: repair what can be repaired; whether to try again at once."""
        return await self._recovery.handle(error)

    async def _mended(self, report: SalvageReport) -> None:
        """A new file is open, nobody else reads or writes yet. What memory knows is newer than what it holds."""
        await self.losses.mended(self.database)
        self.pending.add_starts(self.epochs.rows())
        for boot in self.boots.rows():
            self.pending.add_boot(boot)
        for series in self._book.known():
            self.pending.add_series(series)
        for position in self.pending.positions.values():
            position.dirty = True
        self.pending.forget_starting = True
        self.pending.save_now()
        self.pending.refile(await self.database.probe("gap_untold", (0,)))
        self.queries.zones.forget()
        self.summaries.wake()
        self._report_repair(report)

    async def _compare(self) -> None:
        """The mended file is in use: tell what is missing in it. Raises sqlite3.Error."""
        await self.losses.judge(self.database)
        self.ledger.horizon = self.losses.horizon
        self.pending.tell(await self.database.read("gap_untold", (self.pending.told_to,)))
        self.writer.wake()

    def _report_repair(self, report: SalvageReport) -> None:
        self.repairs += 1
        log.error("the damaged database was set aside as %s; %d rows carried over", report.aside, report.rows)
        self.event("store-repaired", {"rows": report.rows, "lost_at_least": report.lost, "file": report.aside_name})

    # --- what happens

    def _deleted(self, lo: int, hi: int) -> None:
        self.queries.zones.forget(lo, hi)
        self.summaries.wake(hi)

    def _stored(self, batch: list[Record]) -> None:
        octets = self.recent.extend(batch)
        self.retention.grown(octets + 40 * len(batch))
        self.summaries.stored(batch, octets)
        for listener in tuple(self.on_stored):
            try:
                listener()
            except Exception:  # the log goes on, whoever looks at it
                log.exception("a listener failed")

    def _damaged_row(self) -> None:
        self.lost("", 1, DAMAGED_ROW)

    def _announce(self, gap: tuple[Any, ...]) -> int:
        return self.event("gap", gap_dict(gap[1:]))

    def _schedule_events(self) -> None:
        """Counted losses and dead letters are told at once, or when their turn comes."""
        if self._event_timer is not None:
            return
        now = self._clock.monotonic()
        lefts = [left for left in (self.pending.losses_left(), self._dead_letters.left(now)) if left is not None]
        if 0 in lefts:
            self.writer.wake()
        if later := [left for left in lefts if left]:
            self._event_timer = asyncio.get_running_loop().call_later(min(later) + 0.01, self._tell_events)

    def _tell_events(self) -> None:
        self._event_timer = None
        self._dead_letters.tell_due(self._clock.monotonic())
        self._schedule_events()
