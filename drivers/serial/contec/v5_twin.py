"""Twin of an oximeter with the five-octet protocol."""

from __future__ import annotations

from gatepost.drivers.serial.contec.v5_frames import END_STORED, READ_STORED, V5LiveData, encode_live, encode_stored
from gatepost.drivers.testing.simulated_finger import SimulatedFinger

STORED_RECORDS = 90  # records that the twin has stored
OCTETS_PER_TICK = 64  # octets of a stored recording in one tick: four times the speed of the line


class Contec5Twin:
    """A finger in an oximeter: a frame a tick, pulse and saturation wander, the waveform follows the pulse."""

    interval = 1 / 60

    def __init__(self, seed: int = 0) -> None:
        self.finger = True
        self._person = SimulatedFinger(seed, self.interval)
        self.stored = [(60 + i % 20, 90 + i % 9) for i in range(STORED_RECORDS)]  # pulse rate and SpO2 of each second
        self._rest = b""
        self._saying = b""

    def frame(self) -> V5LiveData:
        now = self._person.sample(self.finger)
        strength, level = 6 if self.finger else 0, now.level
        return V5LiveData(
            strength, not self.finger, False, now.beat, level, level // 8, False, False, now.pulse_rate, now.spo2
        )

    def tick(self) -> bytes:
        if self._saying:
            said, self._saying = self._saying[:OCTETS_PER_TICK], self._saying[OCTETS_PER_TICK:]
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
