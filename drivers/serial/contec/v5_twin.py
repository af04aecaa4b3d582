"""A simulated oximeter of the five-octet protocol."""

from __future__ import annotations

import random

from gatepost.drivers.serial.contec.v5_frames import END_STORED, READ_STORED, V5LiveData, encode_live, encode_stored

NIGHT = 90  # records that the twin has stored
SAY = 64  # octets of a stored recording in one tick: four times the speed of the line


class Contec5Twin:
    """A finger in an oximeter: a frame a tick, pulse and saturation wander, the waveform follows the pulse."""

    def __init__(self, seed: int = 0, interval: float = 1 / 60) -> None:
        self.interval = interval
        self.finger = True
        self._random = random.Random(seed)  # noqa: S311  # a simulation
        self._pulse = 72.0
        self._spo2 = 97.0
        self._phase = 0.0
        self.stored = [(60 + i % 20, 90 + i % 9) for i in range(NIGHT)]  # pulse rate and SpO2 of each second
        self._rest = b""
        self._saying = b""

    def frame(self) -> V5LiveData:
        drift = self._random.uniform
        self._pulse = min(140.0, max(48.0, self._pulse + drift(-0.1, 0.1)))
        self._spo2 = min(99.4, max(90.0, self._spo2 + drift(-0.03, 0.03)))
        self._phase = (self._phase + self._pulse / 60 * self.interval) % 1.0
        if not self.finger:
            return V5LiveData(0, True, False, False, 0, 0, False, False, None, None)
        level = pleth_level(self._phase)
        return V5LiveData(
            6, False, False, level > 95, level, level // 8, False, False, round(self._pulse), round(self._spo2)
        )

    def tick(self) -> bytes:
        if self._saying:
            said, self._saying = self._saying[:SAY], self._saying[SAY:]
            return said
        return encode_live(self.frame())

    def hear(self, data: bytes) -> bytes:
        self._rest = (self._rest + data)[-8:]
        if END_STORED in self._rest:
            self._saying = b""
            self._rest = self._rest.rpartition(END_STORED)[2]
        if READ_STORED in self._rest:
            self._rest = b""
            self._saying = encode_stored(self.stored) if self.stored else b""
        return b""


def pleth_level(phase: float) -> int:
    """A pulse wave, 0 to 100: a quick rise and a slow fall."""
    return round(100 * (phase / 0.2 if phase < 0.2 else (1 - phase) / 0.8))
