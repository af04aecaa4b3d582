"""State of one broker's link: what it does now, since when and why; told to the log and as an event when it changes."""

from __future__ import annotations

import logging
from typing import Literal, get_args

from gatepost.agent.uplink.context import UplinkContext

log = logging.getLogger("gatepost.agent.uplink.broker_link")

WaitingState = Literal["waiting", "refused", "blocked"]
WAITING = get_args(WaitingState)


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
        self.since = context.clock.now().wall
        self.offline_since: int | None = self.since
        self._next_attempt_at = 0.0
        self._logged = ("", "")

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
        self.since = self._context.clock.now().wall
        self._context.events.emit(
            "broker.status", {"broker": self._name, "name": self._name, "state": state, "reason": reason}
        )

    def connected(self) -> None:
        self.connects += 1
        self.offline_since = None
        self.enter("connected", "")

    def went_offline(self) -> None:
        self.offline_since = self._context.clock.now().wall

    def wait(self, seconds: float, state: WaitingState, reason: str, hint: str) -> None:
        """The next attempt is due in so many seconds."""
        self._next_attempt_at = self._context.clock.monotonic() + seconds
        self.enter(state, reason, hint)

    @property
    def next_attempt_in(self) -> float | None:
        """Seconds; None when no attempt is waited for."""
        left = self._next_attempt_at - self._context.clock.monotonic()
        return max(0.0, round(left, 1)) if self.current in WAITING else None


def waiting_state(failure: object) -> WaitingState:
    """After an attempt or a connection that failed like this: ConnectFailed and ConnectionLost say when to try again,
    other errors are of this gateway's own settings and files."""
    retry = getattr(failure, "retry", None)
    if retry in ("soon", "protocol"):
        return "waiting"
    broker_said_so = retry is not None and getattr(failure, "reason", "refused") == "refused"
    return "refused" if broker_said_so else "blocked"
