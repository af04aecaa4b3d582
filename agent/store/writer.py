"""Store writer: group commit of the readings that wait, in one fsynced transaction; only then are they stored."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any, Protocol

import orjson

from gatepost.agent.core.backoff import Backoff
from gatepost.agent.core.clock import Clock, Stamp
from gatepost.agent.core.errors import StoreFull
from gatepost.agent.store.database import Database, TransactionRun
from gatepost.agent.store.model import EVENT, IN_STEP, ROW_WIDTH, URGENT, Record, reading_params

log = logging.getLogger(__name__)

QUEUE_ROWS = 6000  # bound of what waits for the disk
QUEUE_BYTES = 4_000_000
COMMIT_ROWS = 2000  # as many do not wait for the interval
COMMIT_BYTES = 1_000_000
ROW_COST = 100
EARLY = 0.002  # seconds by which a commit may come before its turn, and a twentieth of the interval: timers are coarse
FIRST_RETRY, LONGEST_RETRY = 0.25, 10.0
LAST_TRIES = 3  # commits that may fail once the agent stops
DAMAGE_CODES = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)
DAMAGE_MESSAGES = (
    "UNIQUE constraint failed: reading.seq",  # numbers are given once, so a row is not where it was put
    "no such table",
    "no such column",
    "unsupported file format",
    "Could not decode to UTF-8",  # sqlite3's own word for a text that is none
)  # SQLITE_ERROR, and no statement of ours is wrong


class ExtraWrites(Protocol):
    """What else goes into the same transaction, and what to do when it held or failed."""

    def due(self) -> bool:
        """Whether it is worth a commit of its own."""
        ...

    def waiting(self) -> bool:
        """Whether there is anything for a commit that is made anyway; if not, `write` need not be called."""
        ...

    async def write(self, run: TransactionRun) -> None:
        """Add it to the transaction."""

    def held(self) -> None:
        """The transaction is on the disk."""

    def failed(self) -> None:
        """It is not: all of it waits for the next one."""


class AppendReading(Protocol):
    """`StoreWriter.append` as devices use it."""

    def __call__(
        self, series: int, stamp: Stamp, body: bytes, urgent: bool = False, mark: tuple[str, Any] | None = None
    ) -> int: ...


class StoreWriter:
    """Writer of the log: the bounded queue before the disk, and the task that commits it.

    At most one commit in `interval` seconds, except at once for a reading after a quiet spell, for an urgent one, and
    when COMMIT_ROWS wait.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        next_seq: int,
        interval: float,
        extras: ExtraWrites,
        on_stored: Callable[[list[Record]], None],
        on_trouble: Callable[[sqlite3.Error], Awaitable[bool]],
        rng: Random,
        on_committing: Callable[[TransactionRun, int | None, int], None],
    ) -> None:
        self.interval = interval
        self.on_turn: list[Callable[[], None]] = []  # called before a commit that had to wait for its turn,
        self.on_commit: list[Callable[[], None]] = []  # and these before every commit
        self.together = False  # what is appended now goes into one transaction with what was appended before it
        self.refusing: str | None = None  # why nothing is taken, when the settings say refuse
        self.trouble: str | None = None  # why the last commit failed
        self.commits = 0
        self.rows = 0
        self.commit_seconds = 0.0
        self.next_seq = next_seq
        self.head = next_seq - 1
        self._database = database
        self._clock = clock
        self._extras = extras
        self._on_stored = on_stored
        self._on_trouble = on_trouble
        self._rng = rng
        self._on_committing = on_committing  # adds what goes with it, and what follows before anybody is told
        self._queue: list[Record] = []
        self.committed = 0  # number of the newest commit that is on disk
        self._begun = 0  # number of the newest one that was begun
        # Small state for the next commit; the newest of each key, None = forget.
        self._marks: dict[str, bytes | None] = {}
        self._queued = 0
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._blocked: list[asyncio.Future[None]] = []
        self._idle: asyncio.Future[None] | None = None  # the task waits for something to write,
        self._paced: asyncio.Future[None] | None = None  # or for the turn of the next commit
        self._hurried = False
        self._stop = asyncio.Event()
        self._last = clock.monotonic() - interval
        self._closing = False
        self._ended = False

    @property
    def waiting(self) -> int:
        """Rows that wait for the disk."""
        return len(self._queue)

    @property
    def unstored(self) -> int:
        """Readings that wait; none of them is told as stored."""
        return sum(not record.bits & EVENT for record in self._queue)

    @property
    def waiting_octets(self) -> int:
        return self._queued

    @property
    def full(self) -> bool:
        """Whether no reading is taken now."""
        return len(self._queue) >= QUEUE_ROWS or self._queued >= QUEUE_BYTES or self.refusing is not None

    @property
    def _overfull(self) -> bool:
        return len(self._queue) >= 2 * QUEUE_ROWS or self._queued >= 2 * QUEUE_BYTES

    def append(
        self,
        series: int,
        stamp: Stamp,
        body: bytes,
        urgent: bool = False,
        mark: tuple[str, Any] | None = None,
        event: bool = False,
    ) -> int:
        """Queue one reading. The sequence number that its row will have; 0 when the queue is full, and nothing was kept
        (events, and what belongs `together`, may fill it twice over).

        `body` should be of its exact size: what orjson returns holds on to its working buffer. `mark`: a key of the
        small state and its value, which are written in the transaction of this reading, never without it.
        """
        queue, queued = self._queue, self._queued
        count = len(queue)
        if (count >= QUEUE_ROWS or queued >= QUEUE_BYTES or self.refusing is not None) and (
            not (event or self.together) or self._overfull
        ):
            return 0
        if mark is not None:
            self._marks[mark[0]] = b"%b" % orjson.dumps(mark[1])
        seq = self.next_seq
        self.next_seq = seq + 1
        bits = (URGENT if urgent else 0) | (IN_STEP if stamp.synchronised else 0) | (EVENT if event else 0)
        queue.append(Record(seq, series, stamp.wall, stamp.mono, bits, body))
        self._queued = queued = queued + len(body) + ROW_COST
        if urgent or count + 1 >= COMMIT_ROWS or queued >= COMMIT_BYTES:
            self.hurry()
        if self._idle is not None:
            self.wake()
        return seq

    def append_all(self, stamp: Stamp, rows: Sequence[tuple[int, bytes]]) -> int:
        """`append` of plain readings (series, body) of one moment; how many were taken, the first ones."""
        queue, queued, seq = self._queue, self._queued, self.next_seq
        room = 0 if self.refusing is not None else QUEUE_ROWS - len(queue)
        wall, mono, bits = stamp.wall, stamp.mono, IN_STEP if stamp.synchronised else 0
        for series, body in rows:
            if room <= 0 or queued >= QUEUE_BYTES:
                break
            room -= 1
            queue.append(Record(seq, series, wall, mono, bits, body))
            seq += 1
            queued += len(body) + ROW_COST
        taken, self.next_seq, self._queued = seq - self.next_seq, seq, queued
        if len(queue) >= COMMIT_ROWS or queued >= COMMIT_BYTES:
            self.hurry()
        if self._idle is not None:
            self.wake()
        while taken < len(rows) and self.append(rows[taken][0], stamp, rows[taken][1]):
            taken += 1  # beyond the bound, where they belong `together`
        return taken

    @property
    def ticket(self) -> int:
        """Number of the commit that holds what is appended and noted now: once `committed` is there, it is on disk."""
        return self._begun + 1

    def note(self, key: str, value: bytes | None) -> int:
        """Small state (JSON, None forgets the key) for the very transaction of what was appended just before; its
        ticket."""
        self._marks[key] = value
        self.wake()
        return self.ticket

    def hurry(self) -> None:
        """Somebody waits: commit now."""
        self._hurried = True
        _done(self._paced)

    def wake(self) -> None:
        """There is something else to write."""
        idle, self._idle = self._idle, None
        _done(idle)

    async def wait_until_writable(self) -> None:
        """Return once `append` takes readings again."""
        while self.full:
            future = asyncio.get_running_loop().create_future()
            self._blocked.append(future)
            await future

    async def stored(self, seq: int, hurry: bool = False) -> None:
        """Until the row is fsynced; `hurry` does not wait for the next commit's turn. Raises StoreFull when the writer
        ends before that."""
        if seq <= self.head:
            return
        if self._ended:
            raise self._not_stored()
        if hurry:
            self.hurry()
        future = asyncio.get_running_loop().create_future()
        self._waiters.append((seq, future))
        await future

    def until_commit(self) -> float:
        """Seconds until a commit may begin; 0.0: what is appended now goes with the next one, without waiting."""
        wait = self._last + self.interval - self._clock.monotonic()
        return wait if wait > min(EARLY, self.interval / 20) else 0.0

    def until_turn(self) -> float:
        """Seconds for which what is appended from now on would wait for its commit."""
        wait = self.until_commit()
        begins = self._queue and self._begun == self.committed  # what waits is committed now, without it
        return self.interval if begins and not wait else wait

    def refuse(self, why: str | None) -> None:
        """Take nothing, and say why; None: take readings again."""
        self.refusing = why
        self._make_room()

    async def run(self) -> None:
        """The task. Ends after `close()` when everything that waited is stored or cannot be."""
        backoff, tries = Backoff(self._rng, FIRST_RETRY, LONGEST_RETRY), LAST_TRIES
        while True:
            if not self._has_work():
                if self._closing:
                    self._ended = True
                    return
                await self._until_work()
                continue
            await self._turn()
            _call(self.on_commit)
            self._hurried = False
            try:
                await self._commit()
            except sqlite3.Error as error:
                if self.trouble is None:
                    log.error("nothing can be stored: %s; readings that wait: %d", error, len(self._queue))
                self.trouble = explain(error)
                mended = await self._on_trouble(error)
                if self._closing:
                    tries -= 1
                    if not tries:
                        self._give_up()
                        return
                elif not mended:
                    await self._rest(backoff.next())
            else:
                if self.trouble is not None:
                    log.warning("storing works again")
                self.trouble = None
                backoff.reset()

    def close(self) -> None:
        self._closing = True
        self._stop.set()
        self.hurry()
        self.wake()

    async def _rest(self, seconds: float) -> None:
        """Sleep, but not when the agent stops meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return

    def _has_work(self) -> bool:
        return bool(self._queue or self._marks) or self._extras.due()

    async def _until_work(self) -> None:
        """Until something is to be written, or may be: whoever wakes the task has not looked."""
        idle = self._idle = asyncio.get_running_loop().create_future()
        try:
            await idle
        finally:
            self._idle = None

    async def _turn(self) -> None:
        """Until the next commit may begin."""
        wait = self.until_commit()
        if not wait or self._hurried or self._closing:
            return
        loop = asyncio.get_running_loop()
        paced = self._paced = loop.create_future()
        timer = loop.call_later(wait, self._turn_comes, paced)
        try:
            await paced
        finally:
            self._paced = None
            timer.cancel()

    def _turn_comes(self, paced: asyncio.Future[None]) -> None:
        _call(self.on_turn)
        _done(paced)

    async def _commit(self) -> None:
        began = self._clock.monotonic()
        self._last = began
        run = self._database.transaction()
        cancelled: asyncio.CancelledError | None = None
        try:
            async with run:
                # At one moment: a row must never be committed without the series that it belongs to.
                batch, marks = list(self._queue), list(self._marks.items())
                self._begun = number = self._begun + 1
                more = self._extras.waiting()
                if more:
                    await self._extras.write(run)
                run.many_flat("reading_insert", reading_params(batch), ROW_WIDTH)
                for key, mark in marks:
                    run.later(*(("state_drop", (key,)) if mark is None else ("state_put", (key, mark))))
                self._on_committing(run, batch[-1].seq if batch else None, len(batch))
        except BaseException as error:
            if not run.committed or not isinstance(error, asyncio.CancelledError):
                self._extras.failed()
                raise
            cancelled = error  # it came while the disk was busy, and what is stored is told
        if more:
            self._extras.held()
        for key, value in marks:
            if self._marks.get(key) is value:  # else a row that waits brought a newer one
                self._marks.pop(key, None)
        self.commits += 1
        self.commit_seconds = self._clock.monotonic() - began
        self.committed = number
        if batch:
            self.rows += len(batch)
            del self._queue[: len(batch)]
            octets = sum([len(record.body) for record in batch])
            self._queued -= octets + ROW_COST * len(batch)
            self.head = batch[-1].seq
            self._tell()
            self._make_room()
        if batch or marks:
            self._on_stored(batch)
        if cancelled is not None:
            raise cancelled

    def _tell(self) -> None:
        if self._waiters:
            for seq, future in self._waiters:
                if seq <= self.head:
                    _done(future)
            self._waiters = [(seq, future) for seq, future in self._waiters if not future.done()]

    def _make_room(self) -> None:
        if self._blocked and not self.full:
            blocked, self._blocked = self._blocked, []
            for future in blocked:
                _done(future)

    def _not_stored(self) -> StoreFull:
        return StoreFull("the reading could not be stored before the agent stopped", self.trouble or "")

    def _give_up(self) -> None:
        self._ended = True
        for _, future in self._waiters:
            if not future.done():
                future.set_exception(self._not_stored())
        self._waiters = []
        log.error("stopping with %d readings that could not be stored: %s", len(self._queue), self.trouble)


def _call(listeners: list[Callable[[], None]]) -> None:
    for call in tuple(listeners):
        try:
            call()
        except Exception:  # what waits is stored all the same
            log.exception("before a commit")


def _done(waited: asyncio.Future[None] | None) -> None:
    if waited is not None and not waited.done():
        waited.set_result(None)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is at fault, not the room or the rights."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in DAMAGE_CODES:
        return True
    return any(word in str(error) for word in DAMAGE_MESSAGES)


def is_full(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL


def explain(error: sqlite3.Error) -> str:
    """What is the matter, in words."""
    text = str(error)
    if is_full(error):
        return "the disk is full"
    if "readonly" in text or "read-only" in text:
        return "the disk or the database file is read-only"
    if is_damage(error):
        return "the database file is damaged"
    return text
