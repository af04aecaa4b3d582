"""Bookmarks: which of a device's stored records are on disk already, in a few octets of JSON with each record.

`TakenNumbers` is for numbered records; those told apart by their content have drivers/record_digests.py. Any JSON is
read: what is not of this form means that nothing was taken yet.
"""

from __future__ import annotations

from typing import Any

MOST_RUNS = 32


class TakenNumbers:
    """Numbers of records: all up to `to`, and `runs` above it, each (first, last), apart and in order.

    Runs come about while a download is under way beside live records, or in another order than its numbers. When there
    are too many, the lowest gap counts as taken: it is the oldest one, and no more than a hole in the numbers.
    """

    def __init__(self, to: int = -1) -> None:
        self.to = to
        self.runs: list[tuple[int, int]] = []

    @classmethod
    def load(cls, mark: Any) -> TakenNumbers:
        taken = cls()
        if isinstance(mark, dict) and type(mark.get("to")) is int:
            taken.to = mark["to"]
            runs = mark.get("runs", [])
            for run in runs if isinstance(runs, list) else ():
                if isinstance(run, list) and len(run) == 2 and all(type(number) is int for number in run):
                    taken.fill(*run)
        return taken

    def dump(self) -> dict[str, Any]:
        return {"to": self.to, "runs": [list(run) for run in self.runs]} if self.runs else {"to": self.to}

    def copy(self) -> TakenNumbers:
        other = TakenNumbers(self.to)
        other.runs = list(self.runs)
        return other

    @property
    def newest(self) -> int:
        """The highest number that was taken; -1 = none."""
        return self.runs[-1][1] if self.runs else self.to

    def __contains__(self, number: int) -> bool:
        return number <= self.to or any(first <= number <= last for first, last in self.runs)

    def fill(self, first: int, last: int) -> None:
        """Everything from `first` to `last` is taken, or is not there."""
        apart: list[tuple[int, int]] = []
        for run in self.runs:
            if run[0] <= last + 1 and first <= run[1] + 1:
                first, last = min(first, run[0]), max(last, run[1])
            else:
                apart.append(run)
        if first <= last:
            apart.append((first, last))
        self.runs = sorted(apart)
        while self.runs and (self.runs[0][0] <= self.to + 1 or len(self.runs) > MOST_RUNS):
            self.to = max(self.to, self.runs.pop(0)[1])

    def gaps(self) -> list[tuple[int, int]]:
        """The numbers between the runs, (first, last): at most as many as there are runs."""
        ends = [self.to, *(last for _, last in self.runs)]
        return [(end + 1, first - 1) for end, (first, _) in zip(ends, self.runs, strict=False)]

    def settle(self) -> None:
        """Requested records are complete: up to the newest there is nothing more to ask for."""
        self.to, self.runs = self.newest, []


class RecordDownload:
    """Download of records, which keeps `taken` during one answer of a device: `new` says whether a number was not
    there before.

    Numbers that rise tell that there is nothing between them. One number alone tells nothing of those before it,
    unless it is the only one that was announced: a device that sends its newest record first must not lose the others
    when it is interrupted. `expected` is the number of records that the device announced, None = it did not; `first`
    and `last` are the numbers that it was asked for, None = all there are."""

    def __init__(
        self, taken: TakenNumbers, expected: int | None = None, first: int | None = None, last: int | None = None
    ) -> None:
        self.count = 0
        self.first = taken.to + 1 if first is None else first
        self.last = last
        self._taken = taken
        self._expected = expected
        self._before = taken.copy()
        self._seen: set[int] = set()
        self._before_it: int | None = None  # the record before

    def new(self, number: int) -> bool:
        """Takes it, where it is new."""
        self.count += 1
        new = number not in self._before and number not in self._seen
        self._seen.add(number)
        before, self._before_it = self._before_it, number
        if before is None or number <= before:
            self._taken.fill(number, number)
        else:
            if self.count == 2:
                self._taken.fill(self.first, before)
            self._taken.fill(before, number)
        if self.count == self._expected:
            self.whole()
        return new

    def whole(self) -> None:
        """All that was asked for has come."""
        if self.last is None:
            self._taken.settle()
        else:
            self._taken.fill(self.first, self.last)
