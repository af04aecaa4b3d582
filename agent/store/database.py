"""SQLite file: one connection that writes, one that reads for the lanes, one for whatever takes long; each has a
thread of its own. Named statements."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache, lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from gatepost.agent.core.named_files import off_loop

log = logging.getLogger(__name__)

T = TypeVar("T")


async def run_to_completion(work: Coroutine[Any, Any, T] | asyncio.Future[T]) -> T:
    """Await `work` to its end; a cancellation that comes meanwhile is raised after it, and does not reach it."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # looked at: the cancellation goes first
        raise cancelled
    return task.result()


Params = Sequence[Any] | Mapping[str, Any]
Rows = list[tuple[Any, ...]]

# 1 kB pages: a commit of a few small rows writes a few kB instead of a dozen (docs/how-a-reading-travels.md).
PAGE_SIZE = 1024
CHECKPOINT_PAGES = 4000
CACHE_KIB = 512
SEARCH_CACHE_KIB = 256
JOIN_TIMEOUT = 5.0
STATEMENTS = 60  # kept prepared
LONG, SHORT = 250, 25  # rows of a multi-row INSERT; what is left is inserted at once
PRAGMAS = (
    f"PRAGMA page_size = {PAGE_SIZE}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}",
    "PRAGMA journal_size_limit = 8000000",
    f"PRAGMA cache_size = -{CACHE_KIB}",
    "PRAGMA busy_timeout = 5000",
)

WRITE_PROBE = "PRAGMA incremental_vacuum(1)"  # changes nothing, and fails where the file cannot be written

FOLDER = Path(__file__).parent  # importlib.resources costs half a MiB
HEAD = re.compile(r"^-- name: (\w+) --$", re.MULTILINE)


class NotOpen(sqlite3.OperationalError):
    """The file is closed, or could not be opened again."""


def wal_of(database: Path) -> Path:
    """Its write-ahead log."""
    return database.with_name(database.name + "-wal")


def sql(name: str) -> str:
    """The statement of that name in queries.sql, without its semicolon; KeyError when there is none."""
    return _statements()[name]


@lru_cache(maxsize=STATEMENTS)
def _sql_of_many(name: str, rows: int) -> str:
    head, _, values = sql(name).rpartition("VALUES")
    return f"{head}VALUES {', '.join([values] * rows)}"


@cache
def _statements() -> dict[str, str]:
    _, *parts = HEAD.split((FOLDER / "queries.sql").read_text("utf-8"))
    return {name: text.strip().rstrip(";") for name, text in zip(parts[::2], parts[1::2], strict=True)}


