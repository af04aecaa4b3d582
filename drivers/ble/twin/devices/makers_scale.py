"""Simulated body scales with protocols of their makers: the seed, or `dialect`, picks one. They sleep until somebody
steps on them."""

from __future__ import annotations

import struct
from datetime import UTC

from gatepost.drivers.ble.twin.devices.health import HealthTwin
from gatepost.drivers.ble.twin.peripheral import TwinCharacteristic, TwinService

DIALECTS: dict[str, tuple[int, int, int]] = {  # name -> service, notify, write
    "vitafit": (0xFFF0, 0xFFF1, 0xFFF2),
    "qn": (0xFFE0, 0xFFE1, 0xFFE3),
    "qn-long": (0xFFF0, 0xFFF1, 0xFFF2),
    "yunmai": (0xFFE0, 0xFFE4, 0),
    "ac02": (0xFFB0, 0xFFB2, 0xFFB1),
}
STEPS = 8  # values before the final one
PROTOCOL = 0x15


class MakersScaleTwin(HealthTwin):
    """Simulated scale. `every_seconds`: how often somebody steps on it by themselves, 0 = only by `weigh`."""

    kind = 0x5C
    sleeps = True

    def __init__(self, seed: int = 0, dialect: str = "", every_seconds: float = 30.0) -> None:
        self.dialect = dialect or tuple(DIALECTS)[seed % 4]
        self.model = "Scale " + self.dialect
        self.kilograms, self.ohms = 71.5 + seed % 20, 487
        self.told: list[bytes] = []
        self._every = every_seconds
        self._left = 0
        self._asked = self._greets = False
        service, notify, write = DIALECTS[self.dialect]
        self._notify = TwinCharacteristic(notify, "notify", on_subscribe=self._listened)
        control = TwinCharacteristic(write, "write", on_write=self._heard) if write else None
        services = [TwinService(service, [self._notify, *([control] if control else [])])]
        if not write:
            services.append(TwinService(0xFFE5, [TwinCharacteristic(0xFFE9, "write", on_write=self._heard)]))
        super().__init__(services, seed)
        self.name = "QN-Scale" if "qn" in self.dialect else f"Scale {seed:04d}"
        self.weigh()

    def weigh(self) -> None:
        """Somebody steps on it."""
        self.kilograms = round(self.wander(self.kilograms, 0.8, 45, 140), 1)
        self._left = STEPS
        self.wake(20)

    def _listened(self, on: bool) -> None:
        self._asked, self._greets = False, on and "qn" in self.dialect

    def _heard(self, data: bytes) -> None:
        self.told.append(data)
        if data[0] == 0x13:
            self._say(bytes((0x14, 11, PROTOCOL)) + bytes(7))
        elif data[0] == 0x20:
            self._say(bytes((0x21, 5, PROTOCOL, 0)))
        self._asked = self._asked or data[0] in (0x22, 0x0D)

    def _say(self, body: bytes) -> None:
        self.send(self._notify, body + bytes((sum(body) & 0xFF,)))

    def _xor(self, body: bytes, start: int) -> bytes:
        parity = 0
        for octet in body[start:]:
            parity ^= octet
        return body + bytes((parity,))

    def live(self) -> None:
        if self._every and self.every(self._every):
            self.weigh()
        if self._greets:
            self._greets = False
            info = bytearray(17)
            info[:3] = 0x12, 18 if self.dialect == "qn-long" else 15, PROTOCOL
            info[10] = 1
            self._say(bytes(info))
        waits = self.dialect in ("qn", "qn-long", "yunmai") and not self._asked
        if not self._left or not self._notify.subscribed or waits or not self.every(0.5):
            return
        self._left -= 1
        final = self._left < 3
        shown = round((self.kilograms if final else self.kilograms * (STEPS - self._left) / STEPS) * 100)
        raw = struct.pack(">H", shown)
        match self.dialect:
            case "ac02":
                body = raw + bytes((0, 0, 0xCA if final else 0xCE))
                self.send(self._notify, b"\xac\x02" + body + bytes((sum(body) & 0xFF,)))
                if not self._left:
                    body = b"\xfd\x01" + struct.pack(">H", self.ohms) + b"\xcb"
                    self.send(self._notify, b"\xac\x02" + body + bytes((sum(body) & 0xFF,)))
            case "vitafit":
                body = b"\x5a\x0a\x26\x10" + bytes((2 if final else 1, 0, 0, 0)) + raw
                self.send(self._notify, self._xor(body, 1) + b"\xaa")
                if not self._left:
                    body = b"\x5a\x0b\x26\x11" + bytes(5) + struct.pack(">H", self.ohms)
                    self.send(self._notify, self._xor(body, 1) + b"\xaa")
            case "qn":
                rest = struct.pack(">HH", self.ohms, self.ohms - 20) if final else bytes(4)
                self._say(bytes((0x10, 11, PROTOCOL)) + raw + bytes((final,)) + rest)
            case "qn-long":
                rest = struct.pack(">HH", self.ohms, self.ohms - 20) if final else bytes(4)
                self._say(bytes((0x10, 15, PROTOCOL, 0xFE, 2 if final else 0)) + raw + rest + bytes(3))
            case "yunmai" if final:
                unix = int(self.now().replace(tzinfo=UTC).timestamp())
                body = struct.pack(">4BxIIHH", 0x0D, 0x13, 18, 2, unix - unix % 60, 1, shown, self.ohms)
                self.send(self._notify, self._xor(body, 1))
