"""Admission of commands: whether one may be carried out. docs/commands.md explains the order of the checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from gatepost.agent.commands import authorization, gateway_commands
from gatepost.agent.commands.expiry import too_old, valid_until
from gatepost.agent.commands.model import GATEWAY, CommandRequest, RefusedCommand
from gatepost.agent.commands.parsed_command import ParsedCommand
from gatepost.agent.core.clock import US, Clock, Stamp, rfc3339
from gatepost.agent.core.errors import GatepostError
from gatepost.agent.devices.builtin_commands import WITHOUT_DEVICE, AcceptedCommand
from gatepost.agent.devices.health import DeviceCondition, DeviceState
from gatepost.agent.devices.interfaces import DeliveredCommand
from gatepost.agent.settings.model import CommandSettings, Settings
from gatepost.agent.store.command_ledger import CommandLedger, LedgerEntry
from gatepost.drivers.driver import Command

ANSWER_SHARE = 0.8  # of commands.timeout: after it a device's answer is waited for as that of an accepted command
HARMLESS = frozenset({"ping", "status"})  # they change nothing: never busy, and they work while the disk is full


class CommandedDevices(Protocol):
    """Devices as commands see them; implemented by gatepost.agent.devices.manager."""

    def state_of(self, device_id: str, /) -> DeviceCondition | None:
        """None when there is no device of that name."""
        ...

    def commands(self, device_id: str, /) -> Mapping[str, Command]: ...

    def any_command(self, device_id: str, name: str, /) -> Command | None:
        """A command that it may understand, though it does not name it."""
        ...

    async def execute(
        self, device_id: str, command: str, parameters: msgspec.Struct, source: str, /
    ) -> dict[str, Any] | AcceptedCommand:
        """Raises DeviceBusy and Rejected when nothing was done."""
        ...


class AdmittedCommand(NamedTuple):
    """A command that may be carried out; `exclusive` = no other such one of its target beside it."""

    command: Command
    parameters: msgspec.Struct
    target: str
    exclusive: bool


class CommandAdmission:
    """Admission by id, time, target, allow list, parameters and the device's state."""

    def __init__(self, ledger: CommandLedger, devices: CommandedDevices, clock: Clock) -> None:
        self._ledger = ledger
        self._devices = devices
        self._clock = clock

    async def admit(
        self, request: CommandRequest, parsed: ParsedCommand, settings: Settings
    ) -> AdmittedCommand | RefusedCommand:
        """A repeat is told first, whatever has changed since."""
        assert parsed.command is not None
        ttl = settings.commands.default_ttl
        now = self._clock.now()
        try:
            earlier = await self._ledger.find(parsed.id)
        except GatepostError as error:
            if parsed.command not in HARMLESS:
                return unrecorded(error)
            earlier = None
        if earlier is not None and not id_is_free_again(request, parsed, earlier, now.wall, ttl):
            return duplicate(earlier)
        late = too_old(now, parsed.issued, parsed.expires, ttl, request.expires_in)
        late = late or self._perhaps_done(request, parsed, now)
        return late or self._admit_to_target(request, parsed, settings)

    def _perhaps_done(self, request: CommandRequest, parsed: ParsedCommand, now: Stamp) -> RefusedCommand | None:
        """Where a part of the ledger is lost, what was issued before that is not carried out a second time. Whoever
        recorded a signed command may send it again as long as it is valid, so that its time of issue must be known."""
        if now.synchronised and self._ledger.horizon > now.wall:  # the loss was found while the clock was ahead
            self._ledger.horizon = now.wall
        horizon = self._ledger.horizon
        signed = parsed.signature is not None
        old = parsed.issued < horizon if parsed.issued is not None else request.redelivered or signed
        if not horizon or not old or parsed.command in HARMLESS:
            return None
        if parsed.issued is None and signed:
            return RefusedCommand(
                "expired",
                f"It does not say when it was issued, and a part of the ledger was lost at {rfc3339(horizon)}.",
                "Sign it with issued_at.",
            )
        return RefusedCommand(
            "expired",
            f"It was issued before {rfc3339(horizon)}, when a part of the ledger was lost: it may be done already.",
            "Look at the device, and send it again under a new id.",
        )

    def _admit_to_target(
        self, request: CommandRequest, parsed: ParsedCommand, settings: Settings
    ) -> AdmittedCommand | RefusedCommand:
        target, condition = request.target, None
        if target is not None:
            condition = self._devices.state_of(target)
            if condition is None:
                return RefusedCommand(
                    "unknown-device", "There is no device of that name.", "`gatepost devices` lists them."
                )
        known = gateway_commands.COMMANDS if target is None else self._devices.commands(target)
        subject = "gateway" if target is None else target
        command = known.get(parsed.command or "")
        if command is None and target is not None:
            command = self._devices.any_command(target, parsed.command or "")
        if command is None:
            hint = f"It knows {', '.join(sorted(known))}."
            return RefusedCommand("unknown-command", f"{subject} has no such command.", hint)
        # Whoever may use the socket may have the settings read again without a command, too.
        always = request.trusted and target is None and command.name == "reload"
        if not always and not authorization.permitted(settings.commands.allow, subject, command.name):
            hint = "commands.allow of the settings names what is allowed."
            return RefusedCommand("not-allowed", f"{command.name} is not allowed for {subject}.", hint)
        parameters: msgspec.Struct | RefusedCommand = _delivered(parsed, settings.commands, self._clock.now().wall)
        if not command.free:
            parameters = authorization.validated(command, parsed.parameters)
        if isinstance(parameters, RefusedCommand):
            return parameters
        away = condition is not None and condition.state is not DeviceState.ONLINE
        if condition and away and not _works_without(command, condition):
            return not_online(subject, condition)
        return AdmittedCommand(command, parameters, target or GATEWAY, command.name not in HARMLESS)


