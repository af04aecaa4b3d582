"""A simulated body scale: Weight Scale Service 1.0 and Body Composition Service 1.0; it sleeps until somebody steps on
it, then hands over what it has stored."""

from __future__ import annotations

import struct

from gatepost.drivers.ble.twin.devices.encode import date_time, u16
from gatepost.drivers.ble.twin.devices.health import HealthTwin
from gatepost.drivers.ble.twin.peripheral import TwinCharacteristic, TwinService

POUNDS, STAMP, USER, BMI = 0x01, 0x02, 0x04, 0x08
BASAL, MUSCLE_SHARE, MUSCLE, FAT_FREE, WATER, IMPEDANCE, MASS, HEIGHT = (1 << bit for bit in (3, 4, 5, 6, 8, 9, 10, 11))
SEVERAL = 1 << 12
UNSUCCESSFUL = 0xFFFF


class WeightScaleTwin(HealthTwin):
    """Simulated scale. `every_seconds`: how often somebody steps on it by themselves, 0 = only by `weigh`."""

    kind = 0x1D
    model = "Weight Scale"
    sleeps = True
    shows = 2

    def __init__(
        self, seed: int = 0, every_seconds: float = 30.0, show_for: float = 10.0, pounds: bool = False
    ) -> None:
        self.show_for = show_for
        self.pounds = pounds
        self.weighed = 0
        self._every = every_seconds
        self._waiting: list[tuple[bytes, ...]] = []  # weight, then one or two of composition
        self._quiet = 0
        self._weight = TwinCharacteristic(0x2A9D, "indicate", on_subscribe=lambda on: self._listened())
        self._body = TwinCharacteristic(0x2A9C, "indicate", on_subscribe=lambda on: self._listened())
        weight_feature = TwinCharacteristic(0x2A9E, "read", struct.pack("<I", 0x07 | 7 << 3 | 3 << 7))
        body_feature = TwinCharacteristic(0x2A9B, "read", struct.pack("<I", 0x07ED | 7 << 11 | 3 << 15))
        services = [
            TwinService(0x181D, [self._weight, weight_feature, self.clock_characteristic()]),
            TwinService(0x181B, [self._body, body_feature]),
        ]
        super().__init__(services, seed)
        self.kilograms = 62.0 + seed % 30
        self.weigh()

    def weigh(self, successful: bool = True) -> tuple[bytes, ...]:
        """Somebody steps on it. What it will say is given back."""
        self.weighed += 1
        self.kilograms = self.wander(self.kilograms, 0.4, 45, 140)
        values = (self._weight_value(successful), *self._composition(successful))
        self._waiting = [*self._waiting, values][-30:]
        if not self.connected:
            self.wake(self.show_for)
        return values

    def _mass(self, kilograms: float) -> int:
        return round(kilograms / 0.45359237 / 0.01) if self.pounds else round(kilograms / 0.005)

    def _weight_value(self, successful: bool) -> bytes:
        flags = STAMP | USER | (POUNDS if self.pounds else 0)
        weight = self._mass(self.kilograms) if successful else UNSUCCESSFUL
        rest = date_time(self.now()) + b"\x01"
        if successful:
            flags |= BMI
            metres = 1.78
            rest += u16(round(self.kilograms / metres**2 * 10))
            rest += u16(round(metres / 0.0254 * 10) if self.pounds else round(metres * 1000))
        return bytes([flags]) + u16(weight) + rest

    def _composition(self, successful: bool) -> tuple[bytes, ...]:
        stamp = date_time(self.now()) + b"\x01"
        unit = POUNDS if self.pounds else 0
        if not successful:
            return (u16(unit | STAMP | USER) + u16(UNSUCCESSFUL) + stamp,)
        share = 0.17 + self.random.random() * 0.12
        fat, lean = u16(round(share * 1000)), self.kilograms * (1 - share)
        ohms = u16(round(self.random.uniform(420, 560) * 10))
        first = u16(round(7100 + 20 * lean)) + u16(round(420 + self.random.random() * 40))  # kJ; 0.1 %
        second = b"".join(u16(self._mass(part)) for part in (lean * 0.93, lean, lean * 0.73)) + ohms
        head, tail = BASAL | MUSCLE_SHARE, MUSCLE | FAT_FREE | WATER | IMPEDANCE
        if self.weighed % 2:
            return (u16(unit | STAMP | USER | head | tail) + fat + stamp + first + second,)
        return (
            u16(unit | STAMP | USER | head | SEVERAL) + fat + stamp + first,
            u16(unit | tail | SEVERAL) + fat + second,
        )

    def _listened(self) -> None:
        self._quiet = 0

    def tells(self) -> bool:
        """True if it may hand over what it has stored."""
        return True

    def live(self) -> None:
        if self._every and self.every(self._every):
            self.weigh(self.random.random() > 0.05)
        if not (self._weight.subscribed or self._body.subscribed) or not self.every(0.3):
            return
        self._quiet += 1
        if self._waiting and self._quiet > 1 and self.tells():  # time for the second subscription
            weight, *body = self._waiting.pop(0)
            self.send(self._weight, weight)
            for part in body:
                self.send(self._body, part)
            self._quiet = 2
        elif self._quiet >= (8 if self.tells() else 40):
            self.hang_up()
