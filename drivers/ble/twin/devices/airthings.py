"""Simulated Airthings monitors: the seed, or `model`, picks one."""

from __future__ import annotations

import struct

from gatepost.drivers.ble.twin.devices.health import HealthTwin
from gatepost.drivers.ble.twin.peripheral import TwinCharacteristic, TwinService

MODELS = {"plus": ("1c08", "2a68", "2d06"), "radon": ("4a8e", "4dcc", "50d8"), "mini": ("3882", "3b98", "3ef4")}
NEWER = "enhance"
NONE = 0xFFFF
ANSWER_PIECE = 60  # octets of one notification


def _uuid(number: str) -> str:
    return f"b42e{number}-ade7-11e4-89d3-123b93f75cba"


class AirthingsTwin(HealthTwin):
    """Simulated monitor in a cellar. `radon` None: it has no average yet."""

    kind = 0x4D
    model = "Airthings"

    def __init__(self, seed: int = 0, model: str = "") -> None:
        self.which = model or (*MODELS, NEWER)[seed % (len(MODELS) + 1)]
        self.temperature, self.humidity, self.hectopascals = 18.5, 55.0, 1004.2
        self.co2, self.voc, self.millivolts = 640, 120, 2950
        self.radon: int | None = 42
        self.asked = 0
        super().__init__([self._newer() if self.which == NEWER else self._older()], seed)

    def _older(self) -> TwinService:
        service, values, control = MODELS[self.which]
        self._control = TwinCharacteristic(_uuid(control), "write notify", on_write=self._battery)
        return TwinService(_uuid(service), [TwinCharacteristic(_uuid(values), "read", self._values), self._control])

    def _newer(self) -> TwinService:
        self._control = TwinCharacteristic(_uuid("bc9e"), "notify")
        command = TwinCharacteristic(_uuid("b73a"), "write", on_write=self._latest)
        return TwinService(_uuid("90a2"), [command, self._control])

    def _values(self) -> bytes:
        pressure = round(self.hectopascals * 50)
        if self.which == "mini":
            kelvin = round((self.temperature + 273.15) * 100)
            return struct.pack("<2B4H2L", 24, 0, kelvin, pressure, round(self.humidity * 100), self.voc, 0, 0)
        radon = NONE if self.radon is None else self.radon
        air = (pressure, self.co2, self.voc) if self.which == "plus" else (NONE, NONE, NONE)
        warm = round(self.temperature * 100)
        return struct.pack("<4B8H", 1, round(self.humidity * 2), 13, 0, radon, radon, warm, *air, 0, 0x0507)

    def _battery(self, data: bytes) -> None:
        if data == b"\x6d":
            self.asked += 1
            volts = struct.pack("<H", self.millivolts)
            end = volts + (bytes(6) if self.which == "mini" else bytes(2))
            self.send(self._control, b"\x6d\x00" + bytes(24) + end)

    def _latest(self, data: bytes) -> None:
        if data[:2] != b"\x03\x01":
            return
        self.asked += 1
        numbers = {"TMP": round((self.temperature + 273.15) * 100), "HUM": round(self.humidity * 100), "CO2": self.co2}
        numbers |= {"VOC": self.voc, "PRS": round(self.hectopascals * 6400), "BAT": self.millivolts}
        inner = bytes((0xA0 | len(numbers),))
        for name, number in numbers.items():
            inner += bytes((0x60 | len(name),)) + name.encode() + b"\x1a" + struct.pack(">I", number)
        path = b"29999/0/31012"
        body = b"\x81\xa2\x00" + bytes((0x60 | len(path),)) + path + b"\x02\x58" + bytes((len(inner),)) + inner
        whole = b"\x10\x01\x00\x03\x45" + data[2:4] + body
        for begin in range(0, len(whole), ANSWER_PIECE):
            self.send(self._control, whole[begin : begin + ANSWER_PIECE])
