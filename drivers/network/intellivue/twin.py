"""Simulated IntelliVue monitor: associations, polls in linked parts, waveforms at 500 Hz."""

from __future__ import annotations

import math
import random

from gatepost.drivers.network.intellivue import attributes as values
from gatepost.drivers.network.intellivue.frames import FrameSplitter, encode_payload
from gatepost.drivers.network.intellivue.messages import EXTENDED_POLL, MDS_CREATE, POLL
from gatepost.drivers.network.intellivue.requests import ALERTS, NUMERICS, WAVE_PRIORITIES, WAVES
from gatepost.drivers.reading import Faults

TICKS = 2048  # of 1/8 ms between two blocks of a waveform
RATE = 500
SAMPLES = 128  # of a block
ACCEPTED = bytes.fromhex(
    "0ece0508130100160102800014020002c1be3180a0808001010000a280a003000001a58030808001008102510100003080800100810c"
    "2a8648ce14020100000002010000000061803080020101a0806180a180060c2a8648ce14020100000003010000a203020100a305a103"
    "020100be80288002010281488000000040000000000000000080000080000000000000000001002c00010028800000000004e20000"
    "0005b0000005b0ffffffff600000000001000cf00100088c000000"
) + bytes(20)  # fmt: skip
RELEASED = bytes.fromhex("0a18c11661803080020101a08063808001000000000000000000")
ABORTED = bytes.fromhex("192e110103c129a080a0803080020101060251010000000061803080020101a0806480800101") + bytes(10)
SYSTEM = bytes.fromhex("002100000000")
# handle, label, text, physiological id, unit, middle, spread, exponent
_NUMERICS = (
    (33459, 147842, "HR", 16770, 2720, 72, 3, 0), (33749, 150456, "SpO2", 19384, 544, 970, 10, -1),
    (33756, 149538, "Pulse", 18466, 2720, 72, 3, 0), (33763, 150448, "Perf", 19376, 512, 34, 8, -1),
    (33466, 151562, "RR", 20490, 2784, 14, 2, 0), (33800, 150344, "T1", 19272, 6048, 367, 2, -1),
    (33801, 192999, "Own", 61927, 512, 12, 2, 0),
)  # fmt: skip


def _n(*numbers: int) -> bytes:
    return b"".join((number & 0xFFFF).to_bytes(2, "big") for number in numbers)


def _sized(body: bytes) -> bytes:
    return _n(len(body)) + body


def _float(mantissa: int, exponent: int) -> bytes:
    return ((exponent & 0xFF) << 24 | mantissa & 0xFFFFFF).to_bytes(4, "big")


def _attributes(*pairs: tuple[int, bytes]) -> bytes:
    return _n(len(pairs)) + _sized(b"".join(_n(name) + _sized(value) for name, value in pairs))


