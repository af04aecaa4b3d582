"""The SQLite file: one connection that writes, one that reads, each with a thread of its own; named statements."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import aiosqlite

Params = Sequence[Any] | Mapping[str, Any]

# 1 kB pages: a commit of a few small rows writes a few kB instead of a dozen (docs/how-a-reading-travels.md).
PAGE_SIZE = 1024
CHECKPOINT_PAGES = 4000
CACHE_KIB = 1024
JOIN_TIMEOUT = 5.0
STATEMENTS = 60  # kept prepared
LENGTHS = (250, 25)  # rows of a multi-row INSERT; what is left is inserted at once
PRAGMAS = (
    f"PRAGMA page_size = {PAGE_SIZE}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}",
    "PRAGMA journal_size_limit = 8000000",
    f"PRAGMA cache_size = -{CACHE_KIB}",
    "PRAGMA busy_timeout = 5000",
)


@cache
def sql(name: str) -> str:
    """The text of `sql/<name>.sql`."""
    return files("agent.store").joinpath("sql", f"{name}.sql").read_text("utf-8").strip()


class Database:
    """The only door to SQLite. Every write is a transaction of its own and durable when the call returns."""

    _writer: aiosqlite.Connection
    _reader: aiosqlite.Connection

    def __init__(self, path: Path) -> None:
        self.path = path
        self.generation = 0  # counts openings, so that two who met the same damage mend it once
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Open the file, again after `close` where it was mended. Raises sqlite3.Error when it is no database."""
        writer = await _connect(self.path, cached_statements=STATEMENTS)
        try:
            for pragma in PRAGMAS:
                await writer.execute(pragma)
            reader = await _connect(self.path)
        except BaseException:
            await writer.close()
            raise
        try:
            await reader.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            await reader.execute("PRAGMA query_only = ON")
        except BaseException:
            await reader.close()
            await writer.close()
            raise
        self._writer, self._reader = writer, reader
        self.generation += 1

    async def close(self) -> None:
        async with self._lock:
            await self._reader.close()
            await self._writer.close()

    async def read(self, name: str, params: Params = ()) -> list[tuple[Any, ...]]:
        """All rows of a named query, on the reading connection."""
        return list(await self._reader.execute_fetchall(sql(name), params))  # type: ignore[arg-type]

    async def write(self, name: str, params: Params = ()) -> int:
        """One named statement in a transaction of its own; the number of rows it changed."""
        async with self.transaction() as run:
            return await run(name, params)

    async def write_script(self, text: str) -> None:
        async with self._lock:
            await self._writer.executescript(text)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Run]:
        """A transaction on the writing connection; fsynced when the block is left, rolled back on an error."""
        async with self._lock:
            await self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield Run(self._writer)
                await self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    await asyncio.shield(self._rollback())
                raise

    async def _rollback(self) -> None:
        try:
            await self._writer.execute("ROLLBACK")
        except sqlite3.Error:  # the failed statement may have ended the transaction itself
            if self._writer.in_transaction:
                raise

    async def checkpoint(self, mode: str = "PASSIVE") -> None:
        async with self._lock:
            await self._writer.execute_fetchall(f"PRAGMA wal_checkpoint({mode})")

    async def pragma(self, text: str) -> Any:
        """The first value of a reading PRAGMA."""
        rows = list(await self._reader.execute_fetchall(f"PRAGMA {text}"))
        return rows[0][0] if rows else None


async def _connect(path: Path, **options: Any) -> aiosqlite.Connection:
    connection = aiosqlite.connect(path, isolation_level=None, **options)
    try:
        return await connection
    except BaseException:
        # Its thread still has to tell this event loop that it ends, and nobody else would wait for that.
        await asyncio.to_thread(connection._thread.join, JOIN_TIMEOUT)
        raise


class Run:
    """Statements inside a transaction."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def __call__(self, name: str, params: Params = ()) -> int:
        cursor = await self._connection.execute(sql(name), params)
        return cursor.rowcount

    async def many(self, name: str, rows: Sequence[Sequence[Any]]) -> None:
        """Multi-row INSERTs: a statement for each row would hand the GIL over at every step. Few lengths, so that
        they stay prepared: each long statement takes as much memory as its rows."""
        head, _, values = sql(name).rpartition("VALUES")
        at = 0
        while at < len(rows):
            left = len(rows) - at
            size = next((length for length in LENGTHS if length <= left), left)
            flat = [value for row in rows[at : at + size] for value in row]
            await self._connection.execute(f"{head}VALUES {', '.join([values] * size)}", flat)
            at += size

    async def read(self, name: str, params: Params = ()) -> list[tuple[Any, ...]]:
        return list(await self._connection.execute_fetchall(sql(name), params))  # type: ignore[arg-type]
