"""How long to wait before the next attempt: exponential with jitter, and a rule for forgetting earlier failures."""

from __future__ import annotations

from random import Random

FIRST, MOST = 1.0, 60.0  # seconds between two tellings: doubled each time, forgotten after a quiet spell of MOST


class RepeatLimiter:
    """`left` until the next telling may be; `told` when it was."""

    def __init__(self) -> None:
        self._pause = FIRST
        self._told = float("-inf")

    def left(self, now: float) -> float:
        """Seconds; 0 = now."""
        return max(0.0, self._told + self._pause - now)

    def told(self, now: float) -> None:
        quiet = now - self._told >= self._pause + MOST
        self._pause = FIRST if quiet else min(MOST, 2 * self._pause)
        self._told = now


FIRST = 0.5
MOST = 15.0  # a link that is down for a day should not stay down for a minute more
STEADY = 30.0  # seconds that a connection must hold before earlier failures are forgotten


class Backoff:
    """`connect, then kicked` is a failure like any other: only a connection that held for STEADY seconds resets it."""

    def __init__(self, rng: Random, first: float = FIRST, most: float = MOST) -> None:
        self._rng = rng
        self._first = first
        self._most = most
        self.failures = 0

    def held(self, seconds: float) -> None:
        """A connection ended after so long."""
        if seconds >= STEADY:
            self.failures = 0

    def next(self, at_least: float = 0.0) -> float:
        """Seconds to wait; drawn from the upper half of the interval, which doubles with each failure in a row.

        `at_least` is kept, and jittered upward.
        """
        span = min(self._most, self._first * 2.0 ** min(self.failures, 16))
        self.failures += 1
        jitter = self._rng.uniform(0.5, 1.0)
        return max(span * jitter, at_least * (0.5 + jitter))
