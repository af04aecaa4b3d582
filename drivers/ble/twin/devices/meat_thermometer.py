"""Simulated meat thermometer with six sockets, of which two have a probe."""

from __future__ import annotations

import struct

from gatepost.drivers.ble.twin.devices.health import HealthTwin
from gatepost.drivers.ble.twin.peripheral import TwinCharacteristic, TwinService

UNPLUGGED = 0x7FFE


class MeatThermometerTwin(HealthTwin):
    """Simulated Inkbird IDT-34c-B. `probes`: degrees Celsius by socket."""

    kind = 0x49
    model = "IDT-34c-B"

    def __init__(self, seed: int = 0) -> None:
        self.probes = {1: 62.0, 4: 110.0}
        self._data = TwinCharacteristic(0xFF01, "notify")
        super().__init__([TwinService(0xFF00, [self._data])], seed)

    def live(self) -> None:
        if not (self.connected and self.every(1.0)):
            return
        self.probes = {socket: self.wander(degrees, 0.2, 10, 150) for socket, degrees in self.probes.items()}
        tenths = (round(self.probes[n] * 18 + 320) if n in self.probes else UNPLUGGED for n in range(1, 7))
        self.send(self._data, struct.pack("<6hB", *tenths, 0x7F))
