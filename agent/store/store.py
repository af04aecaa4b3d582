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

from agent.clock import Clock, Stamp, rfc3339
from agent.errors import StoreError
from agent.events import Events
from agent.settings.model import Store as StoreSettings
from agent.store import maintenance
from agent.store.database import Database
from agent.store.extras import RideAlong
from agent.store.ledger import Ledger
from agent.store.losses import Losses
from agent.store.positions import TRACKS, URGENT_TRACK, Position
from agent.store.ranges import FOREVER
from agent.store.rows import IN_STEP, Record, Series, checksum
from agent.store.schema import migrate
from agent.store.series import SeriesBook, from_row
from agent.store.tail import Tail
from agent.store.upkeep import Upkeep, free_space
from agent.store.writer import Writer, explain, is_damage

log = logging.getLogger(__name__)


class Store:
    """One database file. Made by `open`; the owner runs `tasks()` and calls `close`."""

    def __init__(self, path: Path, gateway: str, clock: Clock, events: Events, rng: Random) -> None:
        self.path = path
        self.gateway = gateway
        self.epoch = ""
        self.on_stored: list[Callable[[], None]] = []
        self.repairs = 0
        self._clock = clock
        self._events = events
        self._rng = rng
        self._shifts: dict[int, int | None] = {}
        self._damaged: set[int] = set()
        self._save_timer: asyncio.TimerHandle | None = None
        self._healing = asyncio.Lock()

    @classmethod
    async def open(
        cls,
        path: Path,
        gateway: str,
        settings: StoreSettings,
        clock: Clock,
        events: Events,
        rng: Random | None = None,
        free: Callable[[], int] | None = None,
    ) -> Store:
        """Open or make the log; a damaged file is set aside and what can be read of it is carried over.

        Raises StoreError when the directory cannot be written or the file belongs to a newer agent.
        """
        store = cls(path, gateway, clock, events, rng or Random())  # noqa: S311 - jitter, no secret
        await store._load(settings, free or (lambda: free_space(str(path.parent))))
        return store

    def tasks(self) -> dict[str, Callable[[], Any]]:
        """What must run while the store is open, by name."""
        return {"store.writer": self._writer.run, "store.upkeep": self._upkeep.run}

    async def close(self) -> None:
        """Close the file; the writer's task has been ended with `finish` before."""
        await self._database.close()

    def finish(self) -> None:
        """Let the writer's task end once everything that waits is stored."""
        self._ride.save_now()
        self._writer.close()

    # --- taking readings

    def series(self, device: str, patient: str | None, common: dict[str, Any]) -> int:
        """The number under which `common` (metric_type, units, quality, flags) of this device is kept."""
        return self._book.number(device, patient, common)

    def append(self, series: int, stamp: Stamp, body: bytes, urgent: bool = False) -> int:
        """Queue one reading. The sequence number that it will have; 0 = the queue is full, nothing was kept."""
        return self._writer.append(series, stamp, body, urgent)

    def lost(self, device: str, count: int, reason: str) -> None:
        """Readings that could not be taken: they become a gap record, which is stored and forwarded."""
        self._losses.add(device, count, reason, self._clock.now())
        self._writer.wake()

    def event(self, kind: str, fields: dict[str, Any]) -> int:
        """Store and forward an event of the gateway (contract: gateway_events)."""
        series = self._book.number("", None, {"event": kind})
        return self._writer.append(series, self._clock.now(), orjson.dumps(fields), event=True)

    async def room(self) -> None:
        """Until `append` takes again."""
        await self._writer.room()

    async def stored(self, seq: int) -> None:
        """Until the row is fsynced. StoreFull when the agent stops without having been able to."""
        await self._writer.stored(seq)

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
        shift = self._shifts.get(self._book.get(record.series).boot)
        return (record.wall, "unsynchronised") if shift is None else (record.mono + shift, "rectified")

    def recent(self, seq: int, limit: int) -> list[Record] | None:
        """Stored records from `seq` on, of both tracks, if memory still has them."""
        return self._tail.since(seq, limit)

    async def page(self, track: int, lo: int, hi: int, limit: int) -> list[Record]:
        """Up to `limit` records of one track (0 normal, 1 urgent) in [lo, hi), in order, their series loaded.

        A row whose checksum fails is left out and becomes a gap record. Fewer than `limit`: there are no more.
        """
        name = "reading_page_urgent" if track == URGENT_TRACK else "reading_page"
        hi = min(hi, self.head + 1)
        found: list[Record] = []
        while len(found) < limit:
            wanted = limit - len(found)
            part, rows, last = await self._records(name, (lo, hi, wanted))
            found += part
            if rows < wanted:
                break
            lo = last + 1
        return found

    async def history(
        self,
        device: str | None = None,
        metric: str | None = None,
        since: int | None = None,
        until: int | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> list[Record]:
        """Newest first; times in wall microseconds, `before` a sequence number (the cursor)."""
        found, _, _ = await self._records(
            "reading_history",
            {
                "device": device,
                "metric": metric,
                "since": since,
                "until": until,
                "limit": limit,
                "before": min(before or FOREVER, self.head + 1),
            },
        )
        return found

    async def one(self, seq: int) -> Record | None:
        found, _, _ = await self._records("reading_one", (seq,))
        return found[0] if found else None

    # --- brokers

    def position(self, broker: str) -> Position:
        """What this broker name owes; a name seen for the first time owes everything from now on."""
        if broker not in self._ride.positions:
            self._ride.positions[broker] = Position.starting(broker, self._starting or self.head + 1)
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

    def dead_letter(self, broker: str, seq: int, code: int | None, reason: str) -> None:
        """A broker refused this row for good; kept with the reason, and told as an event."""
        self._ride.add_dead(broker, seq, code, reason)
        fields = {"broker": broker, "reading": self.reading_id(seq), "code": code, "reason": reason}
        self.event("dead-letter", fields)

    async def backlog(self) -> list[dict[str, Any]]:
        """For each configured broker: how many readings it owes, how many are urgent, since when."""
        for note in self._ride.before_save:
            note()
        return [await self._owing(broker) for broker in self._upkeep.configured]

    async def owe_again(self, since: int, until: int | None, device: str | None) -> int:
        """Every configured broker owes the readings of [since, until) again; how many there are."""
        count, before = 0, None
        low = high = 0
        while True:
            part = await self.history(device, None, since, until, PART, before)
            for record in part:
                if record.seq + 1 != low:
                    self._owe(low, high)
                    high = record.seq + 1
                low = record.seq
            count += len(part)
            if not part:  # a short one may have left out damaged rows
                break
            before = part[-1].seq
        self._owe(low, high)
        self._ride.settled(0)
        self._save_positions()
        return count

    def _owe(self, lo: int, hi: int) -> None:
        for note in self._ride.before_save:  # what was delivered until now must not settle what is owed from now on
            note()
        for broker in self._upkeep.configured:
            self.position(broker).owe(lo, hi)

    # --- records about the log

    async def gaps(self, limit: int = 100) -> list[dict[str, Any]]:
        return [gap_dict(row[1:]) | {"id": row[0]} for row in await self._database.read("gap_list", (limit,))]

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
        return orjson.loads(rows[0][0]) if rows else None

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
        """The clock is synchronised now: readings of this boot taken before get their time from its boot time."""
        if self._shifts.get(self._boot) is not None:
            return False
        now = self._clock.now()
        await self._database.write("boot_shift", (now.wall - now.mono, self._boot))
        self._shifts[self._boot] = now.wall - now.mono
        return True

    # --- opening and mending

    async def _load(self, settings: StoreSettings, free: Callable[[], int]) -> None:
        report = None
        self._database = Database(self.path)
        try:
            await self._open_file()
        except sqlite3.Error as error:
            if not is_damage(error):
                raise StoreError(
                    f"The database {self.path} cannot be opened: {explain(error)}.",
                    "Is the state directory writable for the agent, and is there space?",
                ) from error
            report = await asyncio.to_thread(maintenance.salvage, self.path)
            await self._open_file()
        last = int((await self._database.read("reading_last"))[0][0])
        floor = await self._meta("floor")
        next_seq = max(last, int(floor or 0)) + 1
        self._starting = int(await self._meta("starting") or 0)
        self._losses = Losses()
        self._ride = RideAlong(self._clock, self._losses, self._announce)
        self._tail = Tail(next_seq)
        interval = settings.commit_interval
        self._writer = Writer(
            self._database, self._clock, next_seq, interval, self._ride, self._stored, self._trouble, self._rng
        )
        self._boot = await self._find_boot()
        top = int((await self._database.read("series_top"))[0][0])
        known = [from_row(row) for row in await self._database.read("series_load", (self._boot,))]
        self._book = SeriesBook(self._boot, top, known, self._ride.add_series)
        self._upkeep = Upkeep(self._database, self._writer, self._ride, self._clock, self._boot, free)
        self._upkeep.settings = settings
        self.ledger = Ledger(self._database)
        for broker, track, lo, hi in await self._database.read("owed_load"):
            self._ride.positions.setdefault(broker, Position(broker)).owed[track].add(lo, hi)
        self._ride.tell(await self._database.read("gap_untold"))
        if report is not None:
            self._report_repair(report)

    async def _open_file(self) -> None:
        await self._database.open()
        try:
            self.epoch = await migrate(self._database, self.gateway)
            for probe in ("reading_last", "reading_first", "series_top", "owed_load", "gap_untold"):
                await self._database.read(probe)
        except BaseException:
            await self._database.close()
            raise

    async def _meta(self, key: str) -> str | None:
        rows = await self._database.read("meta_get", (key,))
        return str(rows[0][0]) if rows else None

    async def _find_boot(self) -> int:
        self._shifts = dict(await self._database.read("boots"))
        found = await self._database.read("boot_find", (self._clock.boot_id,))
        if not found:
            await self._database.write("boot_add", (self._clock.boot_id,))
            found = await self._database.read("boot_find", (self._clock.boot_id,))
        self._shifts[found[0][0]] = found[0][1]
        return int(found[0][0])

    async def _records(self, name: str, params: Any) -> tuple[list[Record], int, int]:
        """The good ones; how many rows there were, damaged ones included; the last one's sequence number."""
        try:
            rows = await self._database.read(name, params)
            records = []
            for seq, series, wall, mono, bits, crc, body in rows:
                if crc == checksum(seq, body):
                    records.append(Record(seq, series, wall, mono, bits, body))
                else:
                    self._bad_row(seq)
            numbers = {record.series for record in records}
            await self._book.load(self._database, numbers)
            for orphan in self._book.unknown(numbers):
                records = [record for record in records if record.series != orphan]
        except sqlite3.Error as error:
            if not await self._trouble(error):
                raise StoreError(f"The log could not be read: {explain(error)}.") from error
            return await self._records(name, params)
        return records, len(rows), rows[-1][0] if rows else 0

    def _bad_row(self, seq: int) -> None:
        if seq not in self._damaged:
            self._damaged.add(seq)
            log.error("row %d of the log is damaged; it is left out", seq)
            self.lost("", 1, "damaged-row")

    def _stored(self, batch: list[Record]) -> None:
        self._tail.extend(batch)
        self._upkeep.grown(sum(len(record.body) for record in batch) + 40 * len(batch))
        for listener in self.on_stored:
            listener()

    def _announce(self, gap: tuple[Any, ...]) -> int:
        return self.event("gap", gap_dict(gap[1:]))

    def _save_positions(self) -> None:
        self._save_timer = None
        self._ride.save_now()
        self._writer.wake()

    async def _owing(self, broker: str) -> dict[str, Any]:
        position = self.position(broker)
        counts = [0, 0]
        oldest: int | None = None
        for track in TRACKS:
            name = "reading_count_urgent" if track == URGENT_TRACK else "reading_count"
            for lo, hi in position.owed[track]:
                count, first = (await self._database.read(name, (lo, min(hi, self.head + 1))))[0]
                counts[track] += count
                if first is not None:
                    oldest = first if oldest is None else min(oldest, first)
        record = await self.one(oldest) if oldest is not None else None
        return {
            "broker": broker,
            "readings": sum(counts),
            "urgent": counts[URGENT_TRACK],
            "oldest": rfc3339(self.time_of(record)[0]) if record else None,
            "ranges": sum(len(position.owed[track]) for track in TRACKS),
        }

    async def _trouble(self, error: sqlite3.Error) -> bool:
        """Do what can be done about a failed statement; True when it is worth trying again at once."""
        if is_damage(error):
            return await self._heal()
        if "full" in str(error):
            try:
                await self._upkeep.make_room()
                await self._database.checkpoint("RESTART")
            except sqlite3.Error as again:
                log.debug("no room could be made: %s", again)
        return False

    async def _heal(self) -> bool:
        """The file is damaged under a running agent: set it aside, carry over what can be read, go on."""
        seen = self._database.generation
        async with self._healing:
            if self._database.generation != seen:
                return True
            log.error("the database is damaged; setting it aside and carrying over what can be read")
            try:
                await self._database.close()
                report = await asyncio.to_thread(maintenance.salvage, self.path, self._writer.next_seq)
                await self._open_file()
                await self._readopt()
            except (OSError, sqlite3.Error) as error:
                log.error("the database could not be mended: %s", error)
                return False
            self._report_repair(report)
            return True

    async def _readopt(self) -> None:
        """What memory knows is newer than what the file could still tell."""
        self._boot = await self._find_boot()
        kept = {int(row[0]) for row in await self._database.read("series_load", (self._boot,))}
        for series in self._book.current():
            if series.number not in kept:
                self._ride.add_series(series)
        for position in self._ride.positions.values():
            position.dirty = True
        self._ride.save_now()

    def _report_repair(self, report: maintenance.Report) -> None:
        self.repairs += 1
        log.error("the damaged database was set aside as %s; %d rows carried over", report.aside, report.rows)
        self.event("store-repaired", {"rows": report.rows, "lost_at_least": report.lost, "file": report.aside_name})
        if report.lost:
            self.lost("", report.lost, "damaged-database")


PART = 2000  # readings looked at in one query of a resend
SAVE_SOON = 5.0  # seconds until changed positions are written when no reading brings a commit


def gap_dict(row: tuple[Any, ...]) -> dict[str, Any]:
    """A gap as people see it: what was lost, when and why."""
    time, reason, device, brokers, count, urgent, first, last, since, until = row[:10]
    return {
        "time": rfc3339(time),
        "reason": reason,
        "device_id": device or None,
        "brokers": brokers.split(",") if brokers else [],
        "count": count,
        "urgent": urgent,
        "first": first,
        "last": last,
        "since": rfc3339(since) if since is not None else None,
        "until": rfc3339(until) if until is not None else None,
    }
