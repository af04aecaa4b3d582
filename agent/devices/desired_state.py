"""Desired state of a device, as commands set it: reported or not, how often, and until when. Kept over restarts.

- An interval that a command gave holds until the next command, or until the device's own `every` in the settings
  is another one than when the command came: the newer order wins.
- Monitoring for a time ends by itself, and then all is as it was before: a device that reports by its settings goes on
  at that pace, one that was stopped is silent again. `stop_monitoring` or another `start_monitoring` ends it earlier.
- The end of that time is kept as boot time, and as wall time for when the box was restarted meanwhile; with a clock
  that is wrong at boot it never lasts longer than it was ordered for.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from gatepost.agent.core.clock import US, Stamp, rfc3339


class OrderSource(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who ordered it ("mqtt:hospital", "api", "cli", "" = unknown), and when, in microseconds of wall time."""

    wall: int
    source: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {"source": self.source or None, "since": rfc3339(self.wall)}


class TimedMonitoring(msgspec.Struct, frozen=True, omit_defaults=True):
    """Monitoring for a time: its end in microseconds, wall and boot time, and the boot that the latter is of."""

    duration: float
    wall: int
    mono: int
    boot: str
    interval: float | None = None
    by: OrderSource | None = None

    def remaining(self, now: Stamp, boot: str) -> float:
        """Seconds left; 0 when it is over."""
        left = self.mono - now.mono if boot == self.boot else self.wall - now.wall
        return min(max(0.0, left / US), self.duration)


class DesiredState(msgspec.Struct, frozen=True, omit_defaults=True):
    """`every` is the device's own setting when `interval` was ordered; `stopped_by`, `paced_by` whose orders hold."""

    monitoring: bool = True
    interval: float | None = None
    every: float | None = None
    timed: TimedMonitoring | None = None
    stopped_by: OrderSource | None = None
    paced_by: OrderSource | None = None

    @property
    def reporting(self) -> bool:
        return self.monitoring or self.timed is not None

    @property
    def pace(self) -> float | None:
        """The ordered interval in seconds; None = as in the settings."""
        if self.timed is not None and self.timed.interval is not None:
            return self.timed.interval
        return self.interval

    def started(
        self,
        interval: float | None,
        duration: float | None,
        every: float | None,
        now: Stamp,
        boot: str,
        source: str = "",
    ) -> DesiredState:
        by = OrderSource(now.wall, source)
        if duration is not None:
            end = round(duration * US)
            return replace(self, timed=TimedMonitoring(duration, now.wall + end, now.mono + end, boot, interval, by))
        if interval is None:
            return replace(self, monitoring=True, timed=None, stopped_by=None)
        return replace(self, monitoring=True, timed=None, stopped_by=None, interval=interval, every=every, paced_by=by)

    def stopped(self, by: OrderSource | None = None) -> DesiredState:
        """Also when it was stopped before: then the first order is the one that told."""
        told = self.stopped_by if not self.reporting and self.stopped_by is not None else by
        return replace(self, monitoring=False, timed=None, stopped_by=told)

    def paced(self, interval: float, every: float | None, by: OrderSource | None = None) -> DesiredState:
        timed = None if self.timed is None else replace(self.timed, interval=None)
        return replace(self, interval=interval, every=every, timed=timed, paced_by=by)

    def without_time(self) -> DesiredState:
        return replace(self, timed=None)

    def under(self, every: float | None, now: Stamp, boot: str) -> DesiredState:
        """What still holds under these settings at this moment."""
        still = self
        if still.interval is not None and still.every != every:
            still = replace(still, interval=None, every=None, paced_by=None)
        if still.timed is not None and still.timed.remaining(now, boot) <= 0:
            still = replace(still, timed=None)
        return still

    def as_dict(self) -> dict[str, Any]:
        """For people: `interval` and `until` only where ordered."""
        shown: dict[str, Any] = {"monitoring": self.reporting}
        if self.pace is not None:
            shown["interval"] = self.pace
        if self.timed is not None:
            shown["until"] = rfc3339(self.timed.wall)
        return shown

    def orders(self) -> dict[str, dict[str, Any]]:
        """What of it holds because of a command: `stopped`, `timed`, `interval`, each with `source` and `since`."""
        shown: dict[str, dict[str, Any]] = {}
        timed = self.timed
        if timed is not None:
            shown["timed"] = {**_told(timed.by), "until": rfc3339(timed.wall)}
        elif not self.monitoring:
            shown["stopped"] = _told(self.stopped_by)
        if self.pace is not None:
            own = timed is not None and timed.interval is not None
            shown["interval"] = {**_told(timed.by if own and timed else self.paced_by), "seconds": self.pace}
        return shown


def _told(by: OrderSource | None) -> dict[str, Any]:
    """Of an order from before they were signed nothing is known."""
    return {"source": None, "since": None} if by is None else by.as_dict()


def state_key(device: str) -> str:
    return f"device:{device}"


def load(value: Any) -> DesiredState:
    """From what the store kept; msgspec.ValidationError when that is nothing of ours."""
    return DesiredState() if value is None else msgspec.convert(value, DesiredState)


def dump(desired: DesiredState) -> Any:
    return msgspec.to_builtins(desired)
