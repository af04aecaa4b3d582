"""Health of a device: its state, the reason for it, and counters."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from gatepost.agent.core.clock import Clock, rfc3339
from gatepost.agent.core.conditions import GOODBYE, USUAL
from gatepost.drivers.ble.peripheral import GattError
from gatepost.drivers.driver import CommandFailed, WrongDevice
from gatepost.drivers.link import LinkFailed
from gatepost.drivers.reading import Faults


class DeviceState(StrEnum):
    """STARTING: not opened yet. OFFLINE: not there. ERROR: there is something to put right. Both are tried again."""

    STARTING = "starting"
    ONLINE = "online"
    OFFLINE = "offline"
    ERROR = "error"
    STOPPED = "stopped"


PUBLISHED_STATES = (DeviceState.ONLINE, DeviceState.OFFLINE, DeviceState.ERROR)  # the contract's words


class StatusReason(NamedTuple):
    """Why a device is not online: a stable key, a sentence, and what to do."""

    key: str
    message: str
    hint: str = ""


NO_REASON = StatusReason("", "")


class DeviceCondition(NamedTuple):
    """State of a device and why it is in it."""

    state: DeviceState
    reason: StatusReason = NO_REASON
    reachable: bool = False  # away, and commands that it carries out itself can wait for it


LOST = StatusReason("lost", "the connection was lost")
HUNG_UP = StatusReason("asleep", "it disconnected after sending its measurement")
STOPPING = StatusReason("stopped", "the gateway stops")
REMOVED = StatusReason("removed", "the device was removed from the settings")
CHANGED = StatusReason("changed", "the device is opened anew with changed settings")

# Losses of a connection that are told by their own key, not as `lost`.
TOLD_LOSSES = frozenset({"waiting-for-slot", "pairing", "bond-lost"})

# Waiting does not mend these; a person must.
ERRORS = frozenset(
    {
        "permission",
        "busy",
        "settings",
        "decoder-error",
        "failed",
        "wrong-device",
        "wrong-key",
        "forbidden",
        "not-understood",
        "no-bluetooth-service",
        "no-adapter",
        "pairing",
    }
)


def reason_of(error: BaseException) -> StatusReason:
    """What a link's failure says of itself; anything else is a `timeout`, an `io` error, or a failure of ours."""
    text = str(error) or type(error).__name__
    match error:
        case LinkFailed():
            return StatusReason(error.reason.value, text, error.hint)
        case TimeoutError():
            return StatusReason("timeout", "the device did not answer in time" if text == "TimeoutError" else text)
        case WrongDevice():
            return StatusReason(
                "wrong-device", text, "`gatepost drivers` lists them, `gatepost scan` finds one that fits"
            )
        case CommandFailed():
            return StatusReason(error.key, text)
        case GattError():
            return StatusReason("refused", text, "does the device want to be paired? See its option `pair`")
    if isinstance(error, OSError):
        return StatusReason("io", text)
    return StatusReason("failed", f"it failed: {fault_of(error)}", "this is a fault of the gateway or of the driver")


def fault_of(error: BaseException) -> str:
    """Type and place of an unexpected exception, without its text: that may quote what the device sent."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return type(error).__name__ + place


class DeviceCounters:
    """Counters of one device since it was configured. Plain numbers: the hot path adds to them."""

    __slots__ = ("bytes", "decoded", "dropped", "last_wall", "readings", "reconnects", "unreported")

    def __init__(self) -> None:
        self.bytes = 0  # octets from the device
        self.decoded = 0  # readings that its decoder gave
        self.readings = 0  # readings handed to the store
        self.unreported = 0  # readings not reported because monitoring was stopped
        self.dropped = 0  # readings lost on the way to the store, each in a gap record
        self.reconnects = 0
        self.last_wall = 0  # microseconds since 1970 of the newest reading handed to the store


class DeviceHealth:
    """State machine of one device. A change is logged once and told to `on_change`; repeats only count as faults. That
    it sleeps, or is waited for, is usual: no fault, and a warning only where it has never been there yet."""

    def __init__(
        self, device: str, clock: Clock, log: logging.Logger, on_change: Callable[[DeviceState], None]
    ) -> None:
        self._device = device
        self._clock = clock
        self._log = log
        self._on_change = on_change
        self._told_waiting = False
        self.state = DeviceState.STARTING
        self.reason = NO_REASON
        self.since = clock.now().wall
        self.faults = Faults()
        self.known: dict[str, Any] = {}  # battery, signal_strength, firmware, ..., when the device told them
        self.doing: dict[str, Any] | None = None  # something long: what, done, total

    @property
    def online(self) -> bool:
        return self.state is DeviceState.ONLINE

    def turn(self, state: DeviceState, reason: StatusReason = NO_REASON) -> None:
        """Go to `state`; the same state for the same reason only renews the sentence."""
        before, same = self.state, (state, reason.key) == (self.state, self.reason.key)
        self.state, self.reason = state, reason
        if same:
            return
        self.since = self._clock.now().wall
        level = logging.WARNING if self._worth_a_warning(state, reason.key) else logging.INFO
        why = f": {reason.message}" if reason.message else ""
        hint = f" ({reason.hint})" if reason.hint else ""
        word = "in error" if state is DeviceState.ERROR else state
        self._log.log(level, "%s is %s%s%s", self._device, word, why, hint, extra={"device": self._device})
        self._on_change(before)

    def _worth_a_warning(self, state: DeviceState, key: str) -> bool:
        if state not in (DeviceState.OFFLINE, DeviceState.ERROR) or key == GOODBYE:
            return False
        if key not in USUAL:
            return True
        first, self._told_waiting = key == "waiting" and not self._told_waiting, True
        return first

    def update_status(self, known: Mapping[str, Any]) -> None:
        """What the device told of itself. Others hear of it when it is more than a change of the signal."""
        news = {name for name, value in known.items() if self.known.get(name) != value}
        self.known.update(known)
        if news - {"signal_strength"} and self.state in PUBLISHED_STATES:
            self._on_change(self.state)

    def fail(self, reason: StatusReason) -> None:
        """Not online any more, or still not. A device that sleeps has no fault."""
        if reason.key not in USUAL:
            self.faults.add(reason.key, reason.message)
        self.turn(DeviceState.ERROR if reason.key in ERRORS else DeviceState.OFFLINE, reason)

    def payload(self) -> dict[str, Any]:
        """The contract's status message; a device that is stopped, or starts, is offline for whoever reads it."""
        status = self.state if self.state in PUBLISHED_STATES else DeviceState.OFFLINE
        payload: dict[str, Any] = {
            "device_id": self._device,
            "status": str(status),
            "timestamp": rfc3339(self.since),
            **self.known,
        }
        if self.reason.key or status is not self.state:
            payload["reason"] = self.reason.key or str(self.state)
        return payload
