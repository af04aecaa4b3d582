"""Simulated Microlife cuff: all measurements in one answer. Whatever would change something is counted."""

from __future__ import annotations

from datetime import timedelta

from gatepost.drivers.ble.twin.devices.health import HealthTwin
from gatepost.drivers.ble.twin.peripheral import TwinCharacteristic, TwinService

ASK_RECORDS = bytes.fromhex("4dff000900000000000000fd52")
GOODBYE = bytes.fromhex("4dff00020452")


class MicrolifeTwin(HealthTwin):
    """Simulated cuff."""

    kind = 0x4E
    model = "BP3GY1-2N"
    sleeps = True

    def __init__(self, seed: int = 0, stored: int = 3) -> None:
        self.records: list[bytes] = []
        self.forbidden = self.goodbyes = 0
        self._notify = TwinCharacteristic(0xFFF1, "notify")
        control = TwinCharacteristic(0xFFF2, "write", on_write=self._told)
        super().__init__([TwinService(0xFFF0, [self._notify, control])], seed)
        self.name = "BP3GY1-2N"
        for age in range(stored, 0, -1):
            self.measure(timedelta(hours=age))

    def measure(self, age: timedelta = timedelta(0)) -> None:
        """Somebody takes a measurement; the cuff shows itself."""
        chance, when = self.random, self.now() - age
        diastolic = chance.randint(62, 92)
        head = (diastolic + chance.randint(32, 58), diastolic, chance.randint(55, 95))
        time = (when.year - 2000, when.month, when.day, when.hour, when.minute)
        self.records = [*self.records, bytes((*head, *time, 0, 0))][-99:]
        self.wake(30)

    def _told(self, data: bytes) -> None:
        if data == GOODBYE:
            self.goodbyes += 1
        elif data == ASK_RECORDS:
            body = bytes(38) + b"".join(self.records)
            frame = b"\x4d\x3a" + (len(body) + 1).to_bytes(2, "big") + body
            frame += bytes((sum(frame) & 0xFF,))
            for at in range(0, len(frame), 20):
                self.send(self._notify, frame[at : at + 20])
        else:
            self.forbidden += 1
