"""Audit entries of commands: names and decisions, never values, tokens or subject references."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, Protocol

from gatepost.agent.commands.authorization import declared
from gatepost.agent.commands.model import CommandRequest, CommandResponse, RefusedCommand
from gatepost.agent.commands.parsed_command import ParsedCommand
from gatepost.agent.core.token_bucket import TokenBucket
from gatepost.agent.store.command_ledger import LedgerEntry
from gatepost.drivers.driver import Command

NAME = re.compile(r"[a-z0-9_.-]{1,64}")
BURST = 100
EVERY = 10.0  # seconds for one more line about refused commands: at most about 9,000 lines a day
SUMMARY = 60.0


class AuditRecorder(Protocol):
    """Takes an entry without waiting; agent/audit/log.py."""

    def record(self, what: str, **fields: Any) -> None: ...


class AuditEvents:
    """Audit entries of commands; refusals, which anybody can provoke, are bounded, and those over the bound counted."""

    def __init__(self, audit: AuditRecorder, monotonic: Callable[[], float]) -> None:
        self._audit = audit
        self._budget = TokenBucket(1 / EVERY, BURST, monotonic())
        self._monotonic = monotonic
        self._unrecorded = 0
        self._timer: asyncio.TimerHandle | None = None

    def note(self, what: str, **fields: Any) -> None:
        self._audit.record(what, **fields)

    def begun(self, request: CommandRequest, parsed: ParsedCommand, command: Command) -> None:
        names = [name for name in declared(command) if name in parsed.parameters]
        self._audit.record("command", **_who(request, parsed, command.name), decision="begun", parameters=names)

    def ended(self, entry: LedgerEntry, response: CommandResponse) -> None:
        key = response.error["key"] if response.error else None
        self._audit.record(
            "command",
            source=entry.source,
            target=entry.target or "gateway",
            command=entry.command,
            id=entry.id,
            decision=response.status,
            key=key,
        )

    def refused(self, request: CommandRequest, parsed: ParsedCommand, refusal: RefusedCommand) -> None:
        if self._budget.take(self._monotonic()):
            self._unrecorded += 1
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(SUMMARY, self.sum_up)
            return
        name = parsed.command if parsed.command and NAME.fullmatch(parsed.command) else None
        self._audit.record("command", **_who(request, parsed, name), decision=refusal.status, key=refusal.key)

    def sum_up(self) -> None:
        """Say how many refusals were not written down one by one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        count, self._unrecorded = self._unrecorded, 0
        if count:
            self._audit.record("commands-refused", count=count)


def _who(request: CommandRequest, parsed: ParsedCommand, name: str | None) -> dict[str, Any]:
    target = "gateway" if request.target is None else request.target
    return {"source": request.source, "target": target, "command": name, "id": parsed.id}
