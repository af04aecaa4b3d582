"""Backoff of retries, and a limit on how often the same thing is reported."""

from __future__ import annotations

from gatepost.drivers.backoff import Backoff as Backoff  # drivers need it too, and import nothing from the agent

FIRST_INTERVAL, LONGEST_INTERVAL = 1.0, 60.0  # seconds between two reports


class RepeatLimiter:
    """Limits repeated reports: `left` until the next one may be made, `told` when one was. The interval doubles each
    time, and starts anew after a quiet spell of LONGEST_INTERVAL."""

    def __init__(self) -> None:
        self._interval = FIRST_INTERVAL
        self._told = float("-inf")

    def left(self, now: float) -> float:
        """Seconds; 0 = now."""
        return max(0.0, self._told + self._interval - now)

    def told(self, now: float) -> None:
        quiet = now - self._told >= self._interval + LONGEST_INTERVAL
        self._interval = FIRST_INTERVAL if quiet else min(LONGEST_INTERVAL, 2 * self._interval)
        self._told = now
