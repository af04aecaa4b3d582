"""Exponential backoff with jitter and a reset rule: the pause before each further attempt."""

from __future__ import annotations

from random import Random

HIGHEST_POWER = 32  # of two: beyond it every interval has met its bound


class Backoff:
    """Pauses that double with each failure in a row, from `first` up to `longest` seconds, each drawn from the upper
    half of its interval. A success is told by `reset`, or by `held` where only what lasts `steady` seconds is one."""

    def __init__(self, rng: Random, first: float, longest: float, steady: float = 0.0) -> None:
        self._rng = rng
        self._first = first
        self._longest = longest
        self._steady = steady
        self.failures = 0  # in a row

    def next(self, at_least: float = 0.0) -> float:
        """Seconds to wait after one more failure. `at_least` is kept, and jittered upward."""
        interval = min(self._longest, self._first * 2.0 ** min(self.failures, HIGHEST_POWER))
        self.failures += 1
        jitter = self._rng.uniform(0.5, 1.0)
        return max(interval * jitter, at_least * (0.5 + jitter))

    def held(self, seconds: float) -> None:
        """What was begun has ended after so many seconds: earlier failures are forgotten if it was steady."""
        if seconds >= self._steady:
            self.failures = 0

    def reset(self) -> None:
        """Forget earlier failures."""
        self.failures = 0
