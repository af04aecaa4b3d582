"""Simulated ProtoCentral boards: somebody breathes, and the heart beats."""

from __future__ import annotations

import math
import random

from gatepost.drivers.serial.protocentral.frames import encode_frame
from gatepost.drivers.serial.protocentral.signals import encode_ads1292r, encode_healthypi
from gatepost.drivers.testing.ecg_beat import heart_beat

TICKS = 25  # a second
BREATHS = 16  # a minute


class ProtocentralTwin:
    """A frame for each sample, `rate` a second, several a tick. `leads` and `finger` can be taken off; with `ramp` the
    ECG counts its samples, so that a test sees whether one is missing."""

    def __init__(self, seed: int = 0, rate: float = 125.0, healthypi: bool = False, ramp: bool = False) -> None:
        self.interval = 1 / TICKS
        self.leads = self.finger = True
        self.samples = 0
        self._each = max(1, round(rate / TICKS))
        self._rate = rate
        self._healthypi = healthypi
        self._ramp = ramp
        self._random = random.Random(seed)  # noqa: S311  # a simulation
        self._pulse = 72.0

    def tick(self) -> bytes:
        self._pulse = min(110.0, max(50.0, self._pulse + self._random.uniform(-0.2, 0.2)))
        return b"".join(self._frame() for _ in range(self._each))

    def hear(self, data: bytes) -> bytes:
        return b""

    def _frame(self) -> bytes:
        at = self.samples / self._rate
        if self._ramp:
            ecg = (self.samples + 0x8000) % 0x10000 - 0x8000
        else:
            ecg = round(1000 * heart_beat(at * 72 / 60 % 1.0) + self._random.gauss(0, 4))
        breath = round(400 * math.sin(at * BREATHS / 60 * math.tau))
        self.samples += 1
        pulse = round(self._pulse)
        if not self._healthypi:
            return encode_frame(2, encode_ads1292r(ecg, breath, pulse, BREATHS))
        if not self.leads:
            ecg = breath = pulse = 0
        spo2 = 97 if self.finger else 25  # the octet of -999
        off = (not self.leads) | (not self.finger) << 1
        return encode_frame(2, encode_healthypi(ecg, breath, pulse, BREATHS if self.leads else 0, spo2, 3660, off))
