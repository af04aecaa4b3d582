"""Base of simulated health devices: identity, battery, a clock that can be set, times of measurements."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from datetime import datetime, timedelta

from gatepost.drivers.ble.peripheral import GattError
from gatepost.drivers.ble.twin.devices.encode import current_time, date_time, read_date_time
from gatepost.drivers.ble.twin.peripheral import OUT_OF_RANGE, TwinCharacteristic, TwinPeripheral, TwinService

FULL_BATTERY = 100


def address(kind: int, seed: int) -> str:
    """A made-up public address: one for each kind and seed."""
    return f"C0:DE:{kind:02X}:{seed >> 16 & 0xFF:02X}:{seed >> 8 & 0xFF:02X}:{seed & 0xFF:02X}"


class HealthTwin(TwinPeripheral):
    """Its own services, then Device Information, Battery and Current Time."""

    interval = 0.1
    kind = 0  # octet of its address
    model = "Twin"
    shows = 1

    def __init__(self, services: Iterable[TwinService], seed: int = 0) -> None:
        self.ahead = timedelta(0)  # of its clock before that of the world
        self.clock_set = 0  # how often somebody set it
        self.battery = FULL_BATTERY - seed % 13
        self._ticks = 0
        self._level = TwinCharacteristic(0x2A19, "read notify", lambda: bytes([self.battery]))
        self._time = TwinCharacteristic(
            0x2A2B, "read write notify", lambda: current_time(self.now()), on_write=self._set_current
        )
        self.serial = f"TW{self.kind:02X}{seed:06d}"
        super().__init__(f"Twin {self.model}", address(self.kind, seed), (*services, *self._common()), seed)

    def _common(self) -> tuple[TwinService, ...]:
        vendor, product = 0xFFFF, self.kind  # no company has it
        identity = [
            TwinCharacteristic(0x2A29, "read", b"Gatepost"),
            TwinCharacteristic(0x2A24, "read", self.model.encode() + b"\0"),  # many end it so
            TwinCharacteristic(0x2A25, "read", self.serial.encode()),
            TwinCharacteristic(0x2A26, "read", b"1.0.0"),
            TwinCharacteristic(0x2A27, "read", b"A"),
            TwinCharacteristic(0x2A50, "read", struct.pack("<BHHH", 1, vendor, product, 0x0100)),
        ]
        return (TwinService(0x180A, identity), TwinService(0x180F, [self._level]), TwinService(0x1805, [self._time]))

    # -- its clock

    def now(self) -> datetime:
        """Time of its own clock, to the second."""
        return (self.clock() + self.ahead).replace(microsecond=0)

    def set_clock(self, data: bytes) -> None:
        """A Date Time that was written to it; an impossible one is refused."""
        try:
            wanted = read_date_time(data)
        except ValueError:
            raise GattError("no date", OUT_OF_RANGE) from None
        self.ahead = wanted - self.clock()
        self.clock_set += 1

    def _set_current(self, data: bytes) -> None:
        if len(data) != 10:
            raise GattError("ten octets are needed", 0x0D)
        self.set_clock(data)

    def clock_characteristic(self) -> TwinCharacteristic:
        """Date Time inside the measurement's service, as A&D has it."""
        return TwinCharacteristic(0x2A08, "read write", lambda: date_time(self.now()), on_write=self.set_clock)

    # -- its time

    def every(self, seconds: float) -> bool:
        """True if such a span has just ended; 0 = never. Asked once in each tick."""
        span = round(seconds / self.interval)
        return span > 0 and self._ticks % span == 0

    def tick(self) -> None:
        self._ticks += 1
        if self.every(600) and self.battery > 1:
            self.battery -= 1
            self.send(self._level, bytes([self.battery]))
        self.live()

    def live(self) -> None:
        """One tick of the device itself."""

    def wander(self, value: float, step: float, low: float, high: float) -> float:
        """The next value of something that moves by chance between two ends."""
        return min(high, max(low, value + self.random.uniform(-step, step)))
