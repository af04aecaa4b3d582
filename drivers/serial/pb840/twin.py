"""Simulated Puritan Bennett 840: reports when it is asked to; an alarm comes and goes."""

from __future__ import annotations

import random

from gatepost.drivers.serial.pb840.report import FIRST_FIELD, FULL_FIELDS, MEASURED, SET, SHORT_FIELDS

MIDDLES = {
    "end_inspiratory_pressure": 24.0, "respiration_rate": 14.0, "tidal_volume_expired": 0.41, "minute_volume": 5.7,
    "peak_pressure": 25.0, "mean_pressure": 8.6, "oxygen": 40.0, "tidal_volume_inspired": 0.42, "peep": 5.2,
    "compliance_dynamic": 22.0, "resistance_dynamic": 5.1,
}  # fmt: skip
SETTINGS = {"respiratory_rate": "14.0", "tidal_volume": "0.420", "peak_flow": "55.0", "oxygen": "40", "peep": "5.0"}
ALARM_FIELD = 110
REQUESTS = {b"SNDF": ("MISCF", FULL_FIELDS), b"SNDA": ("MISCA", SHORT_FIELDS)}


class Pb840Twin:
    """Ventilator in A/C; says nothing by itself."""

    interval = 1.0

    def __init__(self, seed: int = 0) -> None:
        self._rng = random.Random(seed)  # noqa: S311  # a simulation
        self._asked = b""
        self._reports = 0

    def tick(self) -> bytes:
        return b""

    def hear(self, data: bytes) -> bytes:
        *lines, rest = (self._asked + data).split(b"\r")
        self._asked = rest[-16:]
        return b"".join(self._report(*REQUESTS[line]) for line in lines if line in REQUESTS)

    def _report(self, kind: str, count: int) -> bytes:
        self._reports += 1
        fields = dict.fromkeys(range(FIRST_FIELD, FIRST_FIELD + count), "")
        minute = self._reports // 20
        fields |= {5: f"{10 + minute // 60 % 12:02}:{minute % 60:02}", 6: "840 3510000042", 9: "A/C"}
        fields[7 if kind == "MISCF" else 8] = "NOV 20 2026"
        fields |= {number: SETTINGS[name] for name, number in SET[kind].items()}
        for name, number in MEASURED[kind].items():
            if name in MIDDLES:
                fields[number] = f"{MIDDLES[name] * self._rng.uniform(0.97, 1.03):.3f}"
        if kind == "MISCF":
            fields |= dict.fromkeys(range(106, 154), "NORMAL")
            fields[ALARM_FIELD] = "MEDIUM" if self._reports % 10 == 9 else "NORMAL"
        body = "".join(f"{text:<6}," for text in fields.values()).encode("ascii")
        return f"{kind},{len(body)},{count} ,".encode("ascii") + b"\x02" + body + b"\x03\r"
