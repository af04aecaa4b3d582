"""A simulated Polar H10: heart rate beside ECG and accelerometer streams (Polar Measurement Data, "PMD")."""

from __future__ import annotations

import math
import struct
from itertools import pairwise

from gatepost.drivers.ble.peripheral import GattError
from gatepost.drivers.ble.twin.devices.heart_rate import HeartRateTwin
from gatepost.drivers.ble.twin.peripheral import CCC_IMPROPER, TwinCharacteristic, TwinService

SERVICE, CONTROL, DATA = (f"fb005c8{digit}-02e7-f387-1cad-8acd2d8df0c8" for digit in "012")
ECG, ACC = 0, 2
SETTINGS, START, STOP = 1, 2, 3
OK, NO_OP, NO_TYPE, NOT_SUPPORTED, BAD_LENGTH, BAD_PARAMETER, ALREADY, RESOLUTION, RATE, RANGE, MTU = range(11)
ECG_RATE, ACC_RATES, ACC_RANGES = 130, (25, 50, 100, 200), (2, 4, 8)
ECG_FRAME, ACC_FRAME = 73, 36  # samples
AFTER_POWER_LOSS = 599_616_000_000_000_000  # 2019-01-01 in nanoseconds since 2000-01-01
BLOCK = 10  # differences of one width
SMALLEST_MTU = 10 + 3 + 3 * ECG_FRAME
WAVES = ((-0.20, 0.025, 110), (-0.03, 0.010, -120), (0.0, 0.011, 1150), (0.03, 0.010, -260), (0.28, 0.045, 290))


class PolarH10Twin(HeartRateTwin):
    """Simulated Polar H10. `drift`: its real sample rate against the nominal one. `compressed`: the accelerometer
    sends delta frames."""

    kind = 0x80
    model = "Polar H10"

    def __init__(self, seed: int = 0, drift: float = 1.004, compressed: bool = False) -> None:
        super().__init__(seed, contact_losses=False)
        self.name = f"Polar H10 {seed:08X}"
        self.compressed = compressed
        self.lose_frames = 0  # so many frames from now on are lost on their way
        self.frames = 0
        self._drift = drift
        self._rates: dict[int, float] = {}  # stream -> nominal rate
        self._due: dict[int, float] = {}
        self._samples: dict[int, list[tuple[int, ...]]] = {}
        self._count: dict[int, int] = {}
        self._began: dict[int, int] = {}
        self._answers: list[bytes] = []

    def _common(self) -> tuple[TwinService, ...]:
        self._control_point = TwinCharacteristic(
            CONTROL, "read write indicate", bytes([0x0F, 1 << ECG | 1 << ACC]) + bytes(15), on_write=self._told
        )
        self._data = TwinCharacteristic(DATA, "notify")
        return (TwinService(SERVICE, [self._control_point, self._data]), *super()._common())

    # -- control

    def _told(self, data: bytes) -> None:
        if not self._control_point.subscribed:
            raise GattError("subscribe first", CCC_IMPROPER)
        if len(data) < 2:
            self._answers.append(bytes((0xF0, data[0] if data else 0, 0, BAD_LENGTH, 0)))
            return
        op, stream = data[0], data[1]
        code, parameters = OK, b""
        if stream not in (ECG, ACC):
            code = NO_TYPE
        elif op == SETTINGS:
            parameters = self._settings(stream)
        elif op == START:
            code = self._start(stream, data[2:])
        elif op == STOP:
            code = OK if self._rates.pop(stream, None) else ALREADY
        else:
            code = NO_OP
        self._answers.append(bytes((0xF0, op, stream, code, 0)) + parameters)

    @staticmethod
    def _settings(stream: int) -> bytes:
        if stream == ECG:
            return struct.pack("<BBHBBH", 0, 1, ECG_RATE, 1, 1, 14)
        rates, ranges = struct.pack("<4H", *ACC_RATES), struct.pack("<3H", *ACC_RANGES)
        return b"\x00\x04" + rates + struct.pack("<BBH", 1, 1, 16) + b"\x02\x03" + ranges

    def _start(self, stream: int, settings: bytes) -> int:
        wanted: dict[int, int] = {}
        while settings:
            if len(settings) < 4 or settings[1] != 1:
                return BAD_PARAMETER
            wanted[settings[0]] = int.from_bytes(settings[2:4], "little")
            settings = settings[4:]
        if self.mtu < SMALLEST_MTU:
            return MTU
        if stream in self._rates:
            return ALREADY
        if wanted.get(0) not in ((ECG_RATE,) if stream == ECG else ACC_RATES):
            return RATE
        if wanted.get(1) != (14 if stream == ECG else 16):
            return RESOLUTION
        if stream == ACC and wanted.get(2) not in ACC_RANGES:
            return RANGE
        self._rates[stream] = wanted[0]
        self._due[stream], self._count[stream], self._samples[stream] = 0.0, 0, []
        self._began[stream] = self._ticks
        return OK

    # -- streams

    def live(self) -> None:
        super().live()
        for stream, rate in self._rates.items():
            self._due[stream] += self.interval * rate * self._drift
            while self._due[stream] >= 1:
                self._due[stream] -= 1
                self._samples[stream].append(self._sample(stream, self._count[stream] / rate / self._drift))
                self._count[stream] += 1
            size = ECG_FRAME if stream == ECG else ACC_FRAME
            while len(self._samples[stream]) >= size:
                frame, self._samples[stream] = self._samples[stream][:size], self._samples[stream][size:]
                self._send_frame(stream, rate, frame)
        while self._answers:
            self.send(self._control_point, self._answers.pop(0))

    def _sample(self, stream: int, at: float) -> tuple[int, ...]:
        if stream == ACC:
            breath = math.sin(at * 1.6)
            return round(30 * breath), round(20 * breath) - 8, 990 + round(12 * breath)
        phase = (at * self.rate / 60) % 1 - 0.4
        level = sum(height * math.exp(-(((phase - centre) / width) ** 2)) for centre, width, height in WAVES)
        return (round(level + self.random.gauss(0, 6)),)

    def _send_frame(self, stream: int, rate: float, frame: list[tuple[int, ...]]) -> None:
        self.frames += 1
        last = self._count[stream] - len(self._samples[stream]) - 1
        begun = AFTER_POWER_LOSS + round(self._began[stream] * self.interval * 1e9)
        head = bytes([stream]) + struct.pack("<Q", begun + round(last / (rate * self._drift) * 1e9))
        if stream == ECG:
            body = b"\x00" + b"".join(value.to_bytes(3, "little", signed=True) for (value,) in frame)
        elif self.compressed:
            body = b"\x81" + deltas(frame)
        else:
            body = b"\x01" + b"".join(struct.pack("<3h", *sample) for sample in frame)
        if self.lose_frames:
            self.lose_frames -= 1
        else:
            self.send(self._data, head + body)


def deltas(frame: list[tuple[int, ...]]) -> bytes:
    """A reference sample, then blocks of differences: width, count, differences with their low bits first."""
    out = struct.pack("<3h", *frame[0])
    steps = [tuple(b - a for a, b in zip(old, new, strict=True)) for old, new in pairwise(frame)]
    for at in range(0, len(steps), BLOCK):
        block = steps[at : at + BLOCK]
        width = 1 + max((step if step >= 0 else ~step).bit_length() for each in block for step in each)
        bits = used = 0
        for step in (step for each in block for step in each):
            bits |= (step & ((1 << width) - 1)) << used
            used += width
        out += bytes((width, len(block))) + bits.to_bytes((used + 7) // 8, "little")
    return out
