"""A token bucket: how much may be written about what anybody can provoke."""

from __future__ import annotations

from collections.abc import Callable


class TokenBucket:
    """`burst` at once, then one each `every` seconds; `missed` counts what was over it since last asked."""

    def __init__(self, burst: int, every: float, monotonic: Callable[[], float]) -> None:
        self._burst = float(burst)
        self._every = every
        self._monotonic = monotonic
        self._tokens = float(burst)
        self._seen = monotonic()
        self.missed = 0

    def take(self) -> bool:
        now = self._monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._seen) / self._every)
        self._seen = now
        if self._tokens < 1:
            self.missed += 1
            return False
        self._tokens -= 1
        return True

    def collect(self) -> int:
        """How many were missed since the last time, and forget them."""
        missed, self.missed = self.missed, 0
        return missed
