"""Records of commands: in the ledger and the audit log before one is carried out, its outcome after."""

from __future__ import annotations

import hashlib
import logging

import msgspec
import orjson

from gatepost.agent.commands.admission import HARMLESS, AdmittedCommand, duplicate, unrecorded
from gatepost.agent.commands.audit_events import AuditEvents
from gatepost.agent.commands.expiry import valid_until
from gatepost.agent.commands.model import CommandRequest, CommandResponse, RefusedCommand
from gatepost.agent.commands.parsed_command import ParsedCommand
from gatepost.agent.commands.responder import topic_of
from gatepost.agent.core.clock import US, Clock
from gatepost.agent.core.errors import GatepostError
from gatepost.agent.store.command_ledger import CommandLedger, LedgerEntry

log = logging.getLogger(__name__)

PRIVATE = frozenset({"patient", "patient_id", "subject"})  # kept out of the ledger's digest
MAX_KEPT = 64 * 1024  # octets of a response that the ledger keeps for a later answer
PRUNE_EACH = 500  # commands


class CommandRecorder:
    """Recorder of commands; what cannot be recorded is not carried out."""

    def __init__(self, ledger: CommandLedger, audit: AuditEvents, clock: Clock) -> None:
        self._ledger = ledger
        self._audit = audit
        self._clock = clock
        self._count = 0
        self._started = False

    async def start(self) -> int:
        """What an earlier process left unfinished is outcome-unknown; how many there were."""
        stamp = self._clock.now()
        try:
            count = await self._ledger.interrupted(stamp.wall)
        except GatepostError as error:
            log.error("commands left unfinished by an earlier process could not be recorded yet: %s", error.message)
            return 0
        self._started = True
        if count:
            self._audit.note("commands-interrupted", count=count)
        await self._ledger.prune(stamp)
        return count

    async def begin(
        self, request: CommandRequest, parsed: ParsedCommand, admitted: AdmittedCommand, ttl: float
    ) -> LedgerEntry | RefusedCommand:
        entry = _entry(request, parsed, admitted)
        stamp = self._clock.now()
        until = valid_until(parsed.issued, parsed.expires, ttl) or 0
        window = None if request.redelivered else round(ttl * US)
        try:
            if not self._started:
                await self.start()
            if not await self._ledger.begin(entry, stamp, until, window):
                return duplicate(await self._ledger.find(entry.id))
            self._count += 1
            if self._count % PRUNE_EACH == 0:
                await self._ledger.prune(stamp)
        except GatepostError as error:
            if entry.command not in HARMLESS:
                return unrecorded(error)
        self._audit.begun(request, parsed, admitted.command)
        return entry

    async def finish(self, entry: LedgerEntry, response: CommandResponse) -> None:
        """Record the outcome; where that fails, the next start will say outcome-unknown."""
        kept = response.as_bytes()
        if len(kept) > MAX_KEPT:
            kept = msgspec.structs.replace(response, result={"too_large": len(kept)}).as_bytes()
        try:
            await self._ledger.finish(entry.id, response.status, self._clock.now().wall, kept, entry.answered)
        except GatepostError as error:
            log.error("the outcome of %s could not be recorded: %s", entry.command, error.message)
        self._audit.ended(entry, response)


def _entry(request: CommandRequest, parsed: ParsedCommand, admitted: AdmittedCommand) -> LedgerEntry:
    open_ = {name: value for name, value in parsed.parameters.items() if name not in PRIVATE}
    digest = hashlib.sha256(orjson.dumps(open_, option=orjson.OPT_SORT_KEYS)).digest()
    return LedgerEntry(
        parsed.id,
        admitted.target,
        request.source,
        admitted.command.name,
        digest,
        floating=parsed.floating,
        topic=topic_of(request),
        correlation=request.correlation,
        answered=not request.remote,
    )
