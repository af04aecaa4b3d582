"""When a device that shows itself may be connected: not hammered, and yet caught each time it appears. No I/O."""

from __future__ import annotations

from random import Random

from gatepost.drivers.ble.stack.timing import BleTiming


class ConnectPauses:
    """`next()` gives the seconds until the next attempt; `reset()` starts anew after a success."""

    def __init__(self, first: float, last: float, rng: Random) -> None:
        self._first = first
        self._last = last
        self._rng = rng
        self.taken = 0

    def next(self) -> float:
        whole = min(self._last, self._first * 2.0 ** min(self.taken, 32))
        self.taken += 1
        return whole * self._rng.uniform(0.5, 1.0)

    def reset(self) -> None:
        self.taken = 0


class ConnectPolicy:
    """`now` is any clock in seconds that does not go back."""

    def __init__(self, hold_off: float, rng: Random, tuning: BleTiming) -> None:
        self._hold_off = hold_off
        self._tuning = tuning
        self._pauses = ConnectPauses(tuning.first_strike * 2, tuning.last_strike, rng)
        self._held_until = 0.0
        self._not_before = 0.0
        self._seen: float | None = None

    @property
    def strikes(self) -> int:
        """Failures in a row."""
        return self._pauses.taken

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
        self._not_before = now + self._pauses.next()

    def over(self, now: float, seconds: float, heard: bool) -> None:
        """A session of so many seconds ended; `heard`: it gave data."""
        if heard:
            self._held_until = now + self._hold_off
        if heard or seconds >= self._tuning.good:
            self._pauses.reset()
        else:
            self.strike(now)
