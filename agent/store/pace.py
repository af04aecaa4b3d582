"""When something that comes again and again is told: at once after a quiet spell, then less and less often."""

from __future__ import annotations

FIRST, MOST = 1.0, 60.0  # seconds between two tellings: doubled each time, forgotten after a quiet spell of MOST


class Pace:
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
