"""Recordings of a ring on their way into the gateway: each record once, in batches, at the speed of the disk.

A recording is a night of thousands of records. Its name tells it apart; the bookmark says how many of its records are
stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from gatepost.drivers.ble.profile import Items, ProfileMemory
from gatepost.drivers.ble.viatom.ring_values import RingFile
from gatepost.drivers.reading import BAD, FROM_MEMORY, GOOD, Reading

BATCH = 250  # records of one call of the decoder
MOST_NAMES = 32  # recordings that are remembered, besides those that the ring still has
UNITS = {"spo2": "%", "heart_rate": "/min", "motion": "{raw}"}
WHOLE = -1


class RingRecordings:
    """Recordings of one ring. `drain` gives the next records of the one that is offered, with their bookmarks."""

    def __init__(self, memory: ProfileMemory) -> None:
        self._memory = memory
        self._mark = memory.mark("recordings")
        known = memory.bookmarks.get(self._mark)
        pairs = known.items() if isinstance(known, dict) else ()
        self._taken = {name: count for name, count in pairs if isinstance(name, str) and type(count) is int}
        self._listed: set[str] = set()
        self._file: RingFile | None = None
        self._name = ""
        self._start: datetime | None = None
        self._next = 0
        self.fetched = 0

    def wanted(self, names: Iterable[str]) -> list[str]:
        """Recordings that are not stored whole, the oldest first."""
        self._listed = set(names)
        return sorted(name for name in self._listed if name and self._taken.get(name) != WHOLE)

    def offer(self, name: str, file: RingFile, start: datetime | None) -> None:
        self._name, self._file, self._start = name, file, start
        self._next = max(0, self._taken.get(name, 0))
        if not file.count:
            self._taken[name] = WHOLE  # nothing to store; with the next bookmark it is remembered

    @property
    def left(self) -> int:
        return 0 if self._file is None else max(0, self._file.count - self._next)

    def drain(self) -> Items:
        file, out = self._file, []
        if file is None:
            return []
        for number in range(self._next, min(self._next + BATCH, file.count)):
            self._taken.pop(self._name, None)
            self._taken[self._name] = WHOLE if number == file.count - 1 else number + 1
            reading = self._reading(file, number)
            reading.bookmark = (self._mark, self._newest())
            out.append(reading)
        self._next += len(out)
        self.fetched += len(out)
        if not self.left:
            self._file = None
        return list(out)

    def _newest(self) -> dict[str, int]:
        gone = sorted(name for name in self._taken if name not in self._listed)
        for name in gone[: max(0, len(self._taken) - MOST_NAMES)]:
            del self._taken[name]
        return dict(self._taken)

    def _reading(self, file: RingFile, number: int) -> Reading:
        second, spo2, rate, motion = file.record(number)
        known: dict[str, Any] = {"spo2": spo2, "heart_rate": rate, "motion": motion if file.tells_motion else None}
        values = {name: value for name, value in known.items() if value is not None}
        missing = tuple(f"{name}:no-signal" for name in ("spo2", "heart_rate") if name not in values)
        time = None if self._start is None else (self._start + timedelta(seconds=second)).isoformat()
        units = {name: UNITS[name] for name in values}
        flags = (*missing, FROM_MEMORY) if time else (*missing, FROM_MEMORY, "clock-not-set")
        return Reading("pulse_oximetry", values, units, flags, BAD if len(missing) == 2 else GOOD, time)
