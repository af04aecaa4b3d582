"""Pauses between attempts: doubling, drawn from the upper half, bounded."""

from __future__ import annotations

from random import Random


class Pauses:
    """`next()` gives the seconds until the next attempt; `reset()` starts anew after a success."""

    def __init__(self, first: float, last: float, rng: Random) -> None:
        self._first = first
        self._last = last
        self._rng = rng
        self.taken = 0

    def next(self) -> float:
        whole = min(self._last, self._first * 2.0 ** min(self.taken, 32))
        self.taken += 1
        return whole * self._rng.uniform(0.5, 1.0)

    def reset(self) -> None:
        self.taken = 0
