"""A simulated Nonin 3230: Nonin's own oximetry service, one frame of ten octets a second, big-endian."""

from __future__ import annotations

import struct

from gatepost.drivers.ble.twin.devices.health import HealthTwin
from gatepost.drivers.ble.twin.peripheral import TwinCharacteristic, TwinService

SERVICE, DATA, CONTROL = (
    "46a970e0-0d5f-11e2-8b5e-0002a5d5c51b",
    "0aad7ea0-0d60-11e2-8e3c-0002a5d5c51b",
    "1447af80-0d60-11e2-88b6-0002a5d5c51b",
)
SYNCED, SMARTPOINT, SEARCHING = 0x01, 0x04, 0x08
NO_SPO2, NO_RATE = 127, 511
DONE = b"bNMI"


class NoninBleTwin(HealthTwin):
    """Simulated Nonin oximeter. It searches for some seconds when a finger comes; told that the measurement is over,
    it hangs up."""

    kind = 0x4A
    model = "Nonin3230"

    def __init__(self, seed: int = 0) -> None:
        self.spo2, self.rate = 97.0, 68.0
        self._seconds = 0
        self._data = TwinCharacteristic(DATA, "notify")
        control = TwinCharacteristic(CONTROL, "write", on_write=self._told)
        super().__init__([TwinService(SERVICE, [self._data, control])], seed)

    def _told(self, data: bytes) -> None:
        if data == DONE:
            self.hang_up()

    def on_connect(self) -> None:
        self._seconds = 0

    def live(self) -> None:
        if not self.connected or not self.every(1.0):
            return
        self._seconds += 1
        self.spo2 = self.wander(self.spo2, 0.4, 90, 100)
        self.rate = self.wander(self.rate, 1.5, 48, 130)
        finds = self._seconds > 4
        status = SYNCED | SMARTPOINT if finds else SEARCHING
        spo2, rate = (round(self.spo2), round(self.rate)) if finds else (NO_SPO2, NO_RATE)
        self.send(self._data, struct.pack(">BBBHHBH", 10, status, 29, 412, self._seconds, spo2, rate))
