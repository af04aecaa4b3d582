"""A simulated ear thermometer: Health Thermometer Service 1.0; it stays connected and measures at its interval."""

from __future__ import annotations

from gatepost.drivers.ble.peripheral import GattError
from gatepost.drivers.ble.twin.devices.encode import date_time, medfloat, u16
from gatepost.drivers.ble.twin.devices.health import HealthTwin
from gatepost.drivers.ble.twin.peripheral import OUT_OF_RANGE, TwinCharacteristic, TwinService

FAHRENHEIT, STAMP, TYPE = 0x01, 0x02, 0x04
EAR = 3


class ThermometerTwin(HealthTwin):
    """Intermediate temperatures each second, a measurement each `every_seconds`; it can be set to Fahrenheit."""

    kind = 0x09
    model = "Thermometer"

    def __init__(self, seed: int = 0, every_seconds: int = 5, fahrenheit: bool = False) -> None:
        self.temperature = 36.8
        self.seconds = every_seconds
        self.fahrenheit = fahrenheit
        self._measurement = TwinCharacteristic(0x2A1C, "indicate")
        self._intermediate = TwinCharacteristic(0x2A1E, "notify")
        pace = TwinCharacteristic(
            0x2A21,
            "read write indicate",
            lambda: u16(self.seconds),
            on_write=self._set,
            descriptors={0x2906: b"\1\0<\0"},
        )
        service = TwinService(0x1809, [self._measurement, self._intermediate, pace, self.clock_characteristic()])
        super().__init__([service], seed)

    def _set(self, data: bytes) -> None:
        seconds = int.from_bytes(data, "little")
        if len(data) != 2 or not 0 <= seconds <= 60:
            raise GattError("out of range", OUT_OF_RANGE)
        self.seconds = seconds

    def measure(self, special: str = "") -> bytes:
        """A measurement now; `special` is `nan` and the like."""
        value = self._value(STAMP | TYPE, special) + date_time(self.now()) + bytes([EAR])
        self.send(self._measurement, value)
        return value

    def live(self) -> None:
        if self.every(1.0):
            self.temperature = self.wander(self.temperature, 0.1, 35.8, 39.9)
            self.send(self._intermediate, self._value(TYPE) + bytes([EAR]))
        if self.every(self.seconds):
            self.measure("nan" if self.random.random() < 0.02 else "")

    def _value(self, flags: int, special: str = "") -> bytes:
        if self.fahrenheit:
            return bytes([flags | FAHRENHEIT]) + medfloat(special or f"{self.temperature * 9 / 5 + 32:.1f}")
        return bytes([flags]) + medfloat(special or f"{self.temperature:.2f}")
