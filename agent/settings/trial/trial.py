"""Trial of changed settings: try, then confirm or revert; one at a time, undone by itself when nobody confirms."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from gatepost.agent.core.clock import Clock, rfc3339
from gatepost.agent.core.errors import Conflict, StoreError
from gatepost.agent.core.events import EventBus
from gatepost.agent.core.named_files import read_regular
from gatepost.agent.settings.trial.record import (
    ENDED,
    TrialReason,
    TrialRecord,
    TrialState,
    end_record,
    put_back,
    read_record,
    write_record,
)

log = logging.getLogger(__name__)

EVENT = "settings.trial"
RETRY = 30.0  # seconds after which a revert that failed is tried again


class TrialAudit(Protocol):
    def record(self, what: str, **fields: Any) -> None: ...


class SettingsTrial:
    """Trial of one drop of the agent's own.

    `begin` is called before the drop is written, `started` once what it says is in force, `failed` when it could not be
    applied. `reapply` reads the settings again after a drop was put back; it says whether they are `applied`.
    """

    def __init__(
        self,
        state_dir: Path,
        clock: Clock,
        events: EventBus,
        audit: TrialAudit,
        reapply: Callable[[str], Awaitable[dict[str, Any]]],
        turn: asyncio.Lock,
    ) -> None:
        self.last: TrialRecord | None = read_record(state_dir, ENDED)
        self.on_ended: list[Callable[[], Awaitable[None]]] = []
        self._state_dir = state_dir
        self._clock = clock
        self._events = events
        self._audit = audit
        self._reapply = reapply
        self._turn = turn  # of whoever changes drops
        self._pending: TrialRecord | None = None
        self._drop = Path()
        self._put_back = False  # the drop is as before, and cannot be confirmed any more
        self._until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def pending(self) -> TrialRecord | None:
        return self._pending

    def check_free(self, only: str | None = None) -> None:
        """Raises Conflict while a change is on trial: what it would go back to must not change meanwhile. `only`: the
        one drop that would be changed."""
        if self._pending is not None and only in (None, self._pending.drop):
            message = f"a change by {self._pending.by} is on trial"
            raise Conflict(message, "confirm it or revert it first: `gatepost confirm`", "trial-pending")

    async def begin(self, drop: Path, changed: list[str], by: str, within: float) -> None:
        """On the disk when it returns. Raises StoreError."""
        try:
            before = await asyncio.to_thread(_text, drop)
            record = TrialRecord(
                id=secrets.token_hex(6),
                drop=drop.name,
                before=before,
                boot=self._clock.boot_id,
                by=by,
                changed=changed,
                began=self._clock.now().wall,
                within=within,
            )
            await asyncio.to_thread(write_record, self._state_dir, record)
        except OSError as error:
            raise StoreError(f"the trial could not be stored: {error.strerror or error}") from error
        self._pending, self._drop, self._put_back = record, drop, False
        self._until = self._clock.monotonic() + within

    def started(self) -> dict[str, Any]:
        """The time runs from now on."""
        assert self._pending is not None
        self._until = self._clock.monotonic() + self._pending.within
        self._timer = asyncio.get_running_loop().call_later(self._pending.within, self._expired)
        self._tell("trying")
        return self.view(self._pending)

    async def failed(self) -> None:
        """What was tried could not be applied, and the drop is as before."""
        if self._pending is not None:
            await self._end("reverted", "not-applied")

    async def confirm(self, by: str) -> dict[str, Any]:
        """Keep it. Raises Conflict where nothing is on trial."""
        async with self._turn:
            self._check_pending()
            if self._put_back:
                raise Conflict("the change is being undone", "`gatepost status` tells when it is", "no-trial")
            return await self._end("confirmed", None, by)

    async def revert(self, by: str | None = None) -> dict[str, Any]:
        """Back to what was before; `by` None = the time is over. Raises Conflict, StoreError."""
        async with self._turn:
            record = self._check_pending()
            try:
                await asyncio.to_thread(put_back, self._drop, record)
            except OSError as error:
                self._try_again()
                raise StoreError(f"{self._drop} could not be written: {error.strerror or error}") from error
            self._put_back = True
            result = await self._reapply("revert" if by else "not confirmed")
            if not result["applied"]:
                self._try_again()
                raise StoreError(f"what held before the trial could not be applied: {'; '.join(result['problems'])}")
            return await self._end("reverted", "asked" if by else "not-confirmed", by)

    def close(self) -> None:
        """The agent ends: what is on trial is undone by the next start."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()

    def as_dict(self) -> dict[str, Any]:
        return {
            "trial": None if self._pending is None else self.view(self._pending),
            "last": None if self.last is None else self.view(self.last),
        }

    def view(self, record: TrialRecord) -> dict[str, Any]:
        left = max(0.0, self._until - self._clock.monotonic()) if record is self._pending else 0.0
        return {
            "id": record.id,
            "state": record.state,
            "by": record.by,
            "changed": record.changed,
            "began": rfc3339(record.began),
            "until": rfc3339(record.began + int(record.within * 1e6)),
            "left": round(left, 1),
            "ended": None if record.ended is None else rfc3339(record.ended),
            "reason": record.reason,
        }

    def _check_pending(self) -> TrialRecord:
        if self._pending is None:
            raise Conflict("no change is on trial", "`gatepost apply FILE --confirm 2m` begins one", "no-trial")
        return self._pending

    def _try_again(self, left: float = 0.0) -> None:
        """Undo it in so many seconds."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(max(RETRY, left), self._expired)

    def _expired(self) -> None:
        task = asyncio.ensure_future(self._give_up())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _give_up(self) -> None:
        if self._pending is None:
            return
        log.warning("the change of settings by %s was not confirmed in time: it is undone", self._pending.by)
        try:
            await self.revert()
        except Conflict:
            return  # confirmed in the last moment
        except StoreError as error:
            log.error("the settings could not be put back, and it is tried again: %s", error.message)

    async def _end(self, state: TrialState, reason: TrialReason | None, by: str | None = None) -> dict[str, Any]:
        assert self._pending is not None
        record = msgspec.structs.replace(self._pending, state=state, reason=reason, ended=self._clock.now().wall)
        try:
            await asyncio.to_thread(end_record, self._state_dir, record)
        except OSError as error:
            self._try_again(self._until - self._clock.monotonic() if state == "confirmed" else 0.0)
            raise StoreError(f"the end of the trial could not be written: {error.strerror or error}") from error
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._pending, self.last = None, msgspec.structs.replace(record, before=None)
        self._tell(state, by)
        for ended in self.on_ended:
            await ended()
        return self.view(self.last)

    def _tell(self, state: TrialState, by: str | None = None) -> None:
        record = self._pending or self.last
        assert record is not None
        self._audit.record("settings-trial", id=record.id, state=state, reason=record.reason, by=by or record.by)
        self._events.emit(EVENT, self.view(record))


def _text(path: Path) -> str | None:
    try:
        return read_regular(path).decode("utf-8")
    except FileNotFoundError:
        return None
