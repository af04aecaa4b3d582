"""Zone map: a summary of each stretch of the log, so that a search skips most of them and counting reads each once."""

from __future__ import annotations

from collections.abc import Set
from typing import Any, NamedTuple

from gatepost.agent.store.database import Database, corrupt
from gatepost.agent.store.log_order import check_count, count_of
from gatepost.agent.store.model import IN_STEP

ZONE_ROWS = 8192  # sequence numbers; one is looked at in some milliseconds
MAX_ZONES = 4000  # zones remembered: more than two gigabytes of rows


class Zone(NamedTuple):
    """Rows of both tracks, events included; times in wall microseconds, rectified where that is known."""

    first: int
    last: int
    series: frozenset[int]

    def may_hold(self, series: Set[int] | None, since: int | None, until: int | None) -> bool:
        """Whether a row of one of these series, in this time, can be here."""
        if series is not None and self.series.isdisjoint(series):
            return False
        return (since is None or self.last >= since) and (until is None or self.first < until)


class ZoneMap:
    """Zones below the head do not grow any more; `forget` those from which rows are deleted."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._zones: dict[int, Zone] = {}
        self._counts: dict[int, int] = {}
        self._sets: dict[frozenset[int], frozenset[int]] = {}  # many zones hold the same series
        self._version = 0

    @staticmethod
    def bounds(seq: int) -> tuple[int, int]:
        """The zone that holds this number, as [lo, hi)."""
        lo = seq // ZONE_ROWS * ZONE_ROWS
        return lo, lo + ZONE_ROWS

    async def look(self, seq: int) -> Zone:
        """The zone of a number; it must lie below the head."""
        zone = self._zones.get(seq // ZONE_ROWS)
        if zone is not None:
            return zone
        version = self._version
        rows = await self._database.search("zone", self.bounds(seq))
        zone = _zone(rows)
        least, most = min((row[6] for row in rows), default=None), max((row[7] for row in rows), default=None)
        await check_count(self._database.search, *self.bounds(seq), least, most)
        if version == self._version:  # nothing was deleted meanwhile
            if max(len(self._zones), len(self._sets)) >= MAX_ZONES:
                self._clear()
            self._zones[seq // ZONE_ROWS] = zone._replace(series=self._sets.setdefault(zone.series, zone.series))
        return zone

    async def count(self, seq: int) -> int:
        """How many rows of the normal track are in the zone of a number; it must lie below the head."""
        count = self._counts.get(seq // ZONE_ROWS)
        if count is None:
            version = self._version
            count = await count_of(self._database.search, *self.bounds(seq))
            if version == self._version:
                if len(self._counts) >= MAX_ZONES:
                    self._clear()
                self._counts[seq // ZONE_ROWS] = count
        return count

    def forget(self, lo: int = 0, hi: int | None = None) -> None:
        """Rows in [lo, hi) were deleted; without bounds: everything may be different."""
        self._version += 1
        if hi is None:
            self._clear()
            return
        for known in (self._zones, self._counts):
            for number in [n for n in known if lo // ZONE_ROWS <= n <= (hi - 1) // ZONE_ROWS]:
                del known[number]

    def _clear(self) -> None:
        self._zones.clear()
        self._counts.clear()
        self._sets.clear()


def _zone(rows: list[tuple[Any, ...]]) -> Zone:
    times = list[int]()
    try:
        for _, bits, wall_lo, wall_hi, mono_lo, mono_hi, _, _, shift in rows:
            times += (wall_lo, wall_hi) if bits & IN_STEP or shift is None else (mono_lo + shift, mono_hi + shift)
        return Zone(min(times, default=0), max(times, default=0), frozenset(row[0] for row in rows))
    except TypeError:  # damage can change types, too
        raise corrupt("a time in the log is no number") from None
