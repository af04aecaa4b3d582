"""Keep-alive timer: a ping after silence, the end of the connection without an answer (MQTT 5, section 3.1.2.10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class LineActivity(Protocol):
    """Activity of a line: when octets last came in and went out, monotonic seconds."""

    last_in: float
    last_out: float


class TimerHandle(Protocol):
    def cancel(self) -> None: ...


class KeepaliveTimer:
    """Keep-alive timer that wakes at most three times in a keep-alive interval on a silent line, once on a busy one.

    Silence in either direction for 0.9 of the interval sends a ping; nothing at all for another half is death:
    found within 1.5 intervals.
    """

    def __init__(
        self,
        interval: float,
        line: LineActivity,
        ping: Callable[[], None],
        dead: Callable[[], None],
        monotonic: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], TimerHandle],
    ) -> None:
        self._interval = interval
        self._line = line
        self._ping = ping
        self._dead = dead
        self._monotonic = monotonic
        self._call_later = call_later
        self._pinged_at: float | None = None
        self._timer: TimerHandle | None = None
        if interval > 0:
            self._after(0.9 * interval)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _after(self, delay: float) -> None:
        self._timer = self._call_later(max(delay, 0.01), self._look)

    def _look(self) -> None:
        now = self._monotonic()
        line = self._line
        if self._pinged_at is not None:
            if line.last_in < self._pinged_at:
                if now - self._pinged_at >= 0.5 * self._interval:
                    self._timer = None
                    self._dead()
                    return
                self._after(self._pinged_at + 0.5 * self._interval - now)
                return
            self._pinged_at = None
        due = min(line.last_in, line.last_out) + 0.9 * self._interval
        if now >= due:
            self._pinged_at = now
            self._ping()
            self._after(0.5 * self._interval)
        else:
            self._after(due - now)
