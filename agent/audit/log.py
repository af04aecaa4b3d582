"""Audit log of requests and decisions: append-only, hash-chained, without values or subjects."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from itertools import islice
from pathlib import Path
from typing import Any

from gatepost.agent.audit.file import AuditFile
from gatepost.agent.audit.hash_chain import KEEP, ChainLink, ChainReport, newest_first, unseal, verify
from gatepost.agent.core.clock import Clock, rfc3339
from gatepost.agent.core.errors import GatepostError

log = logging.getLogger(__name__)

HEAD = "audit-head"  # the store's state that remembers the chain's end
HEAD_EACH = 60.0  # seconds between two memories of it
GATHER = 0.05  # seconds in which entries gather for one fsync
WAITING = 1000
BATCH = 200
CHAIN = frozenset({"seq", "prev", "hash"})  # members that are not for callers
TEXT = 200  # characters of one value
MAX_BYTES = 4_000_000

StateGet = Callable[[str], Awaitable[Any | None]]
StatePut = Callable[[str, Any], Awaitable[None]]


class AuditLog:
    """`record` never waits and never fails: what cannot be written waits in a bounded queue; more is lost, counted."""

    def __init__(self, path: Path, file: AuditFile, clock: Clock, state_put: StatePut, keep: int = KEEP) -> None:
        self.path = path
        self._file = file
        self._keep = keep
        self._clock = clock
        self._state_put = state_put
        self._waiting: deque[dict[str, Any]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._lost = 0
        self._head_saved: float | None = None
        self._trouble = False

    @classmethod
    async def open(
        cls,
        path: Path,
        clock: Clock,
        state_get: StateGet,
        state_put: StatePut,
        max_bytes: int = MAX_BYTES,
        keep: int = KEEP,
    ) -> AuditLog:
        """Find the end of the chain and go on; what is wrong with the file is noted in it. Raises OSError."""
        file = AuditFile(path, max_bytes, keep)
        known = await state_get(HEAD)
        head = ChainLink(int(known["seq"]), str(known["hash"])) if known else None
        audit = cls(path, file, clock, state_put, keep)
        notes = await asyncio.to_thread(file.open, head, rfc3339(clock.now().wall))
        for note in notes:
            log.warning("the audit log is not whole: %s", note["what"])
            audit._put(note)
        return audit

    def record(self, what: str, **fields: Any) -> None:
        """`what` happened; fields are text, numbers or lists of text, and are cut at 200 characters."""
        stamp = self._clock.now()
        entry = {name: _plain(value) for name, value in fields.items() if value is not None and name not in CHAIN}
        entry |= {"time": rfc3339(stamp.wall), "what": what}
        if not stamp.synchronised:
            entry["clock"] = "unsynchronised"
        self._put(entry)

    async def flush(self) -> None:
        """Until everything recorded so far is on the disk, or could not be written."""
        while self._task is not None:
            await asyncio.shield(self._task)

    async def close(self) -> None:
        await self.flush()
        if self._waiting:  # one more try for what could not be written
            self._kick()
            await self.flush()
        if self._file.last.seq:
            await self._save_head()
        await asyncio.to_thread(self._file.close)

    async def verify(self) -> ChainReport:
        """Check the whole chain against its end as this process wrote it."""
        await self.flush()
        return await asyncio.to_thread(verify, self.path, self._file.last, self._keep)

    async def tail(self, limit: int = 100, before: int | None = None, what: str | None = None) -> list[dict[str, Any]]:
        """Newest first; `before` = `seq` of the last one seen."""
        await self.flush()
        return await asyncio.to_thread(_read, self.path, limit, before, what)

    def _put(self, entry: dict[str, Any]) -> None:
        if len(self._waiting) >= WAITING:
            self._lost += 1
        else:
            self._waiting.append(entry)
        self._kick()

    def _kick(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        try:
            await asyncio.sleep(GATHER)
            while self._waiting:
                batch = list(islice(self._waiting, BATCH))
                count, error = await asyncio.to_thread(self._file.write, batch)
                for _ in range(count):
                    self._waiting.popleft()
                self._tell(error)
                if count < len(batch):
                    return  # the next entry, or the closing, tries again
                if self._lost and not self._waiting:
                    lost, self._lost = self._lost, 0
                    self.record("audit-lost", count=lost)
                if self._head_saved is None or self._clock.monotonic() - self._head_saved > HEAD_EACH:
                    await self._save_head()  # inside the loop: entries may come meanwhile
        finally:
            self._task = None

    async def _save_head(self) -> None:
        """In the store, so that a cut-off end shows; a store that cannot is no reason to stop auditing."""
        self._head_saved = self._clock.monotonic()
        try:
            await self._state_put(HEAD, self._file.last._asdict())
        except (GatepostError, OSError, ValueError) as error:
            log.warning("the end of the audit log could not be remembered: %s", error)

    def _tell(self, error: OSError | None) -> None:
        """Once for each spell of trouble."""
        if error is not None and not self._trouble:
            log.error("the audit log cannot be written: %s", error.strerror or error)
        self._trouble = error is not None


def _read(path: Path, limit: int, before: int | None, what: str | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for raw in newest_first(path):
        if len(found) >= limit:
            break
        entry = unseal(raw)
        if entry is None or (before is not None and entry["seq"] >= before) or (what and entry.get("what") != what):
            continue
        found.append(entry)
    return found


def _plain(value: Any, depth: int = 2) -> Any:
    """What may stand in a line: short, and JSON."""
    if isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 1 << 63):
        return value
    if isinstance(value, list | tuple) and depth:
        return [_plain(item, depth - 1) for item in value[:50]]
    if isinstance(value, dict) and depth:
        return {_plain(str(name)): _plain(item, depth - 1) for name, item in islice(value.items(), 50)}
    return str(value)[:TEXT].encode("utf-8", "replace").decode()
