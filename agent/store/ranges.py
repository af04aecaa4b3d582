"""Sets of sequence numbers as half-open ranges; what a broker still owes an acknowledgement for."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from operator import itemgetter

FOREVER = 1 << 62  # the open end: rows that do not exist yet
MAX_RANGES_OWED = 500
Range = tuple[int, int]
_start, _end = itemgetter(0), itemgetter(1)


class Ranges:
    """Sorted, disjoint, non-empty half-open ranges. More than `limit` are joined at the narrowest hole: what is
    between is owed again, which repeats readings and never loses one."""

    def __init__(self, ranges: Iterable[Range] = (), limit: int = MAX_RANGES_OWED) -> None:
        self._ranges: list[Range] = []
        self._limit = limit
        for lo, hi in ranges:
            self.add(lo, hi)

    def __iter__(self) -> Iterator[Range]:
        return iter(self._ranges)

    def __len__(self) -> int:
        return len(self._ranges)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ranges) and self._ranges == other._ranges

    def __repr__(self) -> str:
        return f"Ranges({self._ranges})"

    def __contains__(self, seq: int) -> bool:
        at = bisect_right(self._ranges, seq, key=_start) - 1
        return at >= 0 and seq < self._ranges[at][1]

    __hash__ = None  # type: ignore[assignment]

    def add(self, lo: int, hi: int) -> None:
        if lo >= hi:
            return
        ranges = self._ranges
        first = bisect_left(ranges, lo, key=_end)  # ranges that touch are joined
        last = bisect_right(ranges, hi, key=_start)
        if first < last:
            lo, hi = min(lo, ranges[first][0]), max(hi, ranges[last - 1][1])
        ranges[first:last] = [(lo, hi)]
        self._bound()

    def subtract(self, lo: int, hi: int) -> None:
        if lo >= hi:
            return
        ranges = self._ranges
        if ranges and lo <= ranges[0][0] < hi < ranges[0][1]:  # the usual case: deliveries in order
            ranges[0] = (hi, ranges[0][1])
            return
        first, last = self._touched(lo, hi)
        if first >= last:
            return
        start, end = ranges[first][0], ranges[last - 1][1]
        left = [(start, lo)] if start < lo else []
        if end > hi:
            left.append((hi, end))
        ranges[first:last] = left
        self._bound()

    def within(self, lo: int, hi: int) -> list[Range]:
        """The parts of the set inside [lo, hi)."""
        if lo >= hi:
            return []
        first, last = self._touched(lo, hi)
        return [(max(a, lo), min(b, hi)) for a, b in self._ranges[first:last]]

    def outside(self, lo: int, hi: int) -> list[Range]:
        """The parts of [lo, hi) that are not in the set."""
        holes: list[Range] = []
        for start, end in self.within(lo, hi):
            if lo < start:
                holes.append((lo, start))
            lo = end
        if lo < hi:
            holes.append((lo, hi))
        return holes

    def _touched(self, lo: int, hi: int) -> tuple[int, int]:
        """Slice of the ranges that have something inside [lo, hi)."""
        return bisect_right(self._ranges, lo, key=_end), bisect_left(self._ranges, hi, key=_start)

    def _bound(self) -> None:
        ranges = self._ranges
        while len(ranges) > self._limit:
            at = min(range(len(ranges) - 1), key=lambda i: ranges[i + 1][0] - ranges[i][1])
            ranges[at : at + 2] = [(ranges[at][0], ranges[at + 1][1])]


MAX_RANGES = 400


class RangeCollector:
    """Collector of numbers, added in falling order, as ranges: at most MAX_RANGES, joined over the smaller holes."""

    def __init__(self) -> None:
        self._runs: list[Range] = []  # the highest first
        self._hole = 1

    def add(self, seq: int) -> None:
        if self._runs and self._runs[-1][0] - seq <= self._hole:
            self._runs[-1] = (seq, self._runs[-1][1])
            return
        self._runs.append((seq, seq + 1))
        while len(self._runs) > MAX_RANGES:
            self._hole *= 2
            self._join()

    def __iter__(self) -> Iterator[Range]:
        return iter(self._runs)

    def _join(self) -> None:
        joined = self._runs[:1]
        for lo, hi in self._runs[1:]:
            if joined[-1][0] - hi < self._hole:
                joined[-1] = (lo, joined[-1][1])
            else:
                joined.append((lo, hi))
        self._runs = joined
