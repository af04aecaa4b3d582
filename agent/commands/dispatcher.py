"""Dispatcher of commands from all sources: parse, authenticate, admit, record, execute at most once, respond."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from gatepost.agent.commands.admission import AdmittedCommand, CommandAdmission, CommandedDevices, duplicate
from gatepost.agent.commands.audit_events import AuditEvents, AuditRecorder
from gatepost.agent.commands.authentication import CommandAuthenticator
from gatepost.agent.commands.broker_copies import COPY, BrokerCopies
from gatepost.agent.commands.execution import ExecutionOutcome, ExecutionSlots, failure, outcome_within
from gatepost.agent.commands.gateway_commands import GatewayActions, carry_out
from gatepost.agent.commands.model import CommandRequest, CommandResponse, RefusedCommand
from gatepost.agent.commands.parsed_command import ParsedCommand, parse
from gatepost.agent.commands.recording import CommandRecorder
from gatepost.agent.commands.responder import UNKNOWN, CommandResponder, Send
from gatepost.agent.core.clock import Clock, rfc3339
from gatepost.agent.core.events import EventBus
from gatepost.agent.devices.builtin_commands import AcceptedCommand
from gatepost.agent.settings.model import Settings
from gatepost.agent.store.command_ledger import CommandLedger, LedgerEntry

T = TypeVar("T")

log = logging.getLogger(__name__)

MAX_REFUSALS = 32  # answers to refused commands on their way to brokers; what is refused beyond them gets none

STOPPING = RefusedCommand("busy", "The gateway is stopping.", "Try again in a moment.")


class CommandDispatcher:
    """Dispatcher of commands; `settings` gives those in force.

    Responses to brokers go through `send`, which says whether the broker is done with the message (acknowledged, or
    refused for good); every other source takes what `handle` returns. `send` also gets the final responses of lasting
    commands only where the source is a broker; others find them in the ledger and among the events.
    """

    def __init__(
        self,
        ledger: CommandLedger,
        audit: AuditRecorder,
        devices: CommandedDevices,
        gateway: GatewayActions,
        settings: Callable[[], Settings],
        clock: Clock,
        authenticator: CommandAuthenticator,
        send: Send,
        events: EventBus | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._devices = devices
        self._gateway = gateway
        self._authenticator = authenticator
        self._events = events
        self._audit = AuditEvents(audit, clock.monotonic)
        self._admission = CommandAdmission(ledger, devices, clock)
        self._recorder = CommandRecorder(ledger, self._audit, clock)
        self._copies = BrokerCopies(clock.monotonic)
        self._slots = ExecutionSlots()
        self._responder = CommandResponder(ledger, send, lambda: self._settings().gateway.id)
        self._ids: set[str] = set()  # of commands on the way to or through execution
        self._tasks: set[asyncio.Task[Any]] = set()
        self._lasting: set[asyncio.Task[Any]] = set()
        self._refusals: set[asyncio.Task[Any]] = set()
        self._closing = False

    async def start(self) -> int:
        """Before the first command: what an earlier process left is outcome-unknown; how many there were."""
        return await self._recorder.start()

    async def handle(self, request: CommandRequest) -> CommandResponse:
        """The response; never raises for what a request says. Cancelling the caller cancels no command."""
        parsed, refusal = await self._checked(request)
        if refusal is not None:
            return self._refuse(request, parsed, refusal)
        task = self._spawn(self._carry_out(request, parsed), self._tasks)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.cancelled():
                raise
            return self._response(request, parsed, ExecutionOutcome("outcome-unknown", error=UNKNOWN))

    async def take(self, request: CommandRequest, on_response: Callable[[CommandResponse], None]) -> None:
        """`handle` for a message that wants its acknowledgement: returns once the command is refused or recorded.
        Carrying it out takes as long as it takes, and so may the broker with the answer."""
        parsed, refusal = await self._checked(request)
        if refusal is not None:
            self._refuse(request, parsed, refusal)
            return
        recorded = asyncio.Event()
        task = self._spawn(self._carry_out(request, parsed, recorded), self._tasks)
        task.add_done_callback(lambda task: None if task.cancelled() else on_response(task.result()))
        task.add_done_callback(lambda _: recorded.set())
        await recorded.wait()

    async def resume(self, broker: str) -> int:
        """The broker's link is back: responses that it never acknowledged are sent again; how many it took."""
        return sum([await self._responder.resume(f"{kind}:{broker}") for kind in ("mqtt", "broadcast")])

    async def close(self, within: float = 3.0) -> None:
        """Take nothing more and let what runs end; what has not ended is outcome-unknown at the next start."""
        self._closing = True
        for task in self._lasting:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within)
        left = [*self._tasks, *self._lasting, *self._refusals]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        self._audit.sum_up()

    async def _checked(self, request: CommandRequest) -> tuple[ParsedCommand, RefusedCommand | None]:
        """The command, whose id is taken from then on, or why it is refused."""
        parsed, refusal = parse(request)
        if self._copies.is_copy(request, self._settings()):
            return parsed, COPY
        refusal = refusal or await self._authenticator.refusal(request, parsed, self._settings())
        refusal = refusal or self._not_now(parsed)
        if refusal is None:
            self._ids.add(parsed.id)
        return parsed, refusal

    def _not_now(self, parsed: ParsedCommand) -> RefusedCommand | None:
        if self._closing:
            return STOPPING
        return duplicate(None) if parsed.id in self._ids else None

    async def _carry_out(
        self, request: CommandRequest, parsed: ParsedCommand, recorded: asyncio.Event | None = None
    ) -> CommandResponse:
        try:
            return await self._carry(request, parsed, recorded)
        except Exception as error:
            log.exception("a command could not be handled")
            return self._response(request, parsed, failure(error))

    async def _carry(
        self, request: CommandRequest, parsed: ParsedCommand, recorded: asyncio.Event | None
    ) -> CommandResponse:
        """Admit, record, execute, record the outcome, respond."""
        settings = self._settings()
        try:
            admitted = await self._admission.admit(request, parsed, settings)
            if isinstance(admitted, RefusedCommand):
                return self._refuse(request, parsed, admitted)
            entry = await self._record(request, parsed, admitted, settings.commands.default_ttl)
            if isinstance(entry, RefusedCommand):
                return self._refuse(request, parsed, entry)
            if recorded is not None:
                recorded.set()
            work = self._execute(request, admitted)
            outcome = await self._slots.run(admitted, work, settings.commands.timeout)
            finished = asyncio.ensure_future(outcome.lasting.finished) if outcome.lasting else None
            response = self._response(request, parsed, outcome)
            await self._recorder.finish(entry, response)
        finally:
            self._ids.discard(parsed.id)
        await self._respond(request, entry, response)
        if outcome.lasting is not None and finished is not None:
            lasting = outcome.lasting._replace(finished=finished)
            self._spawn(self._follow(request, parsed, entry, lasting), self._lasting)
        return response

    async def _record(
        self, request: CommandRequest, parsed: ParsedCommand, admitted: AdmittedCommand, ttl: float
    ) -> LedgerEntry | RefusedCommand:
        """With a slot for its execution, which is given back if nothing comes of it."""
        refusal = self._slots.reserve(admitted)
        if refusal is not None:
            return refusal
        entry: LedgerEntry | RefusedCommand | None = None
        try:
            entry = await self._recorder.begin(request, parsed, admitted, ttl)
        finally:
            if not isinstance(entry, LedgerEntry):
                self._slots.release(admitted)
        return entry

    async def _execute(self, request: CommandRequest, admitted: AdmittedCommand) -> Any:
        if request.target is None:
            return await carry_out(self._gateway, admitted.command.name, admitted.parameters)
        return await self._devices.execute(request.target, admitted.command.name, admitted.parameters, request.source)

    async def _follow(
        self, request: CommandRequest, parsed: ParsedCommand, entry: LedgerEntry, lasting: AcceptedCommand
    ) -> None:
        """An accepted command to its end; its place among the lasting ones is held until then."""
        self._slots.lasting[entry.target] += 1
        try:
            outcome = await outcome_within(asyncio.ensure_future(lasting.finished), lasting.within)
            response = self._response(request, parsed, outcome)
            await self._recorder.finish(entry, response)
        finally:
            self._slots.lasting[entry.target] -= 1
        await self._respond(request, entry, response)

    async def _respond(self, request: CommandRequest, entry: LedgerEntry, response: CommandResponse) -> None:
        self._show(request, response)
        if request.remote:
            await self._responder.tell(entry, response.status, response.as_bytes())

    def _refuse(self, request: CommandRequest, parsed: ParsedCommand, refusal: RefusedCommand) -> CommandResponse:
        response = self._response(request, parsed, ExecutionOutcome(refusal.status, refusal.result, refusal.error))
        if refusal is COPY:
            return response
        self._audit.refused(request, parsed, refusal)
        if refusal.key != "duplicate":  # that id has an outcome of its own
            self._show(request, response)
        if request.remote and not refusal.silent:
            if len(self._refusals) < MAX_REFUSALS:
                self._spawn(self._responder.refuse(request, response), self._refusals)
            else:
                self._responder.lost += 1
        return response

    def _show(self, request: CommandRequest, response: CommandResponse) -> None:
        """To live views: what was decided, refusals too."""
        if self._events is not None and self._events.watched:
            self._events.emit("command", {**response.as_dict(), "source": request.source})

    def _response(self, request: CommandRequest, parsed: ParsedCommand, outcome: ExecutionOutcome) -> CommandResponse:
        return CommandResponse(
            parsed.id,
            request.target,
            parsed.command,
            outcome.status,
            outcome.result,
            outcome.error,
            rfc3339(self._clock.now().wall),
            self._settings().gateway.id if request.target is None else None,
        )

    def _spawn(self, work: Coroutine[Any, Any, T], among: set[asyncio.Task[Any]]) -> asyncio.Task[T]:
        task = asyncio.ensure_future(work)
        among.add(task)
        task.add_done_callback(among.discard)
        return task
