"""The log: append, awaitable *stored*, pages for the lanes, history, positions, gaps, dead letters, small state."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Collection
from pathlib import Path
from random import Random
from typing import Any

import orjson

from gatepost.agent.core.clock import Clock, Stamp, rfc3339
from gatepost.agent.core.errors import StoreError
from gatepost.agent.core.events import EventBus
from gatepost.agent.settings.model import StoreSettings as StoreSettings
from gatepost.agent.store import gap_counter
from gatepost.agent.store import salvage as maintenance
from gatepost.agent.store.boot_clock import BootClock
from gatepost.agent.store.command_ledger import CommandLedger
from gatepost.agent.store.database import Database
from gatepost.agent.store.dead_letter_events import DeadLetterEvents
from gatepost.agent.store.gap_counter import GapCounter
from gatepost.agent.store.model import IN_STEP, HistoryPage, Record, Series
from gatepost.agent.store.pending_writes import PendingWrites
from gatepost.agent.store.positions import TRACKS, URGENT_TRACK, DeliveryPosition, load
from gatepost.agent.store.queries import PATIENCE, StoreQueries
from gatepost.agent.store.ranges import RangeCollector
from gatepost.agent.store.recent_records import RecentRecords
from gatepost.agent.store.recovery import StoreRecovery, open_file
from gatepost.agent.store.retention import RetentionRule, free_space
from gatepost.agent.store.series import SeriesBook, whole_series
from gatepost.agent.store.writer import StoreWriter, explain, is_damage

log = logging.getLogger(__name__)

PART = 2000  # readings looked at in one query of a resend
SAVE_SOON = 5.0  # seconds until changed positions are written when no reading brings a commit


class Store:
    """One database file. Made by `open`; the owner runs `tasks()` and calls `close`."""

    def __init__(self, path: Path, gateway: str, clock: Clock, events: EventBus, rng: Random) -> None:
        self.path = path
        self.gateway = gateway
        self.epoch = ""
        self.on_stored: list[Callable[[], None]] = []
        self.repairs = 0  # how often a damaged file was replaced since the start
        self._clock = clock
        self._events = events
        self._rng = rng
        self._starting = 0  # where brokers start that a mended file knows nothing of
        self._save_timer: asyncio.TimerHandle | None = None
        self._tell_timer: asyncio.TimerHandle | None = None

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
        """Open or make the log; a damaged file is set aside and what can be read of it is carried over.

        Raises StoreError when the directory cannot be written or the file belongs to a newer agent.
        """
        rng, free = rng or Random(), free or (lambda: free_space(str(path.parent)))  # noqa: S311 - jitter, no secret
        report = None
        while True:
            store = cls(path, gateway, clock, events, rng)
            try:
                await store._load(settings, free, report)
            except (sqlite3.Error, OSError) as error:
                await store._database.close()
                damaged = isinstance(error, sqlite3.Error) and is_damage(error)
                if damaged and report is None:  # damage beyond what was probed
                    report = await asyncio.to_thread(maintenance.salvage, path)
                    continue
                text = explain(error) if isinstance(error, sqlite3.Error) else error.strerror
                raise StoreError(
                    f"The database {path} cannot be opened: {text}.",
                    "Is the state directory writable for the agent, and is there space?",
                ) from error
            except BaseException:
                await store._database.close()
                raise
            return store

    def tasks(self) -> dict[str, Callable[[], Any]]:
        """What must run while the store is open, by name."""
        return {"store.writer": self._writer.run, "store.upkeep": self._upkeep.run}

    async def close(self) -> None:
        """Close the file; the writer's task has been ended with `finish` before."""
        for timer in (self._save_timer, self._tell_timer):
            if timer is not None:
                timer.cancel()
        await self._database.close()

    def finish(self) -> None:
        """Let the writer's task end once everything that waits is stored."""
        self._burials.tell_due(self._clock.monotonic(), all_of_it=True)
        self._ride.finish()
        self._writer.close()

    # --- taking readings

    def series(self, device: str, patient: str | None, common: dict[str, Any]) -> int:
        """The number under which `common` (metric_type, units, quality, flags) of this device is kept."""
        return self._book.number(device, patient, common)

    def append(
        self, series: int, stamp: Stamp, body: bytes, urgent: bool = False, mark: tuple[str, Any] | None = None
    ) -> int:
        """Queue one reading. The sequence number that it will have; 0 = the queue is full, nothing was kept.

        `body` should be of its exact size: what orjson returns holds on to its working buffer. `mark`: a key of the
        small state and its value, which are written in the transaction of this reading, never without it.
        """
        if mark is None:
            return self._writer.append(series, stamp, body, urgent)
        return self._writer.append(series, stamp, body, urgent, mark=(mark[0], b"%b" % orjson.dumps(mark[1])))

    def lost(self, device: str, count: int, reason: str) -> None:
        """Readings that could not be taken: they become a gap record, which is stored and forwarded."""
        self._losses.add(device, count, reason, self._clock.now())
        self._tell_soon()

    def event(self, kind: str, fields: dict[str, Any]) -> int:
        """Store and forward an event of the gateway (contract: gateway_events)."""
        series = self._book.number("", None, {"event": kind})
        return self._writer.append(series, self._clock.now(), b"%b" % orjson.dumps(fields), event=True)

    async def room(self) -> None:
        """Until `append` takes again."""
        await self._writer.room()

    async def stored(self, seq: int, hurry: bool = False) -> None:
        """Until the row is fsynced, with `hurry` at once. StoreFull when the agent stops before that could be."""
        await self._writer.stored(seq, hurry)

    # --- reading

    @property
    def head(self) -> int:
        """The highest stored sequence number."""
        return self._writer.head

    def reading_id(self, seq: int) -> str:
        return f"{self.gateway}:{self.epoch}:{seq}"

    def series_of(self, number: int) -> Series:
        return self._book.get(number)

    def time_of(self, record: Record) -> tuple[int, str]:
        """Wall microseconds and how far to trust them: synchronised, rectified or unsynchronised."""
        if record.bits & IN_STEP:
            return record.wall, "synchronised"
        shift = self._boots.shift(self._book.get(record.series).boot)
        return (record.wall, "unsynchronised") if shift is None else (record.mono + shift, "rectified")

    def recent(self, seq: int, limit: int) -> list[Record] | None:
        """Stored records from `seq` on, of both tracks, if memory still has them."""
        return self._tail.since(seq, limit)

    async def page(self, track: int, lo: int, hi: int, limit: int) -> list[Record]:
        """Up to `limit` records of one track (0 normal, 1 urgent) in [lo, hi), in order, their series in memory.

        A row whose checksum fails is left out and becomes a gap record. Fewer than `limit`: there are no more.
        """
        return await self._lookup.page(track, lo, hi, limit)

    async def history(
        self,
        device: str | None = None,
        metric: str | None = None,
        since: int | None = None,
        until: int | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> HistoryPage:
        """Newest first; times in wall microseconds, `before` a sequence number: the `cursor` of what came before.

        It may stop early, see History; pages for the brokers never wait behind it.
        """
        return await self._lookup.history(device, metric, since, until, limit, before)

    async def one(self, seq: int) -> Record | None:
        return await self._lookup.one(seq)

    # --- brokers

    def position(self, broker: str) -> DeliveryPosition:
        """What this broker name owes; a name seen for the first time owes everything from now on."""
        if broker not in self._ride.positions:
            starting = self._starting if self._ride.forget_starting else 0
            self._ride.positions[broker] = DeliveryPosition.starting(broker, starting or self.head + 1)
            self._ride.save_now()
            self._writer.wake()
        return self._ride.positions[broker]

    def keep_for(self, brokers: Collection[str]) -> None:
        """Retention waits for these brokers; others keep their position but hold nothing back."""
        self._upkeep.configured = tuple(brokers)
        for broker in brokers:
            self.position(broker)

    def before_save(self, note: Callable[[], None]) -> Callable[[], None]:
        """Have `note` called before positions are written; call the result to end that."""
        self._ride.before_save.append(note)
        return lambda: self._ride.before_save.remove(note)

    def settled(self, rows: int) -> None:
        """A lane is done with so many rows: written with one of the next commits, or on its own a little later."""
        self._ride.settled(rows)
        if not self._save_timer:
            self._save_timer = asyncio.get_running_loop().call_later(SAVE_SOON, self._save_positions)

    def dead_letter(self, broker: str, seq: int, code: int | None, reason: str, event: bool = False) -> None:
        """A broker refused this row for good: kept with the reason, and told as an event; of a flood some are, with
        their count. An `event` that was refused is not told by another one: it would never end."""
        self._ride.add_dead(broker, seq, code, reason)
        if not event:
            self._burials.add(broker, self.reading_id(seq), code, reason, self._clock.monotonic())
        self._writer.wake()
        self._tell_soon()

    async def backlog(self) -> list[dict[str, Any]]:
        """For each configured broker: how many readings it owes, how many are urgent, since when.

        Not `exact` when counting took more than a second: what is left was estimated; asking again goes on.
        """
        for note in self._ride.before_save:
            note()
        give_up = self._clock.monotonic() + PATIENCE
        return [await self._owing(broker, give_up) for broker in self._upkeep.configured or ()]

    async def owe_again(self, since: int, until: int | None, device: str | None) -> int:
        """Every configured broker owes the readings of [since, until) again; how many there are."""
        count, runs, before = 0, RangeCollector(), None
        while True:
            part = await self.history(device, None, since, until, PART, before)
            for record in part:
                runs.add(record.seq)
            count += len(part)
            if part.cursor is None:
                break
            before = part.cursor
        for note in self._ride.before_save:  # what was delivered until now must not settle what is owed from now on
            note()
        for broker in self._upkeep.configured or ():
            for lo, hi in runs:
                self.position(broker).owe(lo, hi)
        self._save_positions()
        return count

    # --- records about the log

    async def gaps(self, limit: int = 100) -> list[dict[str, Any]]:
        return [
            gap_counter.gap_dict(row[1:]) | {"id": row[0]} for row in await self._database.read("gap_list", (limit,))
        ]

    async def dead_letters(self, limit: int = 100, broker: str | None = None) -> list[dict[str, Any]]:
        rows = await self._database.read("dead_letter_list", {"broker": broker, "limit": limit})
        return [
            {"time": rfc3339(time), "broker": name, "reading": self.reading_id(seq), "code": code, "reason": reason}
            for _, time, name, seq, code, reason in rows
        ]

    async def stats(self) -> dict[str, Any]:
        """How the log is. Without a number of rows: counting reads the whole file, which may be 2 GB on a card."""
        sizes = await self._upkeep.sizes()
        return {
            "path": str(self.path),
            "state": self.state,
            "head": self.head,
            "queue": self._writer.waiting,
            "commits": self._writer.commits,
            "stored": self._writer.rows,
            "commit_seconds": round(self._writer.commit_seconds, 6),
            "lost": self._losses.total,
            "dropped": self._upkeep.dropped,
            "repairs": self.repairs,
            "bytes": sizes["used"],
            "file_bytes": sizes["file"],
            "wal_bytes": sizes["wal"],
        }

    @property
    def state(self) -> str:
        """`ok`, or a sentence that says what is the matter."""
        if self._writer.trouble:
            return self._writer.trouble
        return "ok" if self._upkeep.state == "ok" else f"the log is full, {self._upkeep.state}"

    @property
    def commits(self) -> int:
        return self._writer.commits

    @property
    def waiting(self) -> int:
        """Readings that wait for the disk."""
        return self._writer.waiting

    async def state_get(self, key: str) -> Any | None:
        """Raises StoreError."""
        try:
            rows = await self._database.read("state_get", (key,))
        except sqlite3.Error as error:
            raise StoreError(f"The log could not be read: {explain(error)}.") from error
        try:
            return orjson.loads(rows[0][0]) if rows else None
        except orjson.JSONDecodeError:
            log.error("what the log keeps as %s is damaged; it is taken for absent", key)
            return None

    async def states(self, prefix: str) -> dict[str, Any]:
        """The small state under every key that begins so, by the rest of the key. Raises StoreError."""
        try:
            rows = await self._database.read("state_like", {"prefix": prefix, "skip": len(prefix)})
        except sqlite3.Error as error:
            raise StoreError(f"The log could not be read: {explain(error)}.") from error
        found = {}
        for key, value in rows:
            try:
                found[str(key)] = orjson.loads(value)
            except orjson.JSONDecodeError:
                log.error("what the log keeps as %s%s is damaged; it is taken for absent", prefix, key)
        return found

    async def state_put(self, key: str, value: Any) -> None:
        """Durable when it returns; None forgets the key. Raises StoreError."""
        name, params = ("state_drop", (key,)) if value is None else ("state_put", (key, orjson.dumps(value)))
        try:
            await self._database.write(name, params)
        except sqlite3.Error as error:
            raise StoreError(f"The log could not be written: {explain(error)}.") from error

    # --- settings and clock

    def configure(self, settings: StoreSettings) -> None:
        self._upkeep.settings = settings
        self._writer.interval = settings.commit_interval

    async def clock_in_step(self) -> bool:
        """The clock is synchronised now: readings of this boot taken before get their time from its boot time.

        False when that was known, or could not be written: ask again.
        """
        if self._boots.shift(self._boots.current) is not None:
            return False
        now = self._clock.now()
        row = (*self._boots.row()[:2], now.wall - now.mono)
        try:
            await self._database.write("boot_put", row)
        except sqlite3.Error as error:
            log.warning("that the clock is in step could not be written: %s", explain(error))
            return False
        self._boots.put(row)
        self._lookup.zones.forget()  # times are others now
        return True

    # --- opening and mending

    async def _load(
        self, settings: StoreSettings, free: Callable[[], int], report: maintenance.SalvageReport | None = None
    ) -> None:
        """`report`: of a repair that was made just before."""
        self._database = Database(self.path)
        self.epoch, found = await open_file(self._database, self.gateway)
        report = found or report
        database, clock = self._database, self._clock
        last, floor, self._starting, top, top_boot = [
            int(value or 0)
            for value in (
                (await database.read("reading_last"))[0][0],
                await self._meta("floor"),
                await self._meta("starting"),
                (await database.read("series_top"))[0][0],
                (await database.read("boot_top"))[0][0],
            )
        ]
        next_seq = max(last, floor) + 1
        self._losses = GapCounter()
        self._burials = DeadLetterEvents(lambda fields: self.event("dead-letter", fields))
        self._ride = PendingWrites(clock, self._losses, self._announce)
        self._ride.forget_starting = bool(self._starting)
        self._tail = RecentRecords(next_seq)
        self._writer = StoreWriter(
            database, clock, next_seq, settings.commit_interval, self._ride, self._stored, self._trouble, self._rng
        )
        self._boots = BootClock(await database.read("boots"), top_boot, clock.boot_id)
        if self._boots.is_new:
            self._ride.add_boot(self._boots.row())
        known = whole_series(await database.read("series_load", (self._boots.current,)))
        self._book = SeriesBook(self._boots.current, top, known, self._ride.add_series)
        self._lookup = StoreQueries(database, clock, self._book, lambda: self.head, self._damaged_row, self._trouble)
        self._upkeep = RetentionRule(
            database,
            self._writer,
            self._ride,
            clock,
            self._boots.current,
            free,
            self._lookup.zones.forget,
            self._trouble,
        )
        self._upkeep.settings = settings
        self._mender = StoreRecovery(
            database, clock, self._upkeep.make_room, lambda: self._writer.next_seq, self.epoch, self._mended
        )
        self.ledger = CommandLedger(database)
        self._ride.positions = load(await database.read("owed_load"))
        self._ride.tell(await database.read("gap_untold", (0,)))
        if report is not None:
            self._report_repair(report)

    async def _meta(self, key: str) -> str | None:
        rows = await self._database.read("meta_get", (key,))
        return str(rows[0][0]) if rows else None

    async def _trouble(self, error: sqlite3.Error) -> bool:
        return await self._mender.trouble(error)

    async def _mended(self, report: maintenance.SalvageReport) -> None:
        """A new file is open, nobody else reads or writes yet. What memory knows is newer than what it holds."""
        for boot in self._boots.rows():
            self._ride.add_boot(boot)
        for series in self._book.known():
            self._ride.add_series(series)
        for position in self._ride.positions.values():
            position.dirty = True
        self._ride.forget_starting = True
        self._ride.save_now()
        self._ride.refile(await self._database.probe("gap_untold", (0,)))
        self._lookup.zones.forget()
        self._report_repair(report)

    def _report_repair(self, report: maintenance.SalvageReport) -> None:
        self.repairs += 1
        log.error("the damaged database was set aside as %s; %d rows carried over", report.aside, report.rows)
        self.event("store-repaired", {"rows": report.rows, "lost_at_least": report.lost, "file": report.aside_name})

    # --- what happens

    def _stored(self, batch: list[Record]) -> None:
        self._tail.extend(batch)
        self._upkeep.grown(sum(len(record.body) for record in batch) + 40 * len(batch))
        for listener in tuple(self.on_stored):
            try:
                listener()
            except Exception:  # the log goes on, whoever looks at it
                log.exception("a listener failed")

    def _damaged_row(self) -> None:
        self.lost("", 1, "damaged-row")

    def _announce(self, gap: tuple[Any, ...]) -> int:
        return self.event("gap", gap_counter.gap_dict(gap[1:]))

    def _save_positions(self) -> None:
        self._save_timer = None
        self._ride.save_now()
        self._writer.wake()

    def _tell_soon(self) -> None:
        """Counted losses and dead letters are told at once, or when their turn comes."""
        if self._tell_timer is not None:
            return
        now = self._clock.monotonic()
        lefts = [left for left in (self._ride.losses_left(), self._burials.left(now)) if left is not None]
        if 0 in lefts:
            self._writer.wake()
        later = [left for left in lefts if left]
        if later:
            self._tell_timer = asyncio.get_running_loop().call_later(min(later) + 0.01, self._tell)

    def _tell(self) -> None:
        self._tell_timer = None
        self._burials.tell_due(self._clock.monotonic())
        self._tell_soon()

    async def _owing(self, broker: str, give_up: float) -> dict[str, Any]:
        position = self.position(broker)
        owing = [await self._lookup.owing(track, list(position.owed[track]), give_up) for track in TRACKS]
        oldest = min((each.first for each in owing if each.first is not None), default=None)
        record = await self.one(oldest) if oldest is not None else None
        return {
            "broker": broker,
            "readings": sum(each.rows for each in owing),
            "urgent": owing[URGENT_TRACK].rows,
            "exact": all(each.exact for each in owing),
            "oldest": rfc3339(self.time_of(record)[0]) if record else None,
            "ranges": sum(len(position.owed[track]) for track in TRACKS),
        }
