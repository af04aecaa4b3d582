"""The signal strength as status: told at once, then only when it changed by much and not too often."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gatepost.drivers.ble.stack.timing import BleTiming


class RssiReporter:
    """`now` is any clock in seconds."""

    def __init__(self, known: Callable[[dict[str, Any]], None], tuning: BleTiming) -> None:
        self.last: int | None = None
        self._known = known
        self._tuning = tuning
        self._told: int | None = None
        self._at = 0.0

    def heard(self, rssi: int | None, now: float) -> None:
        if rssi is None:
            return
        self.last = rssi
        if self._told is not None and (
            abs(rssi - self._told) < self._tuning.rssi_step or now - self._at < self._tuning.rssi_every
        ):
            return
        self._told, self._at = rssi, now
        self._known({"signal_strength": rssi})
