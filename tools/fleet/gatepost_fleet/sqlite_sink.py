"""SQLite sink: readings, each once, in one file; for trials where no PostgreSQL is. No desired state, no status."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import orjson

from gatepost_fleet.message import Parsed, Reading, RefusedMessage
from gatepost_fleet.postgres_sink import CHANGING, CLASH, SinkCount

BUSY_TIMEOUT = 30.0  # seconds that a worker waits for another one's transaction
_TABLES = """
create table if not exists reading (gateway_id text, log_epoch text, seq integer, payload text not null,
  primary key (gateway_id, log_epoch, seq)) without rowid;
create table if not exists refused (topic text not null, why text not null, payload blob not null);
create table if not exists stream_offset (stream text primary key, next integer not null);
"""


class SqliteSink:
    """SQLite sink over one connection, off the loop. A batch that raises was not stored. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        await self.close()
        self._connection = await asyncio.to_thread(self._open)

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await asyncio.to_thread(connection.close)

    async def write(self, items: Sequence[Parsed]) -> SinkCount:
        """Durable when it returns."""
        return await asyncio.to_thread(self._write, items)

    async def offset(self, stream: str) -> int | None:
        """How far a stream was read; None = not at all."""
        query = "select next from stream_offset where stream = ?"
        found = await asyncio.to_thread(lambda: self._opened().execute(query, (stream,)).fetchone())
        return None if found is None else int(found[0])

    async def keep_offset(self, stream: str, offset: int) -> None:
        """What was read until there is written."""
        query = "insert or replace into stream_offset values (?, ?)"
        await asyncio.to_thread(lambda: self._opened().execute(query, (stream, offset)))

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise OSError("the database is not open")
        return self._connection

    def _open(self) -> sqlite3.Connection:
        # The threads take turns: one call is awaited before the next.
        connection = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=full")
        connection.executescript(_TABLES)
        return connection

    def _write(self, items: Sequence[Parsed]) -> SinkCount:
        connection = self._opened()
        stored = repeated = 0
        clashes: list[RefusedMessage] = []
        refused = [each for each in items if isinstance(each, RefusedMessage)]
        with connection:
            connection.execute("begin immediate")
            for each in items:
                if not isinstance(each, Reading):
                    continue
                values = (*each[:3], each.payload)
                if connection.execute("insert or ignore into reading values (?, ?, ?, ?)", values).rowcount:
                    stored += 1
                elif self._same(connection, each):
                    repeated += 1
                else:
                    clashes.append(RefusedMessage(f"gateways/{each.gateway}", CLASH, each.payload.encode()))
            connection.executemany("insert into refused values (?, ?, ?)", [*clashes, *refused])
        return SinkCount(stored, repeated, len(clashes), len(refused))

    @staticmethod
    def _same(connection: sqlite3.Connection, reading: Reading) -> bool:
        """Whether the stored reading of this id has the same content, but for what a repeat may change."""
        query = "select payload from reading where gateway_id = ? and log_epoch = ? and seq = ?"
        (text,) = connection.execute(query, reading[:3]).fetchone()
        one, two = (
            {name: value for name, value in orjson.loads(payload).items() if name not in CHANGING}
            for payload in (text, reading.payload)
        )
        return one == two
