"""A simulated chest strap: Heart Rate Service 1.0 with RR intervals, energy and skin contact, once a second."""

from __future__ import annotations

import struct

from gatepost.drivers.ble.peripheral import GattError
from gatepost.drivers.ble.twin.devices.encode import u16
from gatepost.drivers.ble.twin.devices.health import HealthTwin
from gatepost.drivers.ble.twin.peripheral import TwinCharacteristic, TwinService

SUPPORTED, TOUCHING, ENERGY, RR, WIDE = 0x04, 0x02, 0x08, 0x10, 0x01
MOST_RR = 7  # that fit beside everything else in twenty octets
CHEST = b"\x01"


class HeartRateTwin(HealthTwin):
    """Its rate wanders; now and then the contact is lost for some seconds (`contact_losses`)."""

    kind = 0x0D
    model = "Heart Rate"

    def __init__(self, seed: int = 0, contact_losses: bool = True) -> None:
        self.rate = 72.0
        self.energy = 0  # kJ
        self._losses = contact_losses
        self._off = 0  # seconds without contact
        self._next_beat = 0.0  # seconds from now
        self._beats: list[int] = []  # RR intervals in 1/1024 s that were not sent yet
        self._sent = 0
        self._measurement = TwinCharacteristic(0x2A37, "notify")
        self._site = TwinCharacteristic(0x2A38, "read", CHEST)
        self._point = TwinCharacteristic(0x2A39, "write", on_write=self._control)
        super().__init__([TwinService(0x180D, [self._measurement, self._site, self._point])], seed)

    def _control(self, data: bytes) -> None:
        if data != b"\x01":
            raise GattError("control point not supported", 0x80)
        self.energy = 0

    def live(self) -> None:
        self._beat()
        if not self.every(1.0):
            return
        self.rate = self.wander(self.rate, 1.5, 48, 165)
        self.energy = min(self.energy + 1, 0xFFFF) if self.every(10) else self.energy
        if self._off:
            self._off -= 1
        elif self._losses and self.random.random() < 0.01:
            self._off = 3
        self.send(self._measurement, self._value())

    def _beat(self) -> None:
        self._next_beat -= self.interval
        while self._next_beat <= 0:
            period = 60 / self.rate * self.random.gauss(1, 0.03)
            self._beats = [*self._beats, round(period * 1024)][-MOST_RR:]
            self._next_beat += period

    def _value(self) -> bytes:
        rate, flags, rest = round(self.rate), SUPPORTED, b""
        beats, self._beats = self._beats, []
        if self._off:
            rate = 0
        else:
            flags |= TOUCHING
        self._sent += 1
        if self._sent % 10 == 0:
            flags |= ENERGY
            rest += u16(self.energy)
        if beats and not self._off:
            flags |= RR
            rest += b"".join(map(u16, beats))
        if self._sent % 7 == 0:  # both widths are met in the field
            return struct.pack("<BH", flags | WIDE, rate) + rest
        return bytes((flags, rate)) + rest
