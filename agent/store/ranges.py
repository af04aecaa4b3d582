"""Sets of sequence numbers as half-open ranges; what a broker still owes an acknowledgement for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator

FOREVER = 1 << 62  # the open end: rows that do not exist yet
Range = tuple[int, int]


class Ranges:
    """Sorted, disjoint, non-empty half-open ranges. More than `limit` are joined at the narrowest hole: what is
    between is owed again, which repeats readings and never loses one."""

    def __init__(self, ranges: Iterable[Range] = (), limit: int = 500) -> None:
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
        at = bisect_right(self._ranges, (seq, FOREVER)) - 1
        return at >= 0 and self._ranges[at][0] <= seq < self._ranges[at][1]

    __hash__ = None  # type: ignore[assignment]

    def add(self, lo: int, hi: int) -> None:
        if lo >= hi:
            return
        before = [r for r in self._ranges if r[1] < lo]
        after = [r for r in self._ranges if r[0] > hi]
        for start, end in self._ranges[len(before) : len(self._ranges) - len(after)]:
            lo, hi = min(lo, start), max(hi, end)
        self._ranges = [*before, (lo, hi), *after]
        while len(self._ranges) > self._limit:
            self._join_narrowest()

    def subtract(self, lo: int, hi: int) -> None:
        if lo >= hi:
            return
        left: list[Range] = []
        for start, end in self._ranges:
            if end <= lo or start >= hi:
                left.append((start, end))
                continue
            if start < lo:
                left.append((start, lo))
            if end > hi:
                left.append((hi, end))
        self._ranges = left
        while len(self._ranges) > self._limit:
            self._join_narrowest()

    def within(self, lo: int, hi: int) -> list[Range]:
        """The parts of the set inside [lo, hi)."""
        return [(max(a, lo), min(b, hi)) for a, b in self._ranges if a < hi and b > lo]

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

    def _join_narrowest(self) -> None:
        at = min(range(len(self._ranges) - 1), key=lambda i: self._ranges[i + 1][0] - self._ranges[i][1])
        self._ranges[at : at + 2] = [(self._ranges[at][0], self._ranges[at + 1][1])]
