"""Built-in commands that every device has, whatever its driver: they declare and validate themselves."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from gatepost.agent.core.command_names import DeviceCommandName
from gatepost.agent.settings.units import DURATION_PATTERN, WrongUnit, parse_duration
from gatepost.drivers.driver import Command

DAY = 86400.0
SPELT = {"pattern": DURATION_PATTERN, "description": "a duration: 500ms, 30s, 5m, 1h"}

if TYPE_CHECKING:
    Span = float
else:  # what may come in: a duration as the settings spell it becomes seconds as soon as the struct is made
    Span = (
        Annotated[float, Meta(ge=0, le=DAY, description="seconds, 0 to 86400")]
        | Annotated[str, Meta(max_length=40, extra_json_schema=SPELT)]
    )


def seconds(value: float | str, name: str = "duration") -> float:
    """Seconds of a number or a spelling like `30s`; ValueError naming the parameter outside of 0 to 86400."""
    if isinstance(value, str):
        try:
            value = parse_duration(value)
        except WrongUnit as wrong:
            raise ValueError(f"{name}: {wrong}; {wrong.hint}") from None
    if not 0 <= value <= DAY:
        raise ValueError(f"{name}: expected 0 to 86400 seconds (a day)")
    return float(value)


class AcceptedCommand(NamedTuple):
    """What an executor returns for a command that lasts: `result` now, the final result once `finished` is done.

    After `within` seconds the command counts as failed with the key `timeout`.
    """

    result: dict[str, Any]
    finished: Awaitable[dict[str, Any]]
    within: float = DAY + 60


class StatusParameters(msgspec.Struct, forbid_unknown_fields=True):
    """What the gateway knows of the device now."""


class ReadNowParameters(msgspec.Struct, forbid_unknown_fields=True):
    """The next reading, reported at once."""


class StartMonitoring(msgspec.Struct, forbid_unknown_fields=True):
    """Report readings, at most one each `interval` seconds (None: as set), for `duration` seconds (None: for good)."""

    interval: Span | None = None
    duration: Span | None = None

    def __post_init__(self) -> None:
        if self.interval is not None:
            self.interval = seconds(self.interval, "interval")
        if self.duration is not None:
            self.duration = seconds(self.duration, "duration")


class StopMonitoring(msgspec.Struct, forbid_unknown_fields=True):
    """Stop reporting; the device stays open."""


class SetInterval(msgspec.Struct, forbid_unknown_fields=True):
    """Report at most one reading each `interval` seconds; 0 = every one. Kept over restarts."""

    interval: Span

    def __post_init__(self) -> None:
        self.interval = seconds(self.interval, "interval")


GENERIC: tuple[Command, ...] = (
    Command(DeviceCommandName.STATUS.value, "What the gateway knows of this device", StatusParameters),
    Command(DeviceCommandName.READ_NOW.value, "Take a reading now", ReadNowParameters),
    Command(
        DeviceCommandName.START_MONITORING.value,
        "Report readings, at a pace and for a time",
        StartMonitoring,
        example={"interval": 30, "duration": 3600},
    ),
    Command(DeviceCommandName.STOP_MONITORING.value, "Stop reporting readings", StopMonitoring),
    Command(
        DeviceCommandName.SET_INTERVAL.value,
        "Change how often readings are reported",
        SetInterval,
        example={"interval": "30s"},
    ),
)

# The gateway carries these out itself, as what is wanted of the device: they hold while it is away, too.
WITHOUT_DEVICE = frozenset({"status", "start_monitoring", "stop_monitoring", "set_interval"})
