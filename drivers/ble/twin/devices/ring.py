"""Simulated rings that measure oxygen: an O2Ring and an O2Ring S; the seed, or `model`, picks one. Whatever would erase
or change something is counted."""

from __future__ import annotations

import json
import struct
from datetime import datetime, timedelta

from gatepost.drivers.ble.twin.devices.health import HealthTwin
from gatepost.drivers.ble.twin.peripheral import TwinCharacteristic, TwinService

OLD = (
    "14839ac4-7d7e-415c-9a42-167340cf2339",
    "0734594a-a8e7-4b1a-a6b1-cd5243059a57",
    "8b00ace7-eb0b-49b0-bbe9-9aee0a26e1a3",
)
NEW = tuple(f"e8fb000{place}-a14b-98f9-831b-4e2941d01248" for place in (1, 3, 2))
BLOCK = 200  # octets of one answer
HARMLESS = {"o2ring": b"\x03\x04\x05\x14\x16\x17\x1b", "o2ring-s": b"\x04\x10\xc0\xe1\xf1\xf2\xf3\xf4\xff"}


def crc(data: bytes) -> int:
    """CRC-8, polynomial 07, bit by bit."""
    value = 0
    for octet in data:
        value ^= octet
        for _ in range(8):
            value = ((value << 1) ^ (0x07 if value & 0x80 else 0)) & 0xFF
    return value


def next_request(heard: bytes) -> tuple[bytes | None, bytes]:
    """The request that is whole, None = none is yet or its check is wrong, and what is left of what was heard."""
    size = 8 + int.from_bytes(heard[5:7], "little")
    if len(heard) < max(7, size):
        return None, heard
    frame = heard[:size]
    sound = crc(frame[:-1]) == frame[-1] and frame[1] ^ frame[2] == 0xFF
    return (frame if sound else None), b""


