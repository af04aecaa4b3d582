"""History of an Aranet4: each measurement once, with the time that its age tells.

The monitor has no clock. A history tells how many measurements there are, how far apart, and how old the newest is.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from gatepost.drivers.ble.aranet import values
from gatepost.drivers.ble.profile import Items, ProfileMemory
from gatepost.drivers.reading import FROM_MEMORY, Reading, measured

BATCH = 250  # measurements of one call of the decoder
UNITS = {"temperature": "Cel", "humidity": "%", "pressure": "hPa", "co2": "[ppm]"}


class HistorySpan(NamedTuple):
    """Measurements that a history has: number 1 is the oldest. `newest`: when the last was taken (Unix time)."""

    total: int
    interval: int
    newest: float

    def taken_at(self, number: int) -> float:
        return self.newest - (self.total - number) * self.interval

    def first_after(self, moment: float | None) -> int:
        """The first measurement that is newer than the one of this moment."""
        if moment is None or self.interval <= 0:
            return 1
        behind = int((self.newest - moment) / self.interval + 0.5)  # the ages are whole seconds, and the clock drifts
        return max(1, self.total - behind + 1)


class AranetHistory:
    """Measurements on their way into the gateway. `drain` gives the next, with their bookmarks."""

    def __init__(self, memory: ProfileMemory) -> None:
        self._mark = memory.mark("history")
        known = memory.bookmarks.get(self._mark)
        self.until = float(known) if isinstance(known, (int, float)) and not isinstance(known, bool) else None
        self._offered: list[tuple[float, dict[str, Any]]] = []
        self.fetched = 0

    def offer(self, span: HistorySpan, first: int, columns: dict[int, list[float | None]]) -> None:
        """`columns`: by parameter the values from number `first` on."""
        count = min(map(len, columns.values()), default=0)
        self._offered = [
            (
                span.taken_at(first + place),
                {values.PARAMETERS[parameter].name: column[place] for parameter, column in columns.items()},
            )
            for place in range(count)
        ]

    @property
    def left(self) -> int:
        return len(self._offered)

    def drain(self) -> Items:
        batch, self._offered = self._offered[:BATCH], self._offered[BATCH:]
        return [self._reading(moment, found) for moment, found in batch]

    def _reading(self, moment: float, found: dict[str, Any]) -> Reading:
        reading = air_reading(found)
        reading.flags = (*reading.flags, FROM_MEMORY)
        reading.device_time = datetime.fromtimestamp(round(moment)).isoformat()  # noqa: DTZ006  # local, without a zone
        self.until = round(moment)
        reading.bookmark = (self._mark, self.until)
        self.fetched += 1
        return reading


def air_reading(found: dict[str, Any]) -> Reading:
    """Values of one measurement; None = it has none, as while it calibrates itself."""
    return measured("environment", {name: found[name] for name in UNITS if name in found}, UNITS)
