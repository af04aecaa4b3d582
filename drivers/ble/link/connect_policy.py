"""Connect policy of one device: pauses after failures, an immediate attempt when it comes back. No I/O."""

from __future__ import annotations

from random import Random

from gatepost.drivers.backoff import Backoff
from gatepost.drivers.ble.stack.timing import BleTiming


class ConnectPolicy:
    """Connect policy. `now` is any clock in seconds that does not go back."""

    def __init__(self, hold_off: float, rng: Random, timing: BleTiming) -> None:
        self._hold_off = hold_off
        self._timing = timing
        self._backoff = Backoff(rng, 2 * timing.first_retry, timing.last_retry)
        self._held_until = 0.0
        self._not_before = 0.0
        self._seen: float | None = None

    @property
    def failures(self) -> int:
        """Failures in a row."""
        return self._backoff.failures

    def may_connect(self, now: float) -> bool:
        """The device showed itself: whether to connect. One that comes back after it was away may be tried at once."""
        away = self._seen is None or now - self._seen >= self._timing.away
        self._seen = now
        if now < self._held_until:
            return False
        if away:
            self._not_before = now
        return now >= self._not_before

    def failed(self, now: float) -> None:
        """A connection failed, or was worth nothing."""
        self._not_before = now + self._backoff.next()

    def ended(self, now: float, seconds: float, gave_data: bool) -> None:
        """A session of so many seconds ended; `gave_data`: whether it gave any."""
        if gave_data:
            self._held_until = now + self._hold_off
        if gave_data or seconds >= self._timing.good:
            self._backoff.reset()
        else:
            self.failed(now)
