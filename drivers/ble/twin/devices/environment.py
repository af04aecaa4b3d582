"""A simulated room sensor: Environmental Sensing Service 1.0; every value can be read and notifies."""

from __future__ import annotations

import struct
from collections.abc import Callable

from gatepost.drivers.ble.twin.devices.encode import sfloat, u16
from gatepost.drivers.ble.twin.devices.health import HealthTwin
from gatepost.drivers.ble.twin.peripheral import TwinCharacteristic, TwinService

MEASUREMENT, DESCRIPTION = 0x290C, 0x2901


class EnvironmentTwin(HealthTwin):
    """Two temperatures (air, and a probe that is unplugged now and then), humidity, pressure, light, CO2, dust."""

    kind = 0x1A
    model = "Environment"

    def __init__(self, seed: int = 0, every_seconds: float = 2.0) -> None:
        self.air, self.probe, self.humidity, self.pressure = 21.5, 4.0, 45.0, 101325.0
        self.light, self.co2, self.dust = 320.0, 620.0, 12.0  # lx, ppm, ug/m3
        self.plugged = True
        self._seconds = every_seconds
        self._values = [
            self._sensor(0x2A6E, lambda: struct.pack("<h", round(self.air * 100)), "Air"),
            self._sensor(0x2A6E, self._probe, "Probe"),
            self._sensor(0x2A6F, lambda: u16(round(self.humidity * 100)), "Humidity"),
            self._sensor(0x2A6D, lambda: struct.pack("<I", round(self.pressure * 10)), "Pressure"),
            self._sensor(0x2AFB, lambda: round(self.light * 100).to_bytes(3, "little"), "Light"),
            self._sensor(0x2B8C, lambda: u16(round(self.co2)), "CO2"),
            self._sensor(0x2BD6, lambda: sfloat(f"{round(self.dust / 10)}e-8"), "PM2.5"),
        ]
        super().__init__([TwinService(0x181A, self._values)], seed)

    @staticmethod
    def _sensor(uuid: int, value: Callable[[], bytes], name: str) -> TwinCharacteristic:
        # instantaneous, updated each two seconds, air, uncertainty 0.5 %
        measurement = struct.pack("<HB", 0, 1) + bytes(3) + (2).to_bytes(3, "little") + b"\x01\x01"
        return TwinCharacteristic(
            uuid, "read notify", value, descriptors={MEASUREMENT: measurement, DESCRIPTION: name.encode()}
        )

    def _probe(self) -> bytes:
        return struct.pack("<h", round(self.probe * 100) if self.plugged else -0x8000)

    def live(self) -> None:
        if not self.every(self._seconds):
            return
        self.air = self.wander(self.air, 0.2, 16, 30)
        self.probe = self.wander(self.probe, 0.2, -25, 9)
        self.humidity = self.wander(self.humidity, 0.8, 25, 75)
        self.pressure = self.wander(self.pressure, 8, 98000, 104000)
        self.light = self.wander(self.light, 40, 0, 2000)
        self.co2 = self.wander(self.co2, 25, 410, 2400)
        self.dust = self.wander(self.dust, 6, 0, 150)
        self.plugged = self.random.random() > 0.03
        for value in self._values:
            self.send(value, value.read())
