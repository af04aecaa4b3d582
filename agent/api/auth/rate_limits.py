"""Rate limits and lock-outs, in tables of bounded size: the entry that is longest unused is forgotten first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from gatepost.agent.core.token_bucket import TokenBucket

TABLE = 1024  # clients that are remembered
FREE = 5  # failed attempts without consequence
FIRST_LOCK = 2.0  # seconds; twice as many after each further one,
LONGEST = 900.0  # up to so many
FORGOTTEN = 3600.0  # seconds after which failed attempts are forgiven


class RateLimiter:
    """A bucket of tokens for each key: `rate` a second, and twice that at once."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def take(self, key: str, rate: float) -> float:
        """0.0, or the seconds until there is a token again; `rate` 0 = no limit."""
        if not rate:
            return 0.0
        now, burst = self._now(), max(1.0, 2 * rate)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(rate, burst, now)
        bucket.rate, bucket.burst = rate, burst
        self._buckets.move_to_end(key)
        if len(self._buckets) > TABLE:
            self._buckets.popitem(last=False)
        return bucket.take(now)


class AddressLockout:
    """Addresses whose attempts failed: after a few, each further one costs twice the time."""

    def __init__(self, now: Callable[[], float], longest: float = LONGEST) -> None:
        self._now = now
        self._longest = longest
        self._failed: OrderedDict[str, tuple[int, float, float]] = OrderedDict()  # attempts, locked until, last

    def locked(self, key: str) -> float:
        """Seconds that are left, or 0.0."""
        _, until, _ = self._failed.get(key, (0, 0.0, 0.0))
        return max(0.0, until - self._now())

    def failed(self, key: str) -> float:
        """One more failed attempt; the seconds of the lock-out that follows, or 0.0."""
        now = self._now()
        count, _, last = self._failed.get(key, (0, 0.0, now))
        count = 1 if now - last > FORGOTTEN else count + 1
        lock = 0.0 if count <= FREE else min(self._longest, FIRST_LOCK * 2 ** min(count - FREE - 1, 20))
        self._failed[key] = (count, now + lock, now)
        self._failed.move_to_end(key)
        if len(self._failed) > TABLE:
            self._failed.popitem(last=False)
        return lock