def _works_without(command: Command, condition: DeviceCondition) -> bool:
    """Whether it is carried out while the device is away, or waits for it."""
    return condition.reachable if command.free else command.name in WITHOUT_DEVICE


def _delivered(parsed: ParsedCommand, settings: CommandSettings, now: int) -> DeliveredCommand:
    """The command as it goes to a device that carries it out itself."""
    issued = parsed.issued or now
    expires = valid_until(issued, parsed.expires, settings.default_ttl) or now
    return DeliveredCommand(
        parsed.id,
        parsed.command or "",
        parsed.parameters,
        rfc3339(issued),
        rfc3339(expires),
        max(0.0, (expires - now) / US),
        settings.timeout * ANSWER_SHARE,
    )


def not_online(device: str, condition: DeviceCondition) -> RefusedCommand:
    """Why it is not online, where that is known: a device of the wrong kind does not come back by itself."""
    state, reason = condition.state, condition.reason
    in_error = state is DeviceState.ERROR
    word = "in error" if in_error else str(state)
    return RefusedCommand(
        "device-offline",
        f"{device} is {word}: {reason.message}" if reason.message else f"{device} is {word}.",
        (in_error and reason.hint) or "Send it again when the device is back.",
    )


def id_is_free_again(
    request: CommandRequest, parsed: ParsedCommand, earlier: LedgerEntry, now: int, ttl: float
) -> bool:
    """A payload without id and time means the same wish again after a while, unless the broker repeats it."""
    ended = earlier.state not in ("executing", "accepted")
    quiet = abs(now - earlier.recorded) > ttl * US
    return parsed.floating and earlier.floating and ended and quiet and not request.redelivered


def duplicate(earlier: LedgerEntry | None) -> RefusedCommand:
    """`earlier` None = it is being carried out at this moment."""
    state = "executing" if earlier is None else earlier.state
    summary: dict[str, Any] = {"status": state}
    if earlier is not None:
        received = rfc3339(earlier.recorded)
        summary |= {"command": earlier.command, "device_id": earlier.target or None, "received": received}
        if earlier.finished is not None:
            summary["timestamp"] = rfc3339(earlier.finished)
    hint = "Give each command an id of its own; this one is not carried out a second time."
    return RefusedCommand("duplicate", f"This id was used before: {state}.", hint, {"earlier": summary})


def unrecorded(error: GatepostError) -> RefusedCommand:
    """Refusal of what cannot be recorded."""
    return RefusedCommand(error.kind, f"Nothing was carried out: {error.message}.", error.hint, status="failed")
