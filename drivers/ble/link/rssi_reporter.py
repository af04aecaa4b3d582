"""Reporter of the signal strength: at once, then only after a large change and not too often."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gatepost.drivers.ble.stack.timing import BleTiming


class RssiReporter:
    """Signal strength reporter. `now` is any clock in seconds."""

    def __init__(self, known: Callable[[dict[str, Any]], None], timing: BleTiming) -> None:
        self.last: int | None = None
        self._known = known
        self._timing = timing
        self._told: int | None = None
        self._at = 0.0

    def report(self, rssi: int | None, now: float) -> None:
        if rssi is None:
            return
        self.last = rssi
        if self._told is not None and (
            abs(rssi - self._told) < self._timing.rssi_step or now - self._at < self._timing.rssi_every
        ):
            return
        self._told, self._at = rssi, now
        self._known({"signal_strength": rssi})
