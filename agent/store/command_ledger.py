"""Command ledger: a row before execution, its outcome after; so an id is executed at most once, over restarts.

Times are microseconds since 1970 (UTC). Every writing call is durable (fsynced) when it returns.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from gatepost.agent.core.clock import Stamp
from gatepost.agent.core.errors import StoreError

DAY = 86_400_000_000
KEEP = 30 * DAY
KEEP_AT_MOST = 366 * DAY  # however far `expires_at` lies ahead
UNUSABLE = (sqlite3.Error, OSError, ValueError)  # aiosqlite says ValueError once the connection is closed
ROWS = 100_000  # bounds the table on a box whose clock is never synchronised


OnBegun = Callable[[int, int | None], Awaitable[None]]


class NamedStatements(Protocol):
    """Named statements: `name` is one of queries.sql."""

    async def write(self, name: str, params: Sequence[Any] | Mapping[str, Any], /) -> int: ...

    async def read(self, name: str, params: Sequence[Any] | Mapping[str, Any], /) -> list[tuple[Any, ...]]: ...


class LedgerEntry(msgspec.Struct, frozen=True):
    """A command that was let through; `target` "" is the gateway, `digest` is of its parameters."""

    id: str
    target: str
    source: str
    command: str
    digest: bytes
    state: str = "executing"
    recorded: int = 0
    finished: int | None = None
    floating: bool = False  # the id is a digest of a payload that had no time of its own
    topic: str | None = None
    correlation: bytes | None = None
    response: bytes | None = None
    answered: bool = False


class CommandLedger:
    """Ledger of commands: at most once, and no answer forgotten. Every call raises StoreError on failure."""

    def __init__(self, db: NamedStatements, on_begun: OnBegun | None = None) -> None:
        """`on_begun` is told when a command was recorded, before it is carried out, and when the newest of all was,
        where that may have been dated back."""
        self._db = db
        self._on_begun = on_begun
        self.horizon = 0  # a part of the ledger is lost: what was issued before (wall microseconds) may be done already

    async def begin(self, entry: LedgerEntry, stamp: Stamp, valid_until: int = 0, window: int | None = None) -> bool:
        """Record before execution; False = the id is known, execute nothing.

        The row is kept for 30 days and as long as the command is valid. A `floating` id is known for `window`
        microseconds only (None: as long as its row is kept).
        """
        keep = max(stamp.wall + KEEP, min(valid_until, stamp.wall + KEEP_AT_MOST)) if stamp.synchronised else 0
        values = {
            "id": entry.id,
            "target": entry.target,
            "source": entry.source,
            "command": entry.command,
            "digest": entry.digest,
            "recorded": stamp.wall,
            "keep_until": keep,
            "floating": int(entry.floating),
            "topic": entry.topic,
            "correlation": entry.correlation,
            "answered": int(entry.answered),
            "window": -1 if window is None else window,
        }
        begun = await self._write("ledger_begin", values) == 1
        if begun and self._on_begun is not None:
            await self._on_begun(stamp.wall, await self._newest() if entry.floating else None)
        return begun

    async def _newest(self) -> int | None:
        """When the newest command was recorded; a repeat takes the row of the first along, also to an earlier time."""
        with contextlib.suppress(StoreError):  # the command is recorded: it is to be carried out
            return int((await self._read("ledger_top", {}))[0][0] or 0)
        return None

    async def finish(self, id: str, state: str, now: int, response: bytes, answered: bool = False) -> bool:  # noqa: A002
        """Record the outcome, or `accepted`; False when there is no unfinished row of that id."""
        values = {"id": id, "state": state, "finished": now, "response": response, "answered": int(answered)}
        return await self._write("ledger_finish", values) == 1

    async def find(self, id: str) -> LedgerEntry | None:  # noqa: A002
        """The row of this id; None where there is none."""
        rows = await self._read("ledger_find", {"id": id})
        return _entry(rows[0]) if rows else None

    async def interrupted(self, now: int) -> int:
        """At start, before anything is begun: what an earlier process left unfinished becomes `outcome-unknown`."""
        return await self._write("ledger_interrupt", {"finished": now})

    async def unanswered(self, source: str, limit: int = 100, after: int = -1) -> list[LedgerEntry]:
        """Oldest first: outcomes whose answer was never acknowledged; `after` = `recorded` of the last one seen."""
        rows = await self._read("ledger_unanswered", {"source": source, "limit": limit, "after": after})
        return [_entry(row) for row in rows]

    async def answered(self, id: str, state: str) -> None:  # noqa: A002
        """The answer that told `state` was acknowledged."""
        await self._write("ledger_answered", {"id": id, "state": state})

    async def history(
        self, target: str | None = None, limit: int = 100, before: int | None = None
    ) -> list[LedgerEntry]:
        """Newest first; `target` None = all, "" = the gateway's own; `before` = `recorded` of the last one seen."""
        rows = await self._read("ledger_history", {"target": target, "limit": limit, "before": before})
        return [_entry(row) for row in rows]

    async def prune(self, stamp: Stamp, rows: int = ROWS) -> int:
        """Forget what is past its time (only by a synchronised clock), and the oldest beyond `rows`."""
        gone = 0
        if stamp.synchronised:
            await self._write("ledger_date", {"keep_until": stamp.wall + KEEP})
            gone = await self._write("ledger_prune", {"now": stamp.wall})
        return gone + await self._write("ledger_trim", {"rows": rows})

    async def _write(self, name: str, params: Mapping[str, Any]) -> int:
        try:
            return await self._db.write(name, params)
        except UNUSABLE as error:
            raise StoreError(f"the ledger of commands cannot be written: {error}") from error

    async def _read(self, name: str, params: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        try:
            return await self._db.read(name, params)
        except UNUSABLE as error:
            raise StoreError(f"the ledger of commands cannot be read: {error}") from error


def _entry(row: tuple[Any, ...]) -> LedgerEntry:
    entry = LedgerEntry(*row)
    return msgspec.structs.replace(entry, floating=bool(entry.floating), answered=bool(entry.answered))
