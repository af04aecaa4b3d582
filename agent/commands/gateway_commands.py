"""Declarations of the gateway's own commands; the method of GatewayActions of the same name carries each out."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import Meta

from gatepost.agent.commands.expiry import parse_time
from gatepost.agent.core.command_names import GatewayCommandName
from gatepost.agent.devices.builtin_commands import AcceptedCommand
from gatepost.agent.settings.model import LogLevel
from gatepost.drivers.driver import Command

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Subject = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[\x21-\x7e]+$")]
Outcome = dict[str, Any] | AcceptedCommand


class SetLogLevel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    level: LogLevel


class OneBroker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    broker: Name


class ResendParameters(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}
):
    """Stored readings of a time: `from` included, `to` excluded (None: until now), of one device or of all."""

    since: Annotated[str, Meta(max_length=64)]
    until: Annotated[str, Meta(max_length=64)] | None = None
    device: Name | None = None

    def __post_init__(self) -> None:
        first, last = self.span()
        if last is not None and first >= last:
            raise ValueError("from: expected a time before `to`")

    def span(self) -> tuple[int, int | None]:
        """Microseconds since 1970 (UTC); ValueError names the parameter."""
        values: list[int | None] = []
        for name, text in (("from", self.since), ("to", self.until)):
            try:
                values.append(None if text is None else parse_time(text))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        first, last = values
        assert first is not None
        return first, last


class AssignPatient(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`patient` is an opaque subject reference; null ends the assignment."""

    device: Name
    patient: Subject | None


class GatewayActions(Protocol):
    """Actions of the gateway (agent/gateway_commands.py); each raises a GatepostError when it could not do it, and may
    return AcceptedCommand when it lasts."""

    async def ping(self) -> Outcome: ...

    async def status(self) -> Outcome: ...

    async def reload(self) -> Outcome: ...

    async def set_log_level(self, level: str) -> Outcome: ...

    async def connect_broker(self, broker: str) -> Outcome: ...

    async def disconnect_broker(self, broker: str) -> Outcome: ...

    async def resend(self, since: int, until: int | None, device: str | None) -> Outcome:
        """Send stored readings again; times in microseconds since 1970, `until` None = now, `device` None = all."""
        ...

    async def assign_patient(self, device: str, patient: str | None) -> Outcome: ...


COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        Command(GatewayCommandName.PING.value, "Check that the gateway answers"),
        Command(GatewayCommandName.STATUS.value, "Show what runs and its state"),
        Command(GatewayCommandName.RELOAD.value, "Read the settings again and apply what changed"),
        Command(
            GatewayCommandName.SET_LOG_LEVEL.value,
            "Log more or less until the next start",
            SetLogLevel,
            example={"level": "debug"},
        ),
        Command(
            GatewayCommandName.CONNECT_BROKER.value,
            "Connect a configured broker",
            OneBroker,
            example={"broker": "hospital"},
        ),
        Command(
            GatewayCommandName.DISCONNECT_BROKER.value,
            "Disconnect a broker; readings wait",
            OneBroker,
            example={"broker": "hospital"},
        ),
        Command(
            GatewayCommandName.RESEND.value,
            "Send stored readings of a time again",
            ResendParameters,
            example={"from": "2026-11-20T10:00:00Z", "to": "2026-11-20T11:00:00Z", "device": "cuff-3"},
        ),
        Command(
            GatewayCommandName.ASSIGN_PATIENT.value,
            "Assign the patient of a device's readings from now on",
            AssignPatient,
            example={"device": "cuff-3", "patient": "P-001"},
        ),
    )
}


def carry_out(actions: GatewayActions, command: str, parameters: msgspec.Struct) -> Awaitable[Outcome]:
    """The action of a command of COMMANDS, with its validated parameters."""
    if isinstance(parameters, ResendParameters):
        since, until = parameters.span()
        return actions.resend(since=since, until=until, device=parameters.device)
    outcome: Awaitable[Outcome] = getattr(actions, command)(**msgspec.structs.asdict(parameters))
    return outcome
