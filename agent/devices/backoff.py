"""Pauses between attempts: doubling, drawn from the upper half, bounded."""

from __future__ import annotations

from random import Random


class DeviceBackoff:
    """`pause()` gives the seconds to wait before the next attempt; `reset()` starts anew after a success."""

    def __init__(self, first: float, last: float, rng: Random) -> None:
        self._first = first
        self._last = last
        self._rng = rng
        self.attempts = 0

    def pause(self) -> float:
        self.attempts += 1
        whole = min(self._last, self._first * 2.0 ** min(self.attempts, 32))
        return max(self._first, whole * self._rng.uniform(0.5, 1.0))

    def reset(self) -> None:
        self.attempts = 0
