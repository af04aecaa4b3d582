"""Twin of a Nonin oximeter, in any of its data formats."""

from __future__ import annotations

from datetime import datetime, timedelta

from gatepost.drivers.checksums import sum8
from gatepost.drivers.serial.nonin.formats import FRAME, NO_RATE, NO_SPO2, PACKET, SPOT_HEADER, START
from gatepost.drivers.testing.simulated_finger import SimulatedFinger

GREEN, YELLOW, RED = 0b010, 0b110, 0b100
INTERVALS = {1: 1.0, 2: 1 / 3, 7: 1 / 3, 8: 1.0, 13: 10.0}
SELECT = bytes((0x02, 0x70, 0x02, 0x02))


class NoninTwin:
    """A finger in an oximeter. Changes its format when it is told to, unless it is `fixed`."""

    def __init__(self, seed: int = 0, number: int = 2, fixed: bool = False) -> None:
        self.number = number
        self.interval = INTERVALS[number]
        self.fixed = fixed
        self.finger = True
        self.low_battery = False
        self.clock = datetime(2026, 11, 20, 8, 30)  # noqa: DTZ001  # a device's clock
        self._person = SimulatedFinger(seed, 1 / 75)
        self._rest = b""

    def tick(self) -> bytes:
        if self.number in (2, 7):
            return self._packet()
        frame = self._person.sample(self.finger)
        rate = NO_RATE if frame.pulse_rate is None else frame.pulse_rate
        spo2 = NO_SPO2 if frame.spo2 is None else frame.spo2
        if self.number == 13:
            self.clock += timedelta(seconds=10)
            return spot_check(self.clock, rate, spo2, 0x0200 | self.low_battery)
        more = (0x20 | self.low_battery,) if self.number == 8 else ()
        return bytes((0x80 | (0 if self.finger else 0x20) | rate >> 7, rate & 0x7F, spo2, *more))

    def hear(self, data: bytes) -> bytes:
        self._rest = (self._rest + data)[-16:]
        at = self._rest.find(SELECT)
        if at < 0 or len(self._rest) < at + 6:
            return b""
        number = self._rest[at + 4]
        self._rest = b""
        if self.fixed or number not in INTERVALS:
            return b"\x15"
        self.number, self.interval = number, INTERVALS[number]
        return b"\x06"

    def _packet(self) -> bytes:
        frames = [self._person.sample(self.finger) for _ in range(PACKET)]
        last = frames[-1]
        rate = NO_RATE if last.pulse_rate is None else last.pulse_rate
        spo2 = NO_SPO2 if last.spo2 is None else last.spo2
        high, low = rate >> 7, rate & 0x7F
        numbers = [high, low, spo2, 48, 0, 0, 0, 0x20 | self.low_battery, spo2, spo2, spo2, 0, 0, high, low]
        numbers += [spo2, spo2, 0, 0, high, low, high, low, 0, 0]
        said = b""
        for i, (frame, number) in enumerate(zip(frames, numbers, strict=True)):
            status = 0x80 | (0 if self.finger else 0x10) | (GREEN if frame.beat else 0) | (i == 0)
            said += frame2(status, frame.level, number) if self.number == 2 else frame7(status, frame.level, number)
        return said


def frame2(status: int, pleth: int, number: int) -> bytes:
    """A frame of format 2."""
    body = bytes((START, status, pleth, number))
    return body + bytes((sum8(body),))


def frame7(status: int, pleth: int, number: int) -> bytes:
    """A frame of format 7."""
    body = bytes((status, pleth >> 8 & 0xFF, pleth & 0xFF, number))
    assert len(body) == FRAME - 1
    return body + bytes((sum8(body),))


def spot_check(moment: datetime, rate: int, spo2: int, status: int) -> bytes:
    """A record of format 13."""
    century, year = divmod(moment.year, 100)
    date = bytes((century, year, moment.month, moment.day, moment.hour, moment.minute, moment.second, 0))
    data = date + bytes((status >> 8, status & 0xFF, rate >> 8, rate & 0xFF, 0, spo2))
    return SPOT_HEADER + len(data).to_bytes(2, "big") + data + bytes((sum8(data), 0x03))