class RingTwin(HealthTwin):
    """Simulated ring. `files`: its recordings by name; `deaf_to`: commands that it does not know."""

    kind = 0x52

    def __init__(self, seed: int = 0, model: str = "", nights: int = 2, seconds: int = 40) -> None:
        self.which = model or tuple(HARMLESS)[seed % 2]
        self.model = "O2Ring" if self.which == "o2ring" else "O2Ring S"
        self.spo2, self.rate, self.worn = 96.0, 61.0, True
        self.deaf_to: set[int] = set()
        self.forbidden = 0  # requests that would have changed something
        self.downloads: list[str] = []
        self._heard = b""
        self._open = b""
        self._greeted = False
        service, notify, write = OLD if self.which == "o2ring" else NEW
        self._notify = TwinCharacteristic(notify, "notify")
        control = TwinCharacteristic(write, "write write-without-response", on_write=self._told)
        super().__init__([TwinService(service, [self._notify, control])], seed)
        self.name = f"{self.model} {seed:04d}"
        self.files: dict[str, bytes] = {}
        for night in range(nights, 0, -1):
            self.record(timedelta(days=night), seconds)

    def record(self, age: timedelta = timedelta(0), seconds: int = 40) -> str:
        """Somebody wore it for so long."""
        start = self.now() - age
        name = f"{start:%Y%m%d%H%M%S}"
        values = [(self.random.randint(90, 99), self.random.randint(50, 70)) for _ in range(seconds)]
        self.files[name] = self._old(start, values) if self.which == "o2ring" else self._newer(values)
        return name

    def _old(self, start: datetime, values: list[tuple[int, int]]) -> bytes:
        values = values[::4]
        body = b"".join(struct.pack("<BHBB", spo2, rate, 2, 0) for spo2, rate in values)
        parts = (start.month, start.day, start.hour, start.minute, start.second)
        head = struct.pack("<HH5BIHxx", 3, start.year, *parts, 40 + len(body), 4 * len(values))
        return (head + bytes((95, 90, 1, 0, 0, 0, 0, 0, 85))).ljust(40, b"\0") + body

    def _newer(self, values: list[tuple[int, int]], finished: bool = True) -> bytes:
        body = b"\x01\x03" + bytes(8) + b"".join(bytes((*each, 0)) for each in values)
        end = bytearray(48)
        end[4:8], end[12:16] = b"\x48\x12\x5a\xda", struct.pack("<I", len(values))
        return body + bytes(end) if finished else body

    # -- what it is told

    def on_connect(self) -> None:
        self._heard, self._open, self._greeted = b"", b"", False

    def _told(self, data: bytes) -> None:
        frame, self._heard = next_request(self._heard + data)
        if frame is None:
            return
        command, body = frame[1], frame[7:-1]
        if command not in HARMLESS[self.which]:
            self.forbidden += 1
        if self.which == "o2ring":
            self._old_request(command, int.from_bytes(frame[3:5], "little"), body)
        else:
            self._new_request(command, frame[4], body)

    def _old_request(self, command: int, block: int, body: bytes) -> None:
        if command in self.deaf_to:
            self._answer(bytes((0x55, 1, 0xFE)) + block.to_bytes(2, "little"), b"")
            return
        data = b""
        match command:
            case 0x14:
                data = json.dumps(self._about()).encode().ljust(240, b"\0")
            case 0x16:
                self._set_time(body)
            case 0x17:
                spo2, rate = self._now()
                data = bytes((spo2, rate, 0, 0, 0, 0, 0, self.battery, 0, 3, 12, self.worn, 0))
            case 0x1B:
                spo2, rate = self._now()
                data = struct.pack("<BHBBBBxxxH", spo2, rate, self.battery, 0, 12, self.worn, 3) + b"\x0a\x9c\x1e"
            case 0x03:
                name = body.rstrip(b"\0").decode()
                self._open = self.files.get(name, b"")
                self.downloads.append(name)
                data = struct.pack("<I", len(self._open))
            case 0x04:
                data = self._open[block * BLOCK : (block + 1) * BLOCK]
            case 0x05:
                self._open = b""
        self._answer(bytes((0x55, 0, 0xFF)) + block.to_bytes(2, "little"), data)

    def _about(self) -> dict[str, str]:
        files = ",".join(self.files)
        return {
            "SN": self.serial,
            "Model": self.model,
            "CurBAT": f"{self.battery}%",
            "CurTIME": f"{self.now():%Y-%m-%d,%H:%M:%S}",
            "FileList": files + "," if files else "",
        }

    def _set_time(self, body: bytes) -> None:
        wanted = json.loads(body)["SetTIME"]
        self.ahead = datetime.strptime(wanted, "%Y-%m-%d,%H:%M:%S") - self.clock()  # noqa: DTZ007  # it knows no zone
        self.clock_set += 1

    def _new_request(self, command: int, sequence: int, body: bytes) -> None:
        if command == 0xFF:
            self._greeted = len(body) == 16
            return  # no answer comes
        if not self._greeted or command in self.deaf_to:
            return
        data = b""
        match command:
            case 0xC0:
                year, *rest = struct.unpack("<H5Bx", body)
                self.ahead = datetime(year, *rest) - self.clock()  # noqa: DTZ001  # it knows no zone
                self.clock_set += 1
            case 0xE1:
                now, serial = self.now(), self.serial.encode()
                clock = struct.pack("<H5B", now.year, now.month, now.day, now.hour, now.minute, now.second)
                data = bytes(9) + self.model.encode().ljust(8, b"\0") + bytes(7) + clock + bytes(6)
                data += bytes((len(serial),)) + serial
            case 0x04:
                spo2, rate = self._now()
                data = bytes((1, 0, 0, 0, 0, 1, spo2, 3, rate, 0, 0, 0, 0, self.battery)) + bytes(12)
            case 0xF1:
                names = list(self.files)
                data = bytes((len(names),)) + b"".join(name.encode().ljust(16, b"\0") for name in names)
            case 0xF2:
                name = body[:16].rstrip(b"\0").decode()
                self._open = self.files.get(name, b"")
                self.downloads.append(name)
                data = struct.pack("<I", len(self._open))
            case 0xF3:
                data = self._open[(at := int.from_bytes(body, "little")) : at + BLOCK]
            case 0xF4:
                self._open = b""
        self._answer(bytes((0xA5, command, command ^ 0xFF, 1, sequence)), data)

    def _now(self) -> tuple[int, int]:
        return (round(self.spo2), round(self.rate)) if self.worn else (0xFF, 0xFF)

    def _answer(self, head: bytes, data: bytes) -> None:
        frame = head + len(data).to_bytes(2, "little") + data
        frame += bytes((crc(frame),))
        for at in range(0, len(frame), 20):
            self.send(self._notify, frame[at : at + 20])

    def live(self) -> None:
        self.spo2 = self.wander(self.spo2, 0.05, 90, 100)
        self.rate = self.wander(self.rate, 0.2, 48, 130)