class Database:
    """Database file. Every write is a transaction of its own and durable when the call returns.

    A cancelled caller never leaves a transaction open; a COMMIT once begun is finished. While the file is being
    `mended` everybody waits.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.generation = 0  # counts openings, so that two who met the same damage mend it once
        self.read_only = False  # the disk is full or read-only: what is there can be read
        self.in_memory = False  # there is no file, and none can be made: nothing can be written here either
        self._target = str(path)
        self._place: tuple[int, int] | None = None
        self._writer: aiosqlite.Connection | None = None
        self._reader: aiosqlite.Connection | None = None
        self._searcher: aiosqlite.Connection | None = None
        self._lock = asyncio.Lock()
        self._searching = asyncio.Lock()
        self._mended = asyncio.Event()
        self._mended.set()

    async def open(self) -> None:
        """Open the file, again where it was mended; only for reading where it cannot be written, and an empty one in
        memory where none can be made. Raises sqlite3.Error when it is not a database."""
        uri = self.path.absolute().as_uri()
        try:
            await self._open(str(self.path), (*PRAGMAS, WRITE_PROBE))
            self.read_only = self.in_memory = False
        except sqlite3.OperationalError as error:
            if is_locked(error):
                raise
            if not self.path.is_file() or not self.path.stat().st_size:
                if not _cannot_grow(self.path.parent, error):
                    raise
                await self._open(f"file:empty-{id(self)}?mode=memory&cache=shared", ())
                self.read_only = self.in_memory = True
                return
            wal = wal_of(self.path)
            # Without a write-ahead log the file is all there is: no index of the log is needed, which would be a file.
            whole = not wal.exists() or not wal.stat().st_size
            await self._open(f"{uri}?mode=ro{'&immutable=1' if whole else ''}", ())
            self.read_only = True
        seen = self.path.stat()
        self._place = (seen.st_dev, seen.st_ino)

    def is_at(self, seen: os.stat_result) -> bool:
        """Whether this is the file that is open."""
        return self._place is None or self._place == (seen.st_dev, seen.st_ino)

    async def seal(self) -> None:
        """What is in memory alone has its tables, and takes nothing from now on. Raises sqlite3.Error."""
        if self.in_memory:
            await _opened(self._writer).execute("PRAGMA query_only = ON")

    async def save_as(self, path: Path) -> None:
        """A whole copy of the open file, also when it was removed. For whoever mends; raises sqlite3.Error."""
        await _opened(self._writer).execute("VACUUM INTO ?", (str(path),))

    async def _open(self, target: str, pragmas: Sequence[str]) -> None:
        writer = await _connect(target, STATEMENTS)
        try:
            for pragma in pragmas:
                await writer.execute(pragma)
            await writer.execute_fetchall("SELECT count(*) FROM sqlite_master")
            self._target = target
            reader = await self._open_reader(CACHE_KIB)
        except UnicodeDecodeError as error:  # SQLite's complaint quotes octets of the damaged file
            await run_to_completion(writer.close())
            raise _undecodable(error) from error
        except BaseException:
            await run_to_completion(writer.close())
            raise
        self._writer, self._reader = writer, reader
        self.generation += 1

    async def close(self) -> None:
        """Queries under way are finished."""
        async with self._lock:
            await run_to_completion(self._close())

    @asynccontextmanager
    async def mending(self, close: bool = True) -> AsyncIterator[None]:
        """The file is closed, and whoever wants to read or write waits until the block is left; it should `open`.

        Not `close`: the block does it, by `close_now`."""
        async with self._lock:
            self._mended.clear()
            try:
                if close:
                    await self.close_now()
                yield
            finally:
                self._mended.set()

    async def close_now(self) -> None:
        """For whoever mends."""
        await run_to_completion(self._close())

    async def read(self, name: str, params: Params = ()) -> Rows:
        """All rows of a named query that takes little time; pages for the brokers wait behind it."""
        await self._mended.wait()
        return await self.probe(name, params)

    async def probe(self, name: str, params: Params = ()) -> Rows:
        """`read` for whoever mends."""
        return await _fetch(_opened(self._reader), sql(name), params)

    async def search(self, name: str, params: Params = ()) -> Rows:
        """A query that may take longer, on a connection of its own, opened when it is first needed."""
        await self._mended.wait()
        async with self._searching:
            if self._searcher is None:
                _opened(self._reader)
                self._searcher = await self._open_reader(SEARCH_CACHE_KIB)
            return await _fetch(self._searcher, sql(name), params)

    async def write(self, name: str, params: Params = ()) -> int:
        """One named statement in a transaction of its own; the number of rows it changed."""
        async with self.transaction() as run:
            run.later(name, params)
        return run.changed

    async def write_script(self, text: str) -> None:
        """Statements that begin and end their transactions themselves."""
        async with self._lock:
            await run_to_completion(_script(_opened(self._writer), text))

    def transaction(self) -> TransactionRun:
        """A transaction on the writing connection, for `async with`; fsynced when the block is left, rolled back on an
        error."""
        return TransactionRun(self._lock, lambda: _opened(self._writer))

    async def checkpoint(self, mode: str = "PASSIVE") -> None:
        """Copy the write-ahead log into the file; `mode` as of PRAGMA wal_checkpoint."""
        async with self._lock:
            await _opened(self._writer).execute_fetchall(f"PRAGMA wal_checkpoint({mode})")

    async def pragma(self, text: str) -> Any:
        """The first value of a reading PRAGMA."""
        await self._mended.wait()
        rows = list(await _opened(self._reader).execute_fetchall(f"PRAGMA {text}"))
        return rows[0][0] if rows else None

    async def log_size(self) -> int:
        """Octets of the write-ahead log, 0 where the disk does not tell."""
        wal = wal_of(self.path)
        try:
            return (await off_loop(f"size of {wal}", wal.stat)).st_size
        except OSError:
            return 0

    async def _open_reader(self, cache: int) -> aiosqlite.Connection:
        reader = await _connect(self._target)
        try:
            await reader.execute(f"PRAGMA cache_size = -{cache}")
            await reader.execute("PRAGMA query_only = ON")
        except BaseException:
            await run_to_completion(reader.close())
            raise
        return reader

    async def _close(self) -> None:
        """All connections, the writing one last: it empties the write-ahead log. Queries under way are finished."""
        async with self._searching:
            connections = (self._searcher, self._reader, self._writer)
            self._searcher = self._reader = self._writer = None
            problem: sqlite3.Error | None = None
            for connection in connections:
                if connection is not None:
                    try:
                        await connection.close()
                    except sqlite3.Error as error:
                        problem = error
            if problem is not None:
                raise problem


class ThreadResult(asyncio.Future[None]):
    """Result of what a database's thread does: whoever waits and is cancelled is told so once that has ended."""

    def cancel(self, msg: Any = None) -> bool:  # asked of the waiting task, which looks at it then
        return False