class IntellivueTwin:
    """Monitor on a LAN: `tick` and `hear` give datagrams. It sends the waveforms that were chosen while they are
    polled."""

    interval = TICKS / 8000

    def __init__(self, seed: int = 0) -> None:
        self.associated = False
        self.answered = False
        self._rng = random.Random(seed)  # noqa: S311  # a simulation
        self._time = 100_000_000
        self._labels: tuple[int, ...] = ()
        self._wave: tuple[int, int] | None = None  # invoke id and number of the poll of waveforms
        self._sequence = 0
        self._wave_ends = 0
        self._waited = 0

    def tick(self) -> list[bytes]:
        self._time += TICKS
        if not self.associated:
            return []
        self._waited += 1
        out = [] if self.answered or self._time // TICKS % 8 else [self._create()]
        if self._wave is not None and self._time <= self._wave_ends and self._labels:
            out.append(self._samples())
        if self._waited > 80:  # 20 s without a request
            self.associated = False
            out.append(ABORTED)
        return out

    def hear(self, data: bytes) -> list[bytes]:
        if data[:1] == b"\x0d":
            self.associated, self.answered, self._wave, self._waited = True, False, None, 0
            return [ACCEPTED, self._create()]
        if data[:1] == b"\x09":
            was, self.associated = self.associated, False
            return [RELEASED] if was else []
        if not self.associated or data[:4] != b"\xe1\x00\x00\x02" or len(data) < 20:
            return []
        kind, invoke, command = (int.from_bytes(data[at : at + 2], "big") for at in (4, 8, 10))
        self._waited = 0
        if kind == 2 and command == 1:
            self.answered = True
            return []
        if kind != 1 or not self.answered:
            return []
        if command == 5:
            return self._chosen(invoke, data)
        return self._polled(invoke, data) if command == 7 and len(data) >= 34 else []

    def _chosen(self, invoke: int, data: bytes) -> list[bytes]:
        at = data.find(_n(WAVE_PRIORITIES))
        octets = data[at + 8 :]
        if at < 0 or len(octets) % 4:
            return []
        self._labels = tuple(int.from_bytes(octets[i : i + 4], "big") for i in range(0, len(octets), 4))[:8]
        body = SYSTEM + _attributes((WAVE_PRIORITIES, data[at + 4 :]))
        return [b"\xe1\x00\x00\x02" + _n(2) + _sized(_n(invoke, 5) + _sized(body))]

    def _polled(self, invoke: int, data: bytes) -> list[bytes]:
        action, number, object_class = (int.from_bytes(data[at : at + 2], "big") for at in (24, 28, 32))
        if object_class == WAVES and action == EXTENDED_POLL:
            self._wave, self._sequence = (invoke, number), 0
            self._wave_ends = self._time + int.from_bytes(data[-4:], "big")
            return []
        if action != POLL or object_class not in (NUMERICS, ALERTS):
            return []
        objects = self._numerics() if object_class == NUMERICS else [self._alerts()]
        half = len(objects) // 2
        parts = [objects[:half], objects[half:], []] if half else [objects, []]
        out = []
        for i, part in enumerate(parts):
            state = 0 if not part else 1 if i == 0 else 3
            out.append(self._result(invoke, action, _n(number), object_class, part, state, i + 1))
        return out

    def _result(
        self, invoke: int, action: int, head: bytes, object_class: int, objects: list[bytes], state: int, count: int
    ) -> bytes:
        body = head + self._time.to_bytes(4, "big") + b"\xff" * 8 + _n(1, object_class, 0)
        body += _n(1) + _sized(_n(1, len(objects)) + _sized(b"".join(objects))) if objects else _n(0, 0)
        inner = _n(invoke, 7) + _sized(SYSTEM + _n(action) + _sized(body))
        link = bytes((state, count)) if state else b""
        return b"\xe1\x00\x00\x02" + _n(5 if state else 2) + _sized(link + inner)

    def _numerics(self) -> list[bytes]:
        out = []
        for handle, label, text, physio, unit, middle, spread, exponent in _NUMERICS:
            mantissa = middle + self._rng.randint(-spread, spread)
            mantissa = min(mantissa, 1000) if text == "SpO2" else mantissa
            shown = (text + "\0").encode("utf-16-be")
            out.append(
                _n(handle)
                + _attributes(
                    (values.LABEL, label.to_bytes(4, "big")),
                    (values.LABEL_TEXT, _sized(shown)),
                    (values.NUMERIC, _n(physio, 0, unit) + _float(mantissa, exponent)),
                )
            )
        return out

    def _alerts(self) -> bytes:
        """Asystole, now and then."""
        entries = b""
        if self._rng.random() < 0.2:
            entries = _n(16770, 10, 1024, 0) + bytes(6) + _n(0x201) + _sized(bytes(10))
        count = 1 if entries else 0
        return _n(1) + _attributes((values.PATIENT_ALERTS, _n(count) + _sized(entries)))

    def _samples(self) -> bytes:
        assert self._wave is not None
        objects = []
        first = self._time // 16
        for place, label in enumerate(self._labels):
            block = b"".join(_n(8192 + round(2000 * math.sin((first + i) / (20 + place)))) for i in range(SAMPLES))
            told = [(values.SAMPLES, _n(label, 0) + _sized(block))]
            if self._sequence == 0:
                told += [
                    (values.ARRAY, _n(SAMPLES) + bytes((16, 14)) + _n(0x3000)),
                    (values.PERIOD, (8000 // RATE).to_bytes(4, "big")),
                    (values.SCALE, _float(-4096, -2) + _float(40955, -3) + _n(0, 16383)),
                    (values.UNIT, _n(4274)),
                ]
            objects.append(_n(700 + place) + _attributes(*told))
        invoke, number = self._wave
        head = _n(number, self._sequence)
        self._sequence = (self._sequence + 1) & 0xFFFF
        return self._result(invoke, EXTENDED_POLL, head, WAVES, objects, 0, 0)

    def _create(self) -> bytes:
        told = _attributes((values.MODEL, _sized(b"Philips\0") + _sized(b"M8003A\0\0")))
        event = SYSTEM + self._time.to_bytes(4, "big") + _n(MDS_CREATE) + _sized(SYSTEM + told)
        return b"\xe1\x00\x00\x02" + _n(1) + _sized(_n(1, 1) + _sized(event))


class SerialIntellivue:
    """The same monitor on its serial port."""

    interval = IntellivueTwin.interval

    def __init__(self, core: IntellivueTwin) -> None:
        self.core = core
        self._splitter = FrameSplitter(Faults())

    def tick(self) -> bytes:
        return b"".join(map(encode_payload, self.core.tick()))

    def hear(self, data: bytes) -> bytes:
        said = (answer for payload in self._splitter.feed(data) for answer in self.core.hear(payload))
        return b"".join(map(encode_payload, said))
