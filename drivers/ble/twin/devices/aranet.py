"""Simulated Aranet4: values, and a history that grows with each measurement. Whatever would change its settings is
counted."""

from __future__ import annotations

import struct
from datetime import datetime, timedelta

from gatepost.drivers.ble.twin.devices.health import HealthTwin
from gatepost.drivers.ble.twin.peripheral import TwinCharacteristic, TwinService

MEMORY = 2016
PACKET = 60  # values of one packet


def _uuid(number: str) -> str:
    return f"f0cd{number}-95da-4f4b-9ac8-aa55d312af0c"


class AranetTwin(HealthTwin):
    """Simulated monitor. `interval_seconds`: between two measurements; `measured`: how many it has taken."""

    kind = 0x4A
    model = "Aranet4"

    def __init__(self, seed: int = 0, measured: int = 20, interval_seconds: int = 300) -> None:
        self.interval_seconds = interval_seconds
        self.forbidden = 0
        self.asked = 0
        self._packet = b""
        now = TwinCharacteristic(_uuid("3001"), "read", self._now)
        history = TwinCharacteristic(_uuid("2005"), "read", lambda: self._packet)
        control = TwinCharacteristic(_uuid("1402"), "write", on_write=self._told)
        super().__init__([TwinService(0xFCE0, [now, history, control])], seed)
        self.name = f"Aranet4 {seed:05d}"
        self._begun = self.clock() - timedelta(seconds=interval_seconds * measured + 10)

    def _clock_now(self) -> datetime:
        return self.clock().replace(microsecond=0)

    def _state(self) -> tuple[int, int]:
        """How many measurements were taken, and the age of the last."""
        seconds = max(0, int((self._clock_now() - self._begun).total_seconds()))
        return seconds // self.interval_seconds, seconds % self.interval_seconds

    @staticmethod
    def _values(number: int) -> tuple[int, int, int, int]:
        """Raw temperature, humidity, pressure, CO2 of a measurement; each seventh has no CO2."""
        co2 = 0x8000 if number % 7 == 0 else 600 + number % 400
        return 420 + number % 40, 45 + number % 10, 10150 + number % 20, co2

    def _now(self) -> bytes:
        self.asked += 1
        taken, age = self._state()
        temperature, humidity, pressure, co2 = self._values(taken)
        head = struct.pack("<HHHBBB", co2, temperature, pressure, humidity, self.battery, 1)
        return head + struct.pack("<HH", self.interval_seconds, age)

    def _told(self, data: bytes) -> None:
        if data[:1] != b"\x61":
            self.forbidden += 1
            return
        _, parameter, start = struct.unpack("<BBH", data)
        taken, age = self._state()
        total = min(taken, MEMORY)
        numbers = range(start, min(start + PACKET, total + 1))
        raw = [self._values(taken - total + number)[parameter - 1] for number in numbers]
        body = bytes(raw) if parameter == 2 else struct.pack(f"<{len(raw)}H", *raw)
        head = struct.pack("<BHHHHB", parameter, self.interval_seconds, total, age, start, len(raw))
        self._packet = head + body