class TransactionRun:
    """Run of statements inside a transaction. Those that nobody waits for go to the thread with the next one that
    somebody does, or with COMMIT: a commit of readings wakes it once. `committed`: it is on the disk, whatever else
    has happened to whoever wanted it there."""

    def __init__(self, lock: asyncio.Lock, connection: Callable[[], aiosqlite.Connection]) -> None:
        self.changed = 0  # rows, by the last statement that was run
        self.committed = False
        self._lock = lock
        self._get = connection
        self._connection: aiosqlite.Connection
        self._due: list[tuple[str, Params]] = []
        self._begun = False
        self._then: list[Callable[[], None]] = []

    async def __aenter__(self) -> TransactionRun:
        await self._lock.acquire()
        try:
            self._connection = self._get()
        except BaseException:
            self._lock.release()
            raise
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, where: object) -> None:
        try:
            if error is None:
                await self._in_thread(self._run_and_commit)
        except BaseException:
            await self._roll_back()
            raise
        else:
            if error is not None:
                await self._roll_back()
        finally:
            self._lock.release()

    def later(self, name: str, params: Params = ()) -> None:
        """One statement; its error ends the transaction."""
        self._due.append((sql(name), params))

    def many(self, name: str, rows: Sequence[Sequence[Any]]) -> None:
        """Multi-row INSERTs: a statement for each row would hand the GIL over at every step. Few lengths, so that
        they stay prepared: each long statement takes as much memory as its rows."""
        if rows:
            self.many_flat(name, list(chain.from_iterable(rows)), len(rows[0]))

    def many_flat(self, name: str, params: list[Any], width: int) -> None:
        """The same with all rows in one list, `width` parameters each."""
        at, left = 0, len(params) // width
        while left:
            size = LONG if left >= LONG else SHORT if left >= SHORT else left
            end = at + size * width
            self._due.append((_sql_of_many(name, size), params[at:end]))
            at, left = end, left - size

    def then(self, work: Callable[[], None]) -> None:
        """`work` in the same thread, once all is committed. It may block."""
        self._then.append(work)

    async def __call__(self, name: str, params: Params = ()) -> int:
        """One statement, now; the number of rows it changed."""
        self.later(name, params)
        await self._in_thread(self._run)
        return self.changed

    async def read(self, name: str, params: Params = ()) -> Rows:
        """All rows of a named query, as this transaction sees them."""
        await self._in_thread(self._run)
        return await _fetch(self._connection, sql(name), params)

    async def _roll_back(self) -> None:
        """Does nothing where the failed statement has ended the transaction itself, or COMMIT has."""
        await run_to_completion(self._connection.rollback())

    def _in_thread(self, work: Callable[[sqlite3.Connection], None]) -> ThreadResult:
        """As Connection._execute does it, without a coroutine around the future."""
        connection = self._connection
        if not connection._running or connection._connection is None:
            raise NotOpen("the database is closed")
        future = ThreadResult()
        connection._tx.put_nowait((future, partial(work, connection._connection)))
        return future

    def _run(self, connection: sqlite3.Connection) -> None:
        """In the thread."""
        due, self._due = self._due, []
        if not self._begun:
            connection.execute("BEGIN IMMEDIATE")
            self._begun = True
        for text, params in due:
            self.changed = connection.execute(text, params).rowcount

    def _run_and_commit(self, connection: sqlite3.Connection) -> None:
        self._run(connection)
        connection.execute("COMMIT")
        self.committed = True
        for work in self._then:
            try:
                work()
            except Exception:  # what is committed must not look as if it were not
                log.exception("after a commit")


async def _connect(target: str, statements: int = 128) -> aiosqlite.Connection:
    uri = target.startswith("file:")
    connection = aiosqlite.connect(target, isolation_level=None, cached_statements=statements, uri=uri)
    # aiosqlite forgets a connection whose opening is cancelled: it is opened to the end, and closed.
    opening = asyncio.ensure_future(_opening(connection))
    try:
        return await run_to_completion(opening)
    except asyncio.CancelledError:
        if not opening.cancelled() and opening.exception() is None:
            await run_to_completion(connection.close())
        raise


async def _opening(connection: aiosqlite.Connection) -> aiosqlite.Connection:
    try:
        return await connection
    except BaseException:
        # Its thread still has to tell this event loop that it ends, and nobody else would wait for that.
        await run_to_completion(asyncio.to_thread(connection._thread.join, JOIN_TIMEOUT))
        raise


def _opened(connection: aiosqlite.Connection | None) -> aiosqlite.Connection:
    if connection is None:
        raise NotOpen("the database is not open")
    return connection


async def _fetch(connection: aiosqlite.Connection, text: str, params: Params) -> Rows:
    try:
        return list(await connection.execute_fetchall(text, params))  # type: ignore[arg-type]
    except UnicodeDecodeError as error:
        raise _undecodable(error) from error


def _cannot_grow(place: Path, error: sqlite3.Error) -> bool:
    """Whether it is the disk that is at fault: full, or read-only."""
    code = getattr(error, "sqlite_errorcode", None)
    return code == sqlite3.SQLITE_FULL or (place.is_dir() and bool(os.statvfs(place).f_flag & os.ST_RDONLY))


def is_locked(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def corrupt(what: str) -> sqlite3.DatabaseError:
    """Damage that SQLite itself does not see, as it would tell it."""
    error = sqlite3.DatabaseError(what)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _undecodable(error: UnicodeDecodeError) -> sqlite3.DatabaseError:
    return sqlite3.DatabaseError(f"Could not decode to UTF-8: {error.reason}")


async def _script(connection: aiosqlite.Connection, text: str) -> None:
    await connection.executescript(text)
