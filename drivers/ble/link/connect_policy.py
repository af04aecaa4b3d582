"""When a device that shows itself may be connected: not hammered, and yet caught each time it appears. No I/O."""

from __future__ import annotations

from random import Random

from gatepost.drivers.backoff import Backoff
from gatepost.drivers.ble.stack.timing import BleTiming


class ConnectPolicy:
    """`now` is any clock in seconds that does not go back."""

    def __init__(self, hold_off: float, rng: Random, tuning: BleTiming) -> None:
        self._hold_off = hold_off
        self._tuning = tuning
        self._backoff = Backoff(rng, 2 * tuning.first_strike, tuning.last_strike)
        self._held_until = 0.0
        self._not_before = 0.0
        self._seen: float | None = None

    @property
    def strikes(self) -> int:
        """Failures in a row."""
        return self._backoff.failures

    def shown(self, now: float) -> bool:
        """The device showed itself: whether to connect. One that comes back after it was away may be tried at once."""
        away = self._seen is None or now - self._seen >= self._tuning.away
        self._seen = now
        if now < self._held_until:
            return False
        if away:
            self._not_before = now
        return now >= self._not_before

    def strike(self, now: float) -> None:
        """A connection failed, or was worth nothing."""
        self._not_before = now + self._backoff.next()

    def over(self, now: float, seconds: float, heard: bool) -> None:
        """A session of so many seconds ended; `heard`: it gave data."""
        if heard:
            self._held_until = now + self._hold_off
        if heard or seconds >= self._tuning.good:
            self._backoff.reset()
        else:
            self.strike(now)
