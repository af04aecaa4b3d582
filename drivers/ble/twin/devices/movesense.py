"""Simulated Movesense sensor with the GATT sensor data firmware. Whatever would change something is counted."""

from __future__ import annotations

import struct

from gatepost.drivers.ble.twin.devices.health import HealthTwin
from gatepost.drivers.ble.twin.peripheral import TwinCharacteristic, TwinService
from gatepost.drivers.testing.ecg_beat import heart_beat

RATE, PIECE = 200, 20  # samples a second, samples of a frame
KNOWN = {"/Meas/Ecg/200/mV": 2, "/Meas/Acc/52": 12}


def _uuid(number: str) -> str:
    return f"3480{number}-7185-4d5d-b431-630e7050e8f0"


class MovesenseTwin(HealthTwin):
    """Simulated sensor. `lose_frames`: so many of the next frames are lost."""

    kind = 0x4B
    model = "Movesense"

    def __init__(self, seed: int = 0) -> None:
        self.running: dict[int, int] = {}
        self.forbidden = self.lose_frames = 0
        self.sent: list[int] = []
        self._taken = seed * 37
        self._notify = TwinCharacteristic(_uuid("0002"), "notify")
        control = TwinCharacteristic(_uuid("0001"), "write", on_write=self._told)
        rate = TwinCharacteristic(0x2A37, "notify")
        self._rate = rate
        services = [TwinService(_uuid("2252"), [control, self._notify]), TwinService(0x180D, [rate])]
        super().__init__(services, seed)
        self.name = f"Movesense {seed:012d}"

    def on_connect(self) -> None:
        self.running = {}

    def _told(self, data: bytes) -> None:
        operation, reference = data[0], data[1]
        status = 200
        if operation == 1:
            size = KNOWN.get(data[2:].rstrip(b"\0").decode())
            status = 200 if size else 404
            if size:
                self.running[reference] = size
        elif operation == 2:
            self.running.pop(reference, None)
        else:
            self.forbidden += 1
            return
        self.send(self._notify, struct.pack("<BBH", 1, reference, status))

    def live(self) -> None:
        if self.every(1.0):
            self.send(self._rate, bytes((0, 70)))
        samples = [round(1000 * heart_beat(((self._taken + n) / RATE / 0.857) % 1)) for n in range(PIECE)]
        time = self._taken * 1000 // RATE
        self._taken += PIECE
        lost, self.lose_frames = self.lose_frames > 0, max(0, self.lose_frames - 1)
        for reference, size in self.running.items():
            if lost:
                continue
            if size == 2:
                body = struct.pack(f"<{PIECE}h", *samples)
                self.sent += samples
            else:
                count = (self._taken * 52 // RATE) - ((self._taken - PIECE) * 52 // RATE)
                body = struct.pack("<fff", 0.5, -0.25, 9.8125) * count
            self.send(self._notify, struct.pack("<BBI", 2, reference, time) + body)
