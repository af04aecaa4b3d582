"""Report schedule: when a reading of a device is reported.

Every reading (`every` 0): each one as it comes; urgent when a value of it is outside of its thresholds.

At a pace (`every` seconds), for each metric on its own:
- After a quiet spell (nothing held, and the last report at least `every` ago) a reading is reported as it is, at once.
- Else it is held; what is held is condensed into one reading (window.py) and reported by the first reading that comes
  when the report is due, or by a timer shortly after that when none does. Nothing held: no timer.
- A steady stream is reported on an even grid of `every`.
- A reading that changes the state of a threshold (a value goes out, comes back inside, or changes sides) is reported
  as it is, at once. What was held before it is condensed and reported first, so no report mixes both states and the
  median hides no crossing. The pace starts anew there: while the state lasts, reports come at the pace.
- A report is urgent when a value of a reading in it is outside.
- A waveform is reported as it comes: a block left out would be a hole in the curve. So is a reading of a momentary
  metric (an event, a state that changed): each is something that happened.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gatepost.agent.devices.aggregation import window
from gatepost.agent.devices.thresholds import INSIDE, ThresholdWatch
from gatepost.drivers.metrics import MOMENTARY
from gatepost.drivers.reading import Reading

MAX_METRICS = 64  # windows of one device; a metric beyond them is reported as it comes

Report = Callable[[Reading, bool], int]
"""Takes a reading and whether it is urgent; returns its sequence number, 0 when it has none yet."""


class ReportSchedule(Protocol):
    """When readings are reported; times are microseconds of the stamp's monotonic clock."""

    plain: bool  # every reading goes on as it is, and none is judged

    def take(self, reading: Reading, now: int, at_once: bool = False) -> int:
        """Report or hold it; `at_once` reports it whatever the pace. Its sequence number, 0 when it has none yet."""
        ...

    def due(self) -> int | None:
        """When something held must be reported at last; None when nothing is held."""
        ...

    def flush(self, now: int | None = None) -> None:
        """Report what is held and due by `now`; None = all that is held."""
        ...


def pace(every: float, how: str, thresholds: ThresholdWatch, report: Report) -> ReportSchedule:
    return PacedSchedule(every, how, thresholds, report) if every > 0 else EveryReading(thresholds, report)


class EveryReading:
    """Schedule without condensing."""

    __slots__ = ("_report", "_thresholds", "plain")

    def __init__(self, thresholds: ThresholdWatch, report: Report) -> None:
        self._thresholds = thresholds
        self._report = report
        self.plain = not thresholds

    def take(self, reading: Reading, now: int, at_once: bool = False) -> int:
        return self._report(reading, self._thresholds.judge(reading.metric, reading.values).outside)

    def due(self) -> int | None:
        return None

    def flush(self, now: int | None = None) -> None:
        return None


class _Lane:
    """One metric: what is held of it, whether that is urgent, and when its next report is due."""

    def __init__(self, how: str) -> None:
        self.window = window(how)
        self.urgent = False
        self.due = 0


class PacedSchedule:
    """Schedule with one report of each metric in `every` seconds, condensed."""

    plain = False

    def __init__(self, every: float, how: str, thresholds: ThresholdWatch, report: Report) -> None:
        self._every = max(1, round(every * 1_000_000))
        self._how = how
        self._thresholds = thresholds
        self._report = report
        self._lanes: dict[str, _Lane] = {}

    def take(self, reading: Reading, now: int, at_once: bool = False) -> int:
        outside, changed = self._thresholds.judge(reading.metric, reading.values) if self._thresholds else INSIDE
        lane = self._lanes.get(reading.metric)
        if lane is None:
            if len(self._lanes) >= MAX_METRICS:
                return self._report(reading, outside)
            lane = self._lanes[reading.metric] = _Lane(self._how)
        if changed:
            self._tell(lane)
            lane.due = now + self._every
            return self._report(reading, outside)
        if at_once or reading.urgent or reading.waveform is not None or reading.metric in MOMENTARY:
            return self._report(reading, outside)
        if not lane.window.count and now >= lane.due:
            lane.due = now + self._every
            return self._report(reading, outside)
        lane.window.add(reading)
        lane.urgent |= outside
        if now >= lane.due:
            self._on_time(lane, now)
        return 0

    def due(self) -> int | None:
        return min((lane.due for lane in self._lanes.values() if lane.window.count), default=None)

    def flush(self, now: int | None = None) -> None:
        for lane in self._lanes.values():
            if now is None:
                self._tell(lane)
            elif now >= lane.due and lane.window.count:
                self._on_time(lane, now)

    def _on_time(self, lane: _Lane, now: int) -> None:
        lane.due += self._every
        if lane.due <= now:  # late by more than a whole turn: no catching up
            lane.due = now + self._every
        self._tell(lane)

    def _tell(self, lane: _Lane) -> None:
        if lane.window.count:
            urgent, lane.urgent = lane.urgent, False
            self._report(lane.window.condense(), urgent)
