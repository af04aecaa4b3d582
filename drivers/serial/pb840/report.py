"""Reports of a Puritan Bennett 840: `MISCF,1225,169 ,` STX, fields with a comma after each, ETX, CR. Operator's and
technical reference manual of the 800 series, appendix E. There is no checksum: the counts of octets and fields must
both hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import wall_time

HEAD = re.compile(rb"MISC([AF]),(\d{1,4}) *,(\d{1,3}) *,\x02")
LONGEST_HEAD = 20  # octets
MAX_OCTETS = 2000
ETX = 0x03
FIRST_FIELD = 5  # number of the first field after STX
FULL, SHORT = "MISCF", "MISCA"
FULL_FIELDS, SHORT_FIELDS = 169, 97
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")

# Field number by name.
MEASURED: Mapping[str, Mapping[str, int]] = {
    FULL: {
        "end_inspiratory_pressure": 69, "respiration_rate": 70, "tidal_volume_expired": 71, "minute_volume": 72,
        "peak_pressure": 73, "mean_pressure": 74, "oxygen": 77, "tidal_volume_inspired": 78, "peep_intrinsic": 79,
        "peep": 87, "minute_volume_spontaneous": 89, "compliance_dynamic": 96, "resistance_dynamic": 97,
        "tidal_volume_spontaneous": 154,
    },
    SHORT: {
        "respiration_rate": 34, "tidal_volume_expired": 35, "minute_volume": 36, "peak_pressure": 38,
        "mean_pressure": 39, "end_inspiratory_pressure": 40,
    },
}  # fmt: skip
# Results of manoeuvres, 0.0 when none was made.
MANOEUVRES = {
    "peep_intrinsic_pause": 90, "peep_total": 91, "compliance_static": 92, "resistance_static": 93,
    "plateau_pressure": 94,
}  # fmt: skip
SET: Mapping[str, Mapping[str, int]] = {
    FULL: {"respiratory_rate": 13, "tidal_volume": 14, "peak_flow": 15, "oxygen": 16, "peep": 18},
    SHORT: {"respiratory_rate": 10, "tidal_volume": 11, "peak_flow": 12, "oxygen": 13, "peep": 15},
}
_TEXTS = {FULL: {"vent_type": 8, "mode": 9, "mandatory_type": 10, "patient_type": 66}, SHORT: {"mode": 9}}
_TIME = {FULL: (5, 7), SHORT: (5, 8)}
_ALARMS = {FULL: range(106, 154), SHORT: range(48, 103)}
ALARM_STATES = frozenset({"LOW", "MEDIUM", "HIGH", "ALARM", "RESET"})


class VentilatorReport(NamedTuple):
    """One report. Numbers as sent: cmH2O, L, L/min, 1/min, %; None where the field is blank."""

    kind: str
    octets: int
    fields: int
    device: str  # model and serial number
    time: datetime | None
    texts: dict[str, str]
    measured: dict[str, float | None]
    manoeuvres: dict[str, float]
    settings: dict[str, float | None]
    alarms: dict[int, str]  # by field: LOW, MEDIUM, HIGH, ALARM or RESET


def decode_report(octets: bytes) -> VentilatorReport:
    """FrameError truncated, bad_header, bad_length: what is not whole is refused, never shifted."""
    head = HEAD.search(octets)
    if head is None:
        raise FrameError("bad_header" if len(octets) >= LONGEST_HEAD else "truncated")
    size, count = int(head[2]), int(head[3])
    body = octets[head.end() : head.end() + size]
    kind = FULL if head[1] == b"F" else SHORT
    if len(octets) <= head.end() + size and bytes((ETX,)) not in body:
        raise FrameError("truncated")
    if bytes((ETX,)) in body or octets[head.end() + size] != ETX or body.count(b",") != count:
        raise FrameError("bad_length")
    if not body.endswith(b",") or count != (FULL_FIELDS if kind == FULL else SHORT_FIELDS):
        raise FrameError("bad_length")
    texts = [text.decode("latin-1").strip() for text in body.split(b",")]
    return _report(kind, size, count, texts)


def _report(kind: str, size: int, count: int, texts: list[str]) -> VentilatorReport:
    def text(number: int) -> str:
        return texts[number - FIRST_FIELD] if FIRST_FIELD <= number < FIRST_FIELD + count else ""

    def number(field: int) -> float | None:
        return float(text(field)) if re.fullmatch(r"-?\d{1,6}(\.\d{1,6})?", text(field)) else None

    results = {name: number(field) for name, field in MANOEUVRES.items()} if kind == FULL else {}
    return VentilatorReport(
        kind,
        size,
        count,
        text(6),
        _time(*(text(field) for field in _TIME[kind])),
        {name: text(field) for name, field in _TEXTS[kind].items() if text(field)},
        {name: number(field) for name, field in MEASURED[kind].items()},
        {name: result for name, result in results.items() if result is not None},
        {name: number(field) for name, field in SET[kind].items()},
        {field: text(field) for field in _ALARMS[kind] if text(field) in ALARM_STATES},
    )


def _time(clock: str, date: str) -> datetime | None:
    """HH:MM and MMM DD YYYY, without a zone."""
    found = re.fullmatch(r"([A-Z]{3}) (\d\d?) (\d{4})", date)
    if found is None or found[1] not in _MONTHS or not re.fullmatch(r"\d\d?:\d\d", clock):
        return None
    hour, minute = (int(part) for part in clock.split(":"))
    return wall_time((int(found[3]), _MONTHS.index(found[1]) + 1, int(found[2]), hour, minute))
