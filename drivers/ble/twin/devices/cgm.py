"""A simulated continuous glucose monitor: CGM Service 1.0.2 with a running session, E2E-CRC and record access."""

from __future__ import annotations

from datetime import timedelta

from gatepost.drivers.ble.peripheral import GattError
from gatepost.drivers.ble.twin.devices.encode import crc, date_time, read_date_time, sfloat, u16
from gatepost.drivers.ble.twin.devices.health import HealthTwin
from gatepost.drivers.ble.twin.devices.records import RecordAccess, TwinRecord
from gatepost.drivers.ble.twin.peripheral import CCC_IMPROPER, TwinCharacteristic, TwinService

TREND, QUALITY, WARNING, CALIBRATION, STATUS = 0x01, 0x02, 0x20, 0x40, 0x80
LOW, HIGH = 0x01, 0x02
FEATURES = 1 << 1 | 1 << 8 | 1 << 12 | 1 << 15 | 1 << 16
BAD_CRC, NO_CRC = 0x81, 0x80
SUBCUTANEOUS_FLUID = 9 | 5 << 4  # interstitial fluid, subcutaneous tissue
UTC_PLUS_2 = 8  # quarters of an hour
SUCCESS, NO_OP, BAD_OPERAND, INCOMPLETE = 1, 2, 3, 4
MEMORY = 4320  # a fortnight at five minutes


class CgmTwin(HealthTwin):
    """Simulated CGM sensor. `stored` records lie in its memory; a new one comes each `every_seconds`, which count as
    `minutes`."""

    kind = 0x1F
    model = "CGM"

    def __init__(
        self,
        seed: int = 0,
        stored: int = 12,
        every_seconds: float = 5.0,
        minutes: int = 5,
        with_crc: bool = True,
        per_tick: int = 2,
    ) -> None:
        self.records: list[TwinRecord] = []
        self.with_crc = with_crc
        self.minutes = minutes
        self.offset = 0  # minutes since the session began
        self.running = True
        self.glucose = 110.0
        self._seconds = every_seconds
        self._measurement = TwinCharacteristic(0x2AA7, "notify")
        self._ops = TwinCharacteristic(0x2AAC, "write indicate", on_write=self._told)
        self._answers: list[bytes] = []
        self.access = RecordAccess(self.records, (self._measurement,), by_time=False, per_tick=per_tick)
        self.access.send = self.send
        characteristics = [
            self._measurement,
            TwinCharacteristic(0x2AA8, "read", self._feature),
            TwinCharacteristic(0x2AA9, "read", lambda: self._sealed(u16(self.offset) + self._annunciation())),
            TwinCharacteristic(0x2AAA, "read write", self._session, on_write=self._begin),
            TwinCharacteristic(0x2AAB, "read", lambda: self._sealed(u16(14 * 24))),
            self.access.point,
            self._ops,
        ]
        super().__init__([TwinService(0x181F, characteristics)], seed)
        self.start = self.now() - timedelta(minutes=stored * minutes)
        for _ in range(stored):
            self.measure()

    def _sealed(self, data: bytes) -> bytes:
        return data + crc(data) if self.with_crc else data

    def _feature(self) -> bytes:
        features = FEATURES if self.with_crc else FEATURES & ~(1 << 12)
        data = features.to_bytes(3, "little") + bytes([SUBCUTANEOUS_FLUID])
        return data + (crc(data) if self.with_crc else b"\xff\xff")

    def _annunciation(self) -> bytes:
        return bytes((0 if self.running else 1, 0, 0))

    def _session(self) -> bytes:
        return self._sealed(date_time(self.start) + bytes((UTC_PLUS_2, 0)))

    def _begin(self, data: bytes) -> None:
        """Session Start Time, which a gateway has no business to write; it does what the specification says."""
        try:
            self.start = read_date_time(self._opened(data))
        except ValueError:
            raise GattError("no date", 0x80) from None

    def _opened(self, data: bytes) -> bytes:
        if not self.with_crc:
            return data
        if len(data) < 3:
            raise GattError("missing CRC", NO_CRC)
        if crc(data[:-2]) != data[-2:]:
            raise GattError("invalid CRC", BAD_CRC)
        return data[:-2]

    # -- measuring

    def measure(self) -> TwinRecord:
        """The next record of the session."""
        chance = self.random
        before, self.glucose = self.glucose, self.wander(self.glucose, 12, 45, 320)
        flags, fields = 0, b""
        number = self.offset // self.minutes
        if number % 6 == 5:
            flags |= STATUS | CALIBRATION
            fields += bytes((0x02, 0x04))  # battery low; calibration recommended
        if self.glucose < 70 or self.glucose > 180:
            flags |= WARNING
            fields += bytes([LOW if self.glucose < 70 else HIGH])
        if number % 2:
            flags |= TREND
            fields += sfloat(f"{(self.glucose - before) / self.minutes:.1f}")
        if number % 3 == 0:
            flags |= QUALITY
            fields += sfloat(f"{chance.uniform(90, 100):.1f}")
        body = bytes([flags]) + sfloat(f"{self.glucose:.0f}") + u16(self.offset) + fields
        body = bytes([1 + len(body) + 2 * self.with_crc]) + body
        record = TwinRecord(
            self.offset, self.start + timedelta(minutes=self.offset), ((self._measurement, self._sealed(body)),)
        )
        self.records.append(record)
        del self.records[:-MEMORY]
        self.offset = (self.offset + self.minutes) & 0xFFFF
        return record

    def on_disconnect(self) -> None:
        self.access.reset()
        self._answers.clear()

    def live(self) -> None:
        if self.running and self._seconds and self.every(self._seconds):
            for characteristic, data in self.measure().values:
                if not self.access.busy:
                    self.send(characteristic, data)
        self.access.tick()
        if self._answers:
            self.send(self._ops, self._answers.pop(0))

    # -- specific operations

    def _told(self, data: bytes) -> None:
        if not self._ops.subscribed:
            raise GattError("subscribe first", CCC_IMPROPER)
        data = self._opened(data)
        op, operand = (data[0] if data else 0), data[1:]
        if op == 0x02:
            answer = bytes((0x03, self.minutes))
        elif op == 0x01:
            answer = self._done(op, SUCCESS if len(operand) == 1 else BAD_OPERAND)
            if len(operand) == 1 and 0 < operand[0] < 0xFF:
                self.minutes = operand[0]
        elif op in (0x1A, 0x1B):
            self.running = op == 0x1A
            answer = self._done(op, SUCCESS)
        else:
            answer = self._done(op, NO_OP)
        self._answers.append(self._sealed(answer))

    @staticmethod
    def _done(op: int, code: int) -> bytes:
        return bytes((0x1C, op, code))
