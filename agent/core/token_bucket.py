"""Token bucket: a rate with a burst, for anything that must not be done more often."""

from __future__ import annotations


class TokenBucket:
    """Bucket of at most `burst` tokens, full at first, refilled with `rate` tokens a second; `now` is monotonic."""

    __slots__ = ("_at", "_tokens", "burst", "rate")

    def __init__(self, rate: float, burst: float, now: float, tokens: float | None = None) -> None:
        self.rate = rate
        self.burst = burst
        self._tokens = burst if tokens is None else tokens
        self._at = now

    def wait(self, now: float) -> float:
        """Seconds until there is a token; 0.0 = there is one."""
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        return 0.0 if self._tokens >= 1.0 else (1.0 - self._tokens) / self.rate

    def spend(self) -> None:
        """Use up the token that `wait` found."""
        self._tokens -= 1.0

    def take(self, now: float) -> float:
        """Use up a token: 0.0, or the seconds until there is one."""
        seconds = self.wait(now)
        if not seconds:
            self.spend()
        return seconds
