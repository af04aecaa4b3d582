"""Lines that oximeters print once a second: Nonin handhelds, Masimo "ASCII 1" and Nellcor N-595 (operator's manuals of
the Nonin 2500, 8500 and 9600, the Masimo Rad-8, the Nellcor N-395 and N-595).

Nonin: `[HH:MM:SS ]SPO2=097 HR=072[ F][*]`, F = fast averaging, * = event. Masimo: `MM/dd/yy HH:mm:ss NAME=value ...`.
Nellcor: `dd-MMM-yy HH:mm:ss  spo2 bpm pa  [status ..]`, `*` after a number = alarm. Dashes mean no value.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from gatepost.drivers.checksums import FrameError

Time = tuple[int, ...]

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
NELLCOR_STATUS = {
    "AO": "alarm-off",
    "AS": "alarm-silenced",
    "LB": "low-battery",
    "LM": "loss-of-pulse-with-interference",
    "LP": "loss-of-pulse",
    "MO": "interference",
    "PH": "heart_rate-above-limit",
    "PL": "heart_rate-below-limit",
    "PS": "pulse-search",
    "SH": "spo2-above-limit",
    "SL": "spo2-below-limit",
    "SD": "sensor-disconnected",
    "SO": "sensor-off",
}
MASIMO_EXCEPTIONS = {  # bits of EXC
    0x001: "no-sensor",
    0x002: "sensor-fault",
    0x004: "low-perfusion",
    0x008: "pulse-search",
    0x010: "interference",
    0x020: "sensor-off",
    0x040: "ambient-light",
    0x080: "unrecognized-sensor",
    0x400: "low-signal-quality",
}
MASIMO_NAMES = {
    "SPO2": "spo2",
    "BPM": "pulse_rate",
    "PR": "pulse_rate",
    "PI": "pi_pct",
    "SPCO": "spco_pct",
    "SPMET": "spmet_pct",
    "SPHB": "sphb",
    "DESAT": "desat",
    "PIDELTA": "pi_delta",
    "PVI": "pvi",
}

_NONIN = re.compile(
    r"(?:(\d{1,2}):(\d\d):(\d\d)\s+)?SPO2=(\d{3}| {1,2}\d{1,2}|---)\s+HR=(\d{3}| {1,2}\d{1,2}|---)((?:\s*[*FB])*)",
    re.IGNORECASE,
)
_MASIMO = re.compile(
    r"(\d\d)/(\d\d)/(\d\d)\s+(\d\d):(\d\d):(\d\d)\s+([A-Z][A-Z0-9]*=\S*(?:\s+[A-Z][A-Z0-9]*=\S*)*)", re.IGNORECASE
)
_NELLCOR = re.compile(
    r"(\d{1,2})-([A-Z]{3})-(\d\d)\s+(\d\d):(\d\d):(\d\d)\s+(\d+|-+)(\*?)\s+(\d+|-+)(\*?)\s+(\d+|-+)(\*?)((?:\s+[A-Z]{2})*)",
    re.IGNORECASE,
)
_MASIMO_NUMBER = re.compile(r"([+-]?\d+(?:\.\d+)?)[%*]*")
_THREE = re.compile(r"(?:\d{3}|---)[%*]*")  # a lost digit would make another number


class OximeterLine(msgspec.Struct, frozen=True):
    """What one line says. `values` by the names of the vectors; None = the device has no value."""

    values: dict[str, int | float | None]
    time: Time | None = None  # year, month, day, hour, minute, second; without a date only the last three
    serial: str | None = None
    status: tuple[str, ...] = ()  # codes of the device
    alarm: bool = False
    event: bool = False
    fast: bool = False
    exceptions: int = 0
    alarms: str = ""


def decode_nonin(text: str) -> OximeterLine:
    """One line; FrameError bad_format or out_of_range."""
    found = _NONIN.fullmatch(text.strip())
    if found is None:
        raise FrameError("bad_format")
    hour, minute, second, spo2, rate, marks = found.groups()
    time = None if hour is None else _clock(int(hour), int(minute), int(second))
    marks = marks.upper()
    values: dict[str, int | float | None] = {"spo2": _percent(_whole(spo2)), "pulse_rate": _whole(rate)}
    return OximeterLine(values, time, event="*" in marks, fast="F" in marks, status=("breath",) if "B" in marks else ())


def decode_masimo(text: str) -> OximeterLine:
    """One line; needs SPO2 and BPM (or PR)."""
    found = _MASIMO.fullmatch(text.strip())
    if found is None:
        raise FrameError("bad_format")
    month, day, year, hour, minute, second = (int(group) for group in found.groups()[:6])
    members = dict(member.split("=", 1) for member in found[7].split())
    members = {name.upper(): value for name, value in members.items()}
    values: dict[str, int | float | None] = {}
    for name, ours in MASIMO_NAMES.items():
        if name in members:
            values[ours] = _number(members[name])
            if ours in ("spo2", "pulse_rate") and not _THREE.fullmatch(members[name]):
                raise FrameError("bad_format")
    if "spo2" not in values or "pulse_rate" not in values:
        raise FrameError("bad_format")
    _percent(values["spo2"])
    try:
        exceptions = int(members.get("EXC", "0").partition(":")[0] or "0", 16)
        alarm = int(members.get("ALARM", "0") or "0", 16)
    except ValueError:
        raise FrameError("bad_format") from None
    return OximeterLine(
        values,
        _date(_century(year), month, day) + _clock(hour, minute, second),
        members.get("SN"),
        tuple(name for bit, name in MASIMO_EXCEPTIONS.items() if exceptions & bit),
        alarm=bool(alarm),
        exceptions=exceptions,
        alarms=members.get("ALARM", ""),
    )


def decode_nellcor(text: str) -> OximeterLine:
    """One line of data; headings are refused like anything else."""
    found = _NELLCOR.fullmatch(text.strip())
    if found is None:
        raise FrameError("bad_format")
    day, month, year, hour, minute, second = found.groups()[:6]
    if month.upper() not in MONTHS:
        raise FrameError("bad_format")
    numbers, stars = found.groups()[6:12:2], found.groups()[7:12:2]
    values: dict[str, int | float | None] = dict(
        zip(("spo2", "pulse_rate", "pulse_amplitude"), map(_whole, numbers), strict=True)
    )
    _percent(values["spo2"])
    status = tuple(found[13].upper().split())
    if any(code not in NELLCOR_STATUS for code in status):
        raise FrameError("bad_format")
    date = _date(_century(int(year)), MONTHS.index(month.upper()) + 1, int(day))
    return OximeterLine(values, date + _clock(int(hour), int(minute), int(second)), status=status, alarm="*" in stars)


DIALECTS = {"nonin": decode_nonin, "masimo": decode_masimo, "nellcor": decode_nellcor}
_HEADINGS = {
    "nonin": re.compile(r"(?!.*(?:SPO2|HR)=)", re.IGNORECASE),  # what it is, date and time, after switching on
    "nellcor": re.compile(
        r"\s*TIME\s+%SPO2\b|\S+\s+VERSION\s|.*SAT-S\s|.*SPO2 RESP MODE|\s*Command\?|\S+\s+Interactive Mode|\s*\d\)\s",
        re.IGNORECASE,
    ),
}


def is_heading(text: str, dialect: str) -> bool:
    """Whether a line that holds no data belongs there all the same."""
    heading = _HEADINGS.get(dialect)
    return heading is not None and text.isascii() and text.isprintable() and heading.match(text) is not None


def _whole(text: str) -> int | None:
    return None if text.startswith("-") else int(text)


def _number(text: str) -> int | float | None:
    """A number with or without its unit; dashes are none, `+--` too."""
    if set(text) <= set("-+.%"):
        return None
    found = _MASIMO_NUMBER.fullmatch(text)
    if found is None:
        raise FrameError("bad_format")
    return float(found[1]) if "." in found[1] else int(found[1])


def _percent(value: Any) -> Any:
    if value is not None and value > 100:
        raise FrameError("out_of_range")
    return value


def _century(year: int) -> int:
    return year + (1900 if year >= 80 else 2000)  # none of these devices is older


def _date(year: int, month: int, day: int) -> Time:
    if not 1 <= month <= 12 or not 1 <= day <= 31:
        raise FrameError("out_of_range")
    return (year, month, day)


def _clock(hour: int, minute: int, second: int) -> Time:
    if hour > 23 or minute > 59 or second > 59:
        raise FrameError("out_of_range")
    return (hour, minute, second)
