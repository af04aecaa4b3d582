"""A simulated bedside monitor: several services at once, for the driver that picks profiles by what it finds."""

from __future__ import annotations

from gatepost.drivers.ble.twin.devices.encode import medfloat, sfloat, u16
from gatepost.drivers.ble.twin.devices.health import HealthTwin
from gatepost.drivers.ble.twin.peripheral import TwinCharacteristic, TwinService


class MonitorTwin(HealthTwin):
    """Heart rate and saturation each second, temperature each five."""

    kind = 0xB0
    model = "Monitor"
    shows = 3

    def __init__(self, seed: int = 0) -> None:
        self.rate, self.spo2, self.temperature = 74.0, 97.0, 37.1
        self._rate = TwinCharacteristic(0x2A37, "notify")
        self._oximetry = TwinCharacteristic(0x2A5F, "notify")
        self._temperature = TwinCharacteristic(0x2A1C, "indicate")
        services = [
            TwinService(0x180D, [self._rate]),
            TwinService(0x1822, [self._oximetry, TwinCharacteristic(0x2A60, "read", u16(0))]),
            TwinService(0x1809, [self._temperature]),
        ]
        super().__init__(services, seed)

    def live(self) -> None:
        if not self.every(1.0):
            return
        self.rate = self.wander(self.rate, 1.5, 48, 140)
        self.spo2 = self.wander(self.spo2, 0.4, 90, 100)
        self.temperature = self.wander(self.temperature, 0.05, 36, 39.5)
        self.send(self._rate, bytes((0, round(self.rate))))
        self.send(self._oximetry, b"\0" + sfloat(f"{self.spo2:.0f}") + sfloat(f"{self.rate:.0f}"))
        if self.every(5.0):
            self.send(self._temperature, b"\x04" + medfloat(f"{self.temperature:.1f}") + b"\x01")
