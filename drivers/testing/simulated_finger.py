"""Simulated finger in an oximeter: pulse, saturation and pulse wave, for the twins of oximeters."""

from __future__ import annotations

import random
from typing import NamedTuple


class FingerSample(NamedTuple):
    """One moment of a finger; `pulse_rate` (1/min) and `spo2` (%) are None while no finger is in."""

    pulse_rate: int | None
    spo2: int | None
    level: int  # of the pulse wave, 0 to 100
    beat: bool  # at the top of the wave


class SimulatedFinger:
    """Pulse and saturation wander, the wave follows the pulse. One `sample` is `interval` seconds."""

    def __init__(self, seed: int, interval: float) -> None:
        self._interval = interval
        self._random = random.Random(seed)  # noqa: S311  # a simulation
        self._pulse = 72.0
        self._spo2 = 97.0
        self._phase = 0.0

    def sample(self, present: bool = True) -> FingerSample:
        drift = self._random.uniform
        self._pulse = min(140.0, max(48.0, self._pulse + drift(-0.1, 0.1)))
        self._spo2 = min(99.4, max(90.0, self._spo2 + drift(-0.03, 0.03)))
        self._phase = (self._phase + self._pulse / 60 * self._interval) % 1.0
        if not present:
            return FingerSample(None, None, 0, False)
        level = round(100 * (self._phase / 0.2 if self._phase < 0.2 else (1 - self._phase) / 0.8))
        return FingerSample(round(self._pulse), round(self._spo2), level, level > 95)
