"""Condensing: the readings of one metric since the last report -> one reading, in bounded memory.

Median: of each number the lower median, so a value that the device really gave; of anything else the newest. A value
that was missing (named in the flags as `<value>:<why>`) more often than it was there is left out, with all its whys;
one that is reported loses the whys of the moments when it was missing. Other flags are united, the quality is the
worst.

Last: the newest reading; values that it neither has nor excuses in its flags are taken from those before (a device
may print its values in turn), and then flags are united and the quality is the worse one.

Both take the unit, and the device's time where it gave one, from the newest reading.
"""

from __future__ import annotations

from typing import Any, Protocol

from gatepost.drivers.reading import BAD, GOOD, UNCERTAIN, Reading

MAX_SAMPLES = 512  # kept of a value; beyond that every second, fourth, ... is
MAX_NAMES = 256  # values, and flags, of one window; a device that makes up names loses those beyond
RANK = {GOOD: 0, UNCERTAIN: 1, BAD: 2}


class AggregationWindow(Protocol):
    """Readings of one metric that wait to be reported as one."""

    count: int

    def add(self, reading: Reading) -> None: ...

    def condense(self) -> Reading:
        """The one reading for all that was added since; empties the window. Only when `count` is not 0."""
        ...


def window(how: str) -> AggregationWindow:
    """`how`: "median" or "last"."""
    return MedianWindow() if how == "median" else LastWindow()


def worse(one: str, other: str) -> str:
    """The worse quality; one that is not known counts as uncertain."""
    return one if RANK.get(one, 1) >= RANK.get(other, 1) else other


class LastWindow:
    """The newest of each value."""

    def __init__(self) -> None:
        self.count = 0
        self._held: Reading | None = None

    def add(self, reading: Reading) -> None:
        self.count += 1
        held = self._held
        if held is not None and not held.values.keys() <= reading.values.keys():
            reading = _newest(held, reading)
        self._held = reading

    def condense(self) -> Reading:
        assert self._held is not None
        held, self._held, self.count = self._held, None, 0
        return held


def _newest(held: Reading, reading: Reading) -> Reading:
    excused = {flag.partition(":")[0] for flag in reading.flags if ":" in flag}
    lacking = [name for name in held.values if name not in reading.values and name not in excused]
    if not lacking or len(lacking) + len(reading.values) > MAX_NAMES:
        return reading
    given = reading.values.keys()
    kept = [
        flag for flag in held.flags if flag.partition(":")[0] not in given and flag.partition(":")[0] not in excused
    ]
    return Reading(
        metric=reading.metric,
        values={name: held.values[name] for name in lacking} | reading.values,
        units={name: held.units[name] for name in lacking if name in held.units} | reading.units,
        flags=tuple(dict.fromkeys((*kept, *reading.flags)))[:MAX_NAMES],
        quality=worse(held.quality, reading.quality),
        device_time=reading.device_time or held.device_time,
    )


class _Column:
    """What one value was: its numbers, thinned evenly when they are many; the newest when it is no number."""

    def __init__(self) -> None:
        self.there = 0
        self.newest: Any = None
        self._numbers: list[int | float] = []
        self._step = 1

    def add(self, value: Any) -> None:
        self.newest = value
        if (value.__class__ is int or value.__class__ is float) and value == value and self.there % self._step == 0:
            self._numbers.append(value)
            if len(self._numbers) >= MAX_SAMPLES:
                del self._numbers[1::2]
                self._step *= 2
        self.there += 1

    def value(self) -> Any:
        if not self._numbers:
            return self.newest
        return sorted(self._numbers)[(len(self._numbers) - 1) // 2]


class MedianWindow:
    """The middle of each value."""

    def __init__(self) -> None:
        self._empty()

    def _empty(self) -> None:
        self.count = 0
        self._columns: dict[str, _Column] = {}
        self._gone: dict[str, int] = {}
        self._whys: dict[str, dict[str, None]] = {}
        self._remarks: dict[str, None] = {}
        self._units: dict[str, str] = {}
        self._quality = GOOD
        self._newest: Reading | None = None

    def add(self, reading: Reading) -> None:
        self.count += 1
        columns = self._columns
        for name, value in reading.values.items():
            column = columns.get(name)
            if column is None:
                if len(columns) >= MAX_NAMES:
                    continue
                column = columns[name] = _Column()
            column.add(value)
        if self._newest is None or reading.units is not self._newest.units:
            self._units = self._units | reading.units if self._units else reading.units
            if len(self._units) > 2 * MAX_NAMES:
                self._units = reading.units
        if reading.flags:
            self._note(reading)
        if reading.quality != GOOD:
            self._quality = worse(self._quality, reading.quality)
        if reading.device_time is None and self._newest is not None and self._newest.device_time is not None:
            return
        self._newest = reading

    def _note(self, reading: Reading) -> None:
        missing = set()
        for flag in reading.flags:
            name, colon, _why = flag.partition(":")
            if not colon or name in reading.values:
                if len(self._remarks) < MAX_NAMES:
                    self._remarks[flag] = None
            elif name in self._whys or len(self._whys) < MAX_NAMES:
                missing.add(name)
                whys = self._whys.setdefault(name, {})
                if len(whys) < MAX_NAMES:
                    whys[flag] = None
        for name in missing:
            self._gone[name] = self._gone.get(name, 0) + 1

    def condense(self) -> Reading:
        assert self._newest is not None
        gone = self._gone
        values = {name: column.value() for name, column in self._columns.items() if gone.get(name, 0) <= column.there}
        flags = dict(self._remarks)
        for name, whys in self._whys.items():
            if name not in values:
                flags |= whys
        whole = Reading(
            metric=self._newest.metric,
            values=values,
            units={name: unit for name, unit in self._units.items() if name in values},
            flags=tuple(flags),
            quality=self._quality,
            device_time=self._newest.device_time,
        )
        self._empty()
        return whole
