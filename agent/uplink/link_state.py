"""State of one broker's link: what it does now, since when and why; told to the log and as an event when it changes."""

from __future__ import annotations

import logging
from collections import deque
from typing import Literal, get_args

from gatepost.agent.core.clock import rfc3339
from gatepost.agent.uplink.context import UplinkContext

log = logging.getLogger("gatepost.agent.uplink.broker_link")

WaitingState = Literal["waiting", "refused", "blocked"]
WAITING = get_args(WaitingState)
LATELY = 300.0  # seconds for which the loss of a connection is counted
MOST_LOSSES = 50


class LinkState:
    """State in words: disconnected, connecting, connected, waiting (tried again soon), refused (the broker does not
    accept this gateway), blocked (a setting, secret or certificate must be changed first)."""

    def __init__(self, name: str, context: UplinkContext) -> None:
        self.current = "disconnected"
        self.reason = ""
        self.hint = ""
        self.attempts = 0
        self.connects = 0
        self._name = name
        self._context = context
        self.since = self._now()
        self.offline_since: str | None = self.since
        self._next_attempt_at = 0.0
        self._logged = ("", "")
        self._losses: deque[float] = deque(maxlen=MOST_LOSSES)

    def _now(self) -> str:
        return rfc3339(self._context.clock.now().wall)

    def enter(self, state: str, reason: str, hint: str = "") -> None:
        self.reason, self.hint = reason, hint
        if state == self.current:
            return
        if state == "connecting" or (state, reason) == self._logged:
            level = logging.DEBUG
        else:
            level = logging.INFO if state in ("connected", "disconnected") else logging.WARNING
            self._logged = (state, reason)
        log.log(level, "%s: %s%s", self._name, state, f": {reason}" if reason else "")
        self.current = state
        self.since = self._now()
        self._context.events.emit(
            "broker.status", {"broker": self._name, "name": self._name, "state": state, "reason": reason}
        )

    def connected(self) -> None:
        self.connects += 1
        self.offline_since = None
        self.enter("connected", "")

    def went_offline(self) -> None:
        self.offline_since = self._now()

    def wait(self, seconds: float, state: WaitingState, reason: str, hint: str) -> None:
        """The next attempt is due in so many seconds."""
        now = self._context.clock.monotonic()
        self._next_attempt_at = now + seconds
        if self.current == "connected":
            self._losses.append(now)
        self.enter(state, reason, hint)

    @property
    def next_attempt_in(self) -> float | None:
        """Seconds; None when no attempt is waited for."""
        left = self._next_attempt_at - self._context.clock.monotonic()
        return max(0.0, round(left, 1)) if self.current in WAITING else None

    @property
    def losses(self) -> int:
        """Connections that were lost lately, 50 at most."""
        lately = self._context.clock.monotonic() - LATELY
        return sum(moment > lately for moment in self._losses)


def waiting_state(failure: object) -> WaitingState:
    """After an attempt or a connection that failed like this: ConnectFailed and ConnectionLost say when to try again,
    other errors are of this gateway's own settings and files."""
    retry = getattr(failure, "retry", None)
    if retry in ("soon", "protocol"):
        return "waiting"
    broker_said_so = retry is not None and getattr(failure, "reason", "refused") == "refused"
    return "refused" if broker_said_so else "blocked"
