"""One desk for all sources: authenticate, authorise, validate, record, execute at most once, answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from gatepost.agent.commands.admission import CommandAdmission, DeviceRoom, duplicate
from gatepost.agent.commands.audit_events import AuditEvents, AuditRecorder
from gatepost.agent.commands.authentication import CommandAuthenticator
from gatepost.agent.commands.concurrency import ExecutionOutcome, ExecutionSlots, failure
from gatepost.agent.commands.execution import CommandExecution
from gatepost.agent.commands.gateway_commands import GatewayActions
from gatepost.agent.commands.model import CommandRequest, CommandResponse, RefusedCommand
from gatepost.agent.commands.parsed_command import ParsedCommand, understand
from gatepost.agent.commands.responder import UNKNOWN, CommandResponder, Send
from gatepost.agent.core.clock import Clock, rfc3339
from gatepost.agent.core.events import EventBus
from gatepost.agent.devices.builtin_commands import AcceptedCommand
from gatepost.agent.settings.model import Settings
from gatepost.agent.store.command_ledger import CommandLedger, LedgerEntry

T = TypeVar("T")

log = logging.getLogger(__name__)

CLOSING = RefusedCommand("busy", "The gateway is stopping.", "Try again in a moment.")


class CommandDispatcher:
    """`settings` gives those in force.

    Answers to brokers go through `send`, which says whether the broker is done with the message (acknowledged, or
    refused for good); every other source takes what `handle` returns. `send` also gets the final answers of lasting
    commands only where the source is a broker; others find them in the ledger and among the events.
    """

    def __init__(
        self,
        ledger: CommandLedger,
        audit: AuditRecorder,
        devices: DeviceRoom,
        actions: GatewayActions,
        settings: Callable[[], Settings],
        clock: Clock,
        guard: CommandAuthenticator,
        send: Send,
        events: EventBus | None = None,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._clock = clock
        self._guard = guard
        self._events = events
        self._journal = AuditEvents(audit, clock.monotonic)
        self._bench = ExecutionSlots()
        self._judge = CommandAdmission(ledger, devices, clock)
        self._work = CommandExecution(ledger, self._journal, devices, actions, clock, self._bench)
        self._answers = CommandResponder(ledger, send, lambda: self._settings().gateway.id)
        self._known: set[str] = set()  # ids on the way to or through execution
        self._tasks: set[asyncio.Task[Any]] = set()
        self._lasting: set[asyncio.Task[Any]] = set()
        self._closing = False

    async def start(self) -> int:
        """Before the first command: what an earlier process left is outcome-unknown; how many there were."""
        stamp = self._clock.now()
        count = await self._ledger.interrupted(stamp.wall)
        if count:
            self._journal.note("commands-interrupted", count=count)
        await self._ledger.prune(stamp)
        return count

    async def handle(self, request: CommandRequest) -> CommandResponse:
        """Decide, carry out, answer; never raises for what a request says. Cancelling the caller cancels no command."""
        order, refusal = understand(request)
        if request.retained:
            refusal = RefusedCommand(
                "retained",
                "Retained commands are refused: they would come again at every connection.",
                "Publish without the retain flag, and clear the retained message with an empty one.",
                silent=not request.payload,
            )
        refusal = (
            refusal or self._guard.refusal(request, order, self._settings()) or (CLOSING if self._closing else None)
        )
        if refusal is None and order.id in self._known:
            refusal = duplicate(None)
        if refusal is not None:
            return await self._refuse(request, order, refusal)
        self._known.add(order.id)
        task = self._spawn(self._carry(request, order), self._tasks)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.cancelled():
                raise
            return self._response(request, order, ExecutionOutcome("outcome-unknown", error=UNKNOWN))
        except Exception as error:
            log.exception("a command could not be handled")
            return self._response(request, order, failure(error))

    async def resume(self, broker: str) -> int:
        """The broker's link is back: answers that it never acknowledged are sent again; how many it took."""
        return sum([await self._answers.resume(f"{kind}:{broker}") for kind in ("mqtt", "broadcast")])

    async def close(self, within: float = 3.0) -> None:
        """Take nothing more and let what is at work end; what is not through is outcome-unknown at the next start."""
        self._closing = True
        for task in self._lasting:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within)
        left = [*self._tasks, *self._lasting]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        self._journal.sum_up()

    async def _carry(self, request: CommandRequest, order: ParsedCommand) -> CommandResponse:
        try:
            verdict = await self._judge.verdict(request, order, self._settings())
            if not isinstance(verdict, RefusedCommand):
                done = await self._work.do(request, order, verdict, self._settings().commands)
                verdict = done if isinstance(done, RefusedCommand) else verdict
            if isinstance(verdict, RefusedCommand):
                return await self._refuse(request, order, verdict)
            assert not isinstance(done, RefusedCommand)
            entry, outcome = done
            finished = asyncio.ensure_future(outcome.lasting.finished) if outcome.lasting else None
            response = self._response(request, order, outcome)
            await self._work.finish(entry, response)
        finally:
            self._known.discard(order.id)
        await self._tell(request, entry, response)
        if outcome.lasting is not None and finished is not None:
            lasting = outcome.lasting._replace(finished=finished)
            self._spawn(self._follow(request, order, entry, lasting), self._lasting)
        return response

    async def _follow(
        self, request: CommandRequest, order: ParsedCommand, entry: LedgerEntry, lasting: AcceptedCommand
    ) -> None:
        """An accepted command to its end; its place among the lasting ones is held until then."""
        self._bench.lasting[entry.target] += 1
        try:
            outcome = await self._bench.run(asyncio.ensure_future(lasting.finished), lasting.within)
            response = self._response(request, order, outcome)
            await self._work.finish(entry, response)
        finally:
            self._bench.lasting[entry.target] -= 1
        await self._tell(request, entry, response)

    async def _tell(self, request: CommandRequest, entry: LedgerEntry, response: CommandResponse) -> None:
        self._show(request, response)
        if request.remote:
            await self._answers.tell(entry, response.status, response.as_bytes())

    async def _refuse(self, request: CommandRequest, order: ParsedCommand, refusal: RefusedCommand) -> CommandResponse:
        response = self._response(request, order, ExecutionOutcome(refusal.status, refusal.result, refusal.error))
        self._journal.refused(request, order, refusal)
        if refusal.key != "duplicate":  # that id has an outcome of its own
            self._show(request, response)
        if request.remote and not refusal.silent:
            await self._answers.refuse(request, response)
        return response

    def _show(self, request: CommandRequest, response: CommandResponse) -> None:
        """To live views: what was decided, refusals too."""
        if self._events is not None and self._events.watched:
            self._events.emit("command", {**response.as_dict(), "source": request.source})

    def _response(self, request: CommandRequest, order: ParsedCommand, outcome: ExecutionOutcome) -> CommandResponse:
        return CommandResponse(
            order.id,
            request.target,
            order.command,
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
