"""Carrying a job out: recorded before, executed with a time limit, its outcome recorded after."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import orjson

from gatepost.agent.commands import gateway_commands
from gatepost.agent.commands.admission import HARMLESS, AdmittedCommand, DeviceRoom, duplicate, unrecorded
from gatepost.agent.commands.audit_events import AuditEvents
from gatepost.agent.commands.concurrency import ExecutionOutcome, ExecutionSlots
from gatepost.agent.commands.expiry import valid_until
from gatepost.agent.commands.model import CommandRequest, CommandResponse, RefusedCommand
from gatepost.agent.commands.parsed_command import ParsedCommand
from gatepost.agent.commands.responder import topic_of
from gatepost.agent.core.clock import US, Clock
from gatepost.agent.core.errors import GatepostError
from gatepost.agent.settings.model import CommandSettings
from gatepost.agent.store.command_ledger import CommandLedger, LedgerEntry

log = logging.getLogger(__name__)

PRIVATE = frozenset({"patient", "patient_id", "subject"})  # kept out of the ledger's digest
MAX_KEPT = 64 * 1024  # octets of a response that the ledger keeps for a later answer
PRUNE_EACH = 500


class CommandExecution:
    def __init__(
        self,
        ledger: CommandLedger,
        journal: AuditEvents,
        devices: DeviceRoom,
        actions: gateway_commands.GatewayActions,
        clock: Clock,
        bench: ExecutionSlots,
    ) -> None:
        self._ledger = ledger
        self._journal = journal
        self._devices = devices
        self._actions = actions
        self._clock = clock
        self._bench = bench
        self._begun = 0

    async def do(
        self, request: CommandRequest, order: ParsedCommand, job: AdmittedCommand, settings: CommandSettings
    ) -> tuple[LedgerEntry, ExecutionOutcome] | RefusedCommand:
        """The place on the bench is given back when the work has really ended."""
        refusal = self._bench.take(job.target, job.alone)
        if refusal is not None:
            return refusal
        task: asyncio.Task[Any] | None = None
        free: Callable[..., None] = lambda *_: self._bench.give_back(job.target, job.alone)  # noqa: E731
        try:
            entry = _entry(request, order, job)
            refusal = await self._begin(request, order, entry, settings)
            if refusal is not None:
                return refusal
            self._journal.begun(request, order, job.command)
            task = asyncio.ensure_future(self._start(request, job))
            return entry, await self._bench.run(task, settings.timeout)
        finally:
            if task is None or task.done():
                free()
            else:  # it would not let go: the device stays busy until it does
                task.add_done_callback(free)

    async def finish(self, entry: LedgerEntry, response: CommandResponse) -> None:
        """Record the outcome; where that fails, the next start will say outcome-unknown."""
        kept = response.as_bytes()
        if len(kept) > MAX_KEPT:
            kept = msgspec.structs.replace(response, result={"too_large": len(kept)}).as_bytes()
        try:
            await self._ledger.finish(entry.id, response.status, self._clock.now().wall, kept, entry.answered)
        except GatepostError as error:
            log.error("the outcome of %s could not be recorded: %s", entry.command, error.message)
        self._journal.ended(entry, response)

    async def _start(self, request: CommandRequest, job: AdmittedCommand) -> Any:
        work: Awaitable[Any]
        if request.target is None:
            work = gateway_commands.act(self._actions, job.command.name, job.parameters)
        else:
            given = msgspec.to_builtins(job.parameters)
            work = self._devices.execute(request.target, job.command.name, given, request.source)
        return await work

    async def _begin(
        self, request: CommandRequest, order: ParsedCommand, entry: LedgerEntry, settings: CommandSettings
    ) -> RefusedCommand | None:
        stamp = self._clock.now()
        until = valid_until(order.issued, order.expires, settings.default_ttl) or 0
        window = None if request.redelivered else round(settings.default_ttl * US)
        try:
            if not await self._ledger.begin(entry, stamp, until, window):
                return duplicate(await self._ledger.find(entry.id))
            self._begun += 1
            if self._begun % PRUNE_EACH == 0:
                await self._ledger.prune(stamp)
        except GatepostError as error:
            if entry.command not in HARMLESS:
                return unrecorded(error)
        return None


def _entry(request: CommandRequest, order: ParsedCommand, job: AdmittedCommand) -> LedgerEntry:
    open_ = {name: value for name, value in order.parameters.items() if name not in PRIVATE}
    digest = hashlib.sha256(orjson.dumps(open_, option=orjson.OPT_SORT_KEYS)).digest()
    return LedgerEntry(
        order.id,
        job.target,
        request.source,
        job.command.name,
        digest,
        floating=order.floating,
        topic=topic_of(request),
        correlation=request.correlation,
        answered=not request.remote,
    )
