"""Single sequence numbers as few ranges."""

from __future__ import annotations

from collections.abc import Iterator

from agent.store.ranges import Range

MOST = 400


class Runs:
    """Numbers come in falling order. More than MOST ranges are joined over the smaller holes."""

    def __init__(self) -> None:
        self._runs: list[Range] = []  # the highest first
        self._hole = 1

    def add(self, seq: int) -> None:
        if self._runs and self._runs[-1][0] - seq <= self._hole:
            self._runs[-1] = (seq, self._runs[-1][1])
            return
        self._runs.append((seq, seq + 1))
        while len(self._runs) > MOST:
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
