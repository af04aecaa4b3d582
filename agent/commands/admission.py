"""Whether a command may be carried out. The order of the checks is explained in docs/commands.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from gatepost.agent.commands import authorization, gateway_commands
from gatepost.agent.commands.expiry import too_old
from gatepost.agent.commands.model import GATEWAY, CommandRequest, RefusedCommand
from gatepost.agent.commands.parsed_command import ParsedCommand
from gatepost.agent.core.clock import US, Clock, rfc3339
from gatepost.agent.core.errors import GatepostError
from gatepost.agent.core.views import DeviceView
from gatepost.agent.devices.builtin_commands import WITHOUT_DEVICE, AcceptedCommand
from gatepost.agent.settings.model import Settings
from gatepost.agent.store.command_ledger import CommandLedger, LedgerEntry
from gatepost.drivers.driver import Command

HARMLESS = frozenset({"ping", "status"})  # they change nothing: never busy, and they work while the disk is full


class DeviceRoom(Protocol):
    """What the desk needs of agent/devices."""

    def get(self, id: str, /) -> DeviceView | None: ...  # noqa: A002

    def commands(self, device_id: str, /) -> Mapping[str, Command]: ...

    async def execute(
        self, device_id: str, command: str, parameters: dict[str, Any], source: str, /
    ) -> dict[str, Any] | AcceptedCommand:
        """Raises DeviceBusy and Rejected when nothing was done."""
        ...


class AdmittedCommand(NamedTuple):
    """A command that may be carried out; `alone` = no other such one of its target beside it."""

    command: Command
    parameters: msgspec.Struct
    target: str
    alone: bool


class CommandAdmission:
    def __init__(self, ledger: CommandLedger, devices: DeviceRoom, clock: Clock) -> None:
        self._ledger = ledger
        self._devices = devices
        self._clock = clock

    async def verdict(
        self, request: CommandRequest, order: ParsedCommand, settings: Settings
    ) -> AdmittedCommand | RefusedCommand:
        """A job, or why not; a repeat is told first, whatever has changed since."""
        assert order.command is not None
        ttl = settings.commands.default_ttl
        now = self._clock.now()
        try:
            earlier = await self._ledger.find(order.id)
        except GatepostError as error:
            if order.command not in HARMLESS:
                return unrecorded(error)
            earlier = None
        if earlier is not None and not free_again(request, order, earlier, now.wall, ttl):
            return duplicate(earlier)
        late = too_old(now, order.issued, order.expires, ttl, request.expires_in)
        return late or self._job(request, order, settings)

    def _job(
        self, request: CommandRequest, order: ParsedCommand, settings: Settings
    ) -> AdmittedCommand | RefusedCommand:
        view = None if request.target is None else self._devices.get(request.target)
        if request.target is not None and view is None:
            return RefusedCommand(
                "unknown-device", "There is no device of that name.", "`gatepost devices` lists them."
            )
        known = gateway_commands.COMMANDS if request.target is None else self._devices.commands(request.target)
        subject = "gateway" if request.target is None else request.target
        command = known.get(order.command or "")
        if command is None:
            hint = f"It knows {', '.join(sorted(known))}."
            return RefusedCommand("unknown-command", f"{subject} has no such command.", hint)
        if not authorization.permitted(settings.commands.allow, subject, command.name):
            return RefusedCommand("not-allowed", f"{command.name} is not allowed for {subject}.", "See commands.allow.")
        parameters = authorization.validated(command, order.parameters)
        if isinstance(parameters, RefusedCommand):
            return parameters
        told: Mapping[str, Any] = {"status": "online"} if view is None else view
        if told.get("status") != "online" and command.name not in WITHOUT_DEVICE:
            return not_there(subject, told)
        return AdmittedCommand(command, parameters, request.target or GATEWAY, command.name not in HARMLESS)


def not_there(device: str, told: Mapping[str, Any]) -> RefusedCommand:
    """Why it is not online, where that is known: a device of the wrong kind does not come back by itself."""
    state = "in error" if told.get("status") == "error" else str(told.get("status"))
    why = told.get("message")
    hint = told.get("hint") if state == "in error" else None
    return RefusedCommand(
        "device-offline",
        f"{device} is {state}: {why}" if why else f"{device} is {state}.",
        str(hint or "Send it again when the device is back."),
    )


def free_again(request: CommandRequest, order: ParsedCommand, earlier: LedgerEntry, now: int, ttl: float) -> bool:
    """A payload without id and time means the same wish again after a while, unless the broker repeats it."""
    ended = earlier.state not in ("executing", "accepted")
    quiet = abs(now - earlier.recorded) > ttl * US
    return order.floating and earlier.floating and ended and quiet and not request.redelivered


def duplicate(earlier: LedgerEntry | None) -> RefusedCommand:
    """`earlier` None = at work at this moment."""
    state = "executing" if earlier is None else earlier.state
    told: dict[str, Any] = {"status": state}
    if earlier is not None:
        told |= {"command": earlier.command, "device_id": earlier.target or None, "received": rfc3339(earlier.recorded)}
        if earlier.finished is not None:
            told["timestamp"] = rfc3339(earlier.finished)
    hint = "Give each command an id of its own; this one is not carried out a second time."
    return RefusedCommand("duplicate", f"The id is known: {state}.", hint, {"earlier": told})


def unrecorded(error: GatepostError) -> RefusedCommand:
    """What cannot be recorded is not carried out."""
    return RefusedCommand(error.kind, f"Nothing was carried out: {error.message}", error.hint, status="failed")
