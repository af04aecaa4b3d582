"""Simulated CARESCAPE monitor: displayed values of the basic class at the interval that was asked for, waveforms."""

from __future__ import annotations

import math
import random
import struct

from gatepost.drivers.reading import Faults
from gatepost.drivers.serial.ge_dri.decoder import WAVES
from gatepost.drivers.serial.ge_dri.frames import HEAD, FlagSplitter, encode_frame
from gatepost.drivers.serial.ge_dri.records import BASIC, END, PHYSIOLOGICAL, PLAIN, SIZE, WAVEFORM

START = 1_795_000_000
MIDDLES = {
    "ecg": {"hr": 72, "st1": 12, "imp_rr": 14}, "p1": {"sys": 11950, "dia": 7800, "mean": 9300, "hr": 72},
    "p2": {"mean": 650}, "t1": {"temp": 3670}, "spo2": {"spo2": 9750, "pr": 72, "ir_amp": 250},
    "co2": {"et": 512, "fi": 4, "rr": 14, "amb_press": 7600}, "o2": {"et": 1650, "fi": 2100},
    "aa": {"et": 180, "fi": 210, "mac_sum": 90}, "flow_vol": {"rr": 14, "ppeak": 1800, "peep": 500, "tv_exp": 4500},
}  # fmt: skip
LABELS = {"p1": 1, "p2": 2, "t1": 1, "aa": 6}
INVALID = -32767


class DriTwin:
    """A cuff inflates every two minutes."""

    interval = 1.0

    def __init__(self, seed: int = 0) -> None:
        self._rng = random.Random(seed)  # noqa: S311  # a simulation
        self._splitter = FlagSplitter(Faults())
        self._seconds = 0
        self._every = 0
        self._kinds: tuple[int, ...] = ()
        self._number = 0
        self._cuff = {"sys": 12100, "dia": 7900, "mean": 9300, "hr": 71}

    def tick(self) -> bytes:
        self._seconds += 1
        out = b""
        if self._every and self._seconds % self._every == 0:
            out += self._record(PHYSIOLOGICAL, [(1, self._values())])
        if self._kinds:
            out += self._record(WAVEFORM, [(kind, self._wave(kind)) for kind in self._kinds])
        return out

    def hear(self, data: bytes) -> bytes:
        for record in self._splitter.feed(data):
            (main,) = struct.unpack_from("<h", record, 14)
            body = record[HEAD:]
            if main == PHYSIOLOGICAL and len(body) == 9:
                (interval,) = struct.unpack_from("<h", body, 1)
                self._every = max(0, interval)
            elif main == WAVEFORM and len(body) == 32:
                chosen = body[4:12].split(bytes((END,)))[0] if body[0] == 0 else b""
                self._kinds = tuple(kind for kind in chosen if kind in WAVES)
        return b""

    def _record(self, main_type: int, parts: list[tuple[int, bytes]]) -> bytes:
        self._number = (self._number + 1) % 256
        places, body = b"", b""
        for kind, data in parts:
            places += struct.pack("<hB", len(body), kind)
            body += data
        places = (places + b"\0\0\xff").ljust(24, b"\0")[:24]
        size = HEAD + len(body)
        head = struct.pack("<HBBHI", size, self._number, 7, 0, START + self._seconds) + bytes(4)
        return encode_frame(head + struct.pack("<h", main_type) + places + body)

    def _values(self) -> bytes:
        minute = self._seconds % 120
        if minute < 5:
            self._cuff = {name: raw + self._rng.randint(-200, 200) for name, raw in self._cuff.items() if name != "hr"}
            self._cuff["hr"] = 71
        out = struct.pack("<I", START + self._seconds)
        for name, scales in BASIC:
            shown = self._cuff if name == "nibp" else MIDDLES.get(name, {})
            label = 1 << 5 if name == "nibp" and minute < 20 else LABELS.get(name, 0)
            if name not in PLAIN:
                out += struct.pack("<IH", 3 if shown else 0, label)
            for value in scales:
                raw = shown.get(value)
                spread = 0 if raw is None or name == "nibp" else max(1, abs(raw) // 50)
                out += struct.pack("<h", INVALID if raw is None else raw + self._rng.randint(-spread, spread))
        return out.ljust(SIZE, b"\0")

    def _wave(self, kind: int) -> bytes:
        rate = WAVES[kind][3]
        samples = [round(1000 * math.sin((self._seconds * rate + i) * 2 * math.pi / rate)) for i in range(rate)]
        return struct.pack(f"<hHH{rate}h", rate, 0, 0, *samples)
