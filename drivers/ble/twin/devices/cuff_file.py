"""Simulated Viatom cuffs whose stored file is read: a BP2W with one file, and an older BP2 with a file for each
measurement. Whatever would inflate it, erase it or switch it off is counted."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta

from gatepost.drivers.ble.twin.devices.health import HealthTwin
from gatepost.drivers.ble.twin.devices.ring import OLD, crc, next_request
from gatepost.drivers.ble.twin.peripheral import TwinCharacteristic, TwinService

HARMLESS = b"\x00\x08\x30\xec\xe1\xf1\xf2\xf3\xf4"
PIECE = 64  # octets of a file in one answer
LIST = "bp2nibp.list"


class CuffFileTwin(HealthTwin):
    """Simulated cuff. `older`: it has a file for each measurement. `every_seconds`: how often somebody measures."""

    kind = 0x2B
    model = "BP2W"

    def __init__(self, seed: int = 0, older: bool = False, stored: int = 3, every_seconds: float = 60.0) -> None:
        self.older = older
        self.measurements: list[tuple[int, int, int, int, int, int]] = []
        self.forbidden = 0
        self._every = every_seconds
        self._inflating = 0
        self._state = 3
        self._heard = self._open = b""
        service, notify, write = OLD
        self._notify = TwinCharacteristic(notify, "notify")
        control = TwinCharacteristic(write, "write write-without-response", on_write=self._told)
        super().__init__([TwinService(service, [self._notify, control])], seed)
        self.name = f"BP2W {seed:04d}"
        for age in range(stored, 0, -1):
            self.measure(timedelta(hours=age))

    def measure(self, age: timedelta = timedelta(0)) -> None:
        """Somebody took a measurement by its own key."""
        chance = self.random
        diastolic = chance.randint(62, 92)
        systolic = diastolic + chance.randint(32, 58)
        unix = int((self.now() - age).replace(tzinfo=UTC).timestamp())
        mean = round((systolic + 2 * diastolic) / 3)
        user, pulse = chance.choice((218071, 278170)), chance.randint(55, 95)
        self.measurements.append((unix, user, systolic, diastolic, mean, pulse))
        self._state = 5

    def files(self) -> dict[str, bytes]:
        if self.older:
            return {
                f"{datetime.fromtimestamp(unix, UTC):%Y%m%d%H%M%S}": (
                    b"\x01\x01" + struct.pack("<I4xB3HBB", unix, 0, systolic, diastolic, mean, pulse, 0)
                ).ljust(38, b"\0")
                for unix, _, systolic, diastolic, mean, pulse in self.measurements
            }
        records = b"".join(
            struct.pack("<IIB4x4H", unix, user, 0, systolic, diastolic, mean, pulse).ljust(37, b"\0")
            for unix, user, systolic, diastolic, mean, pulse in self.measurements
        )
        return {LIST: b"\x01\x02" + bytes(8) + records + bytes(37)}

    def on_connect(self) -> None:
        self._heard = self._open = b""

    def _told(self, data: bytes) -> None:
        frame, self._heard = next_request(self._heard + data)
        if frame is None:
            return
        command, body = frame[1], frame[7:-1]
        if command not in HARMLESS:
            self.forbidden += 1
            return
        self._answer(command, frame[4], self._data(command, body))

    def _data(self, command: int, body: bytes) -> bytes:
        now = self.now()
        match command:
            case 0x00:
                return bytes(27) + struct.pack("<I8xB", 218071, self._state)
            case 0xEC:
                year, *rest = struct.unpack("<H5B", body)
                self.ahead = datetime(year, *rest) - self.clock()  # noqa: DTZ001  # it knows no zone
                self.clock_set += 1
            case 0xE1:
                serial = self.serial.encode()
                clock = struct.pack("<H5B", now.year, now.month, now.day, now.hour, now.minute, now.second)
                head = b"B" + bytes(8) + self.model.encode().ljust(8, b"\0") + bytes(7) + clock + bytes(6)
                return head + bytes((len(serial),)) + serial
            case 0xF1:
                names = list(self.files())
                return bytes((len(names),)) + b"".join(name.encode().ljust(16, b"\0") for name in names)
            case 0xF2:
                self._open = self.files().get(body[:16].rstrip(b"\0").decode(), b"")
                return struct.pack("<I", len(self._open))
            case 0xF3:
                return self._open[(at := int.from_bytes(body, "little")) : at + PIECE]
            case 0xF4:
                self._state = 3 if self._state == 5 else self._state
        return b""

    def _answer(self, command: int, sequence: int, data: bytes) -> None:
        frame = bytes((0xA5, command, command ^ 0xFF, 1, sequence)) + len(data).to_bytes(2, "little") + data
        frame += bytes((crc(frame),))
        for at in range(0, len(frame), 20):
            self.send(self._notify, frame[at : at + 20])

    def live(self) -> None:
        if self._every and self.every(self._every):
            self._inflating, self._state = 20, 4
        if self._inflating:
            self._inflating -= 1
            if self._inflating % 5 == 0:
                pressure = 180 - 6 * (20 - self._inflating)
                part = struct.pack("<BHBH", 1, pressure, 1, 70).ljust(20, b"\0")
                self._answer(0x08, 0, bytes((4, 0, self.battery)) + struct.pack("<H4xB", 3715, 0) + part)
            if not self._inflating:
                self.measure()
