"""Execution of commands: one at a time for each device, a bounded number in all, each with a time limit."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine
from typing import Any, NamedTuple

from gatepost.agent.commands.admission import AdmittedCommand
from gatepost.agent.commands.model import RefusedCommand, Status
from gatepost.agent.core.errors import DeviceBusy, GatepostError, OutcomeUnknown, Rejected
from gatepost.agent.devices.builtin_commands import AcceptedCommand
from gatepost.drivers.driver import CommandFailed

log = logging.getLogger(__name__)

AT_ONCE = 16  # commands that are carried out at the same time
LASTING = 4  # accepted and not finished, for each target,
WAITING = 100  # or of a device that carries commands out itself, and gets them when it is back
GRACE = 1.0  # seconds for a cancelled command to end


class ExecutionOutcome(NamedTuple):
    """How an execution ended; `lasting` is there when the status is `accepted`."""

    status: Status
    result: dict[str, Any] | None = None
    error: dict[str, str] | None = None
    lasting: AcceptedCommand | None = None


class ExecutionSlots:
    """Slots of execution: reserved before the ledger is asked, released when the work has really ended."""

    def __init__(self) -> None:
        self._taken = 0
        self._targets: set[str] = set()
        self.lasting: Counter[str] = Counter()

    def reserve(self, admitted: AdmittedCommand) -> RefusedCommand | None:
        """A slot, or why there is none now."""
        target, exclusive = admitted.target, admitted.exclusive
        if self._taken >= AT_ONCE:
            return RefusedCommand(
                "busy", f"{AT_ONCE} commands are being carried out.", "Try again when one of them has ended."
            )
        if exclusive and target in self._targets:
            return RefusedCommand("busy", "Another command is being carried out there.", "Try again when it has ended.")
        most = WAITING if admitted.command.free else LASTING
        if exclusive and self.lasting[target] >= most:
            return RefusedCommand("busy", f"{most} lasting commands are under way there.", "Stop one of them first.")
        self._taken += 1
        if exclusive:
            self._targets.add(target)
        return None

    def release(self, admitted: AdmittedCommand) -> None:
        self._taken -= 1
        if admitted.exclusive:
            self._targets.discard(admitted.target)

    async def run(self, admitted: AdmittedCommand, work: Coroutine[Any, Any, Any], limit: float) -> ExecutionOutcome:
        """Carry it out in a reserved slot, which is released at its end: a task that ignores its cancellation keeps
        the device busy until it has ended."""
        task = asyncio.ensure_future(work)
        task.add_done_callback(lambda _: self.release(admitted))
        return await outcome_within(task, limit)


async def outcome_within(task: asyncio.Future[Any], limit: float) -> ExecutionOutcome:
    """Wait for it; never raises for what it does. The task may still run if it ignored its cancellation."""
    try:
        await asyncio.wait({task}, timeout=limit)
        late = not task.done()
        if late:
            await _stop(task)
    except asyncio.CancelledError:
        await _stop(task)
        raise
    gave_up = late and (not task.done() or task.cancelled() or task.exception() is not None)
    if gave_up:
        return _failed("timeout", f"It took longer than {limit:g} s.", "See commands.timeout.")
    return outcome_of(task)


async def _stop(task: asyncio.Future[Any]) -> None:
    task.cancel()
    await asyncio.wait({task}, timeout=GRACE)


def outcome_of(task: asyncio.Future[Any]) -> ExecutionOutcome:
    """What a finished task came to."""
    if task.cancelled():
        return _failed("cancelled", "It was cancelled: the device or the gateway changed meanwhile.")
    error = task.exception()
    if error is not None:
        return failure(error)
    result = task.result()
    if isinstance(result, AcceptedCommand):
        return ExecutionOutcome("accepted", result.result, lasting=result)
    return ExecutionOutcome("done", result if isinstance(result, dict) else {})


def failure(error: BaseException) -> ExecutionOutcome:
    """What is told of an error; one outside the tree is logged, and told without its text."""
    if isinstance(error, Rejected | DeviceBusy):
        return ExecutionOutcome("rejected", None, error.as_dict())
    if isinstance(error, OutcomeUnknown):
        return ExecutionOutcome("outcome-unknown", None, error.as_dict())
    if isinstance(error, GatepostError):
        return ExecutionOutcome("failed", None, error.as_dict())
    if isinstance(error, CommandFailed):
        return _failed(error.key, str(error))
    if isinstance(error, TimeoutError):
        return _failed("timeout", "The device did not answer in time.")
    log.error("a command failed unexpectedly", exc_info=error)
    return _failed("failed", "It failed for a reason that is in the gateway's log.")


def _failed(key: str, message: str, hint: str = "") -> ExecutionOutcome:
    return ExecutionOutcome("failed", None, {"key": key, "message": message, "hint": hint})
