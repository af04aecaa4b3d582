"""OneTouch Ultra2 lines (LifeScan RS-232 specification of the Ultra2): text, a space, its 16-bit sum in four digits.

`P nnn,"serial","MG/DL "` begins a dump of `nnn` records `P "SAT","08/03/13","22:12:00   ","  105 ","N","00", 00`;
a record is always in mg/dL. Month first, two digits of year since 2000, no zone.
"""

from __future__ import annotations

import re
from datetime import datetime

import msgspec

from gatepost.drivers.checksums import FrameError, sum16

_CHECKED = re.compile(r"(.*) ([0-9A-Fa-f]{4})", re.DOTALL)
_CLOCK = r'"[A-Z]{3}","(\d\d)/(\d\d)/(\d\d)","(\d\d):(\d\d):(\d\d) *"'
_RECORD = re.compile(rf'P {_CLOCK},"([C ])([^"]{{3,7}})","([A-Z ])","(\d\d)", ?\d\d')
_MEMORY = re.compile(r'P *(\d{1,4}),"([^"]{1,20})","([^"]{1,10})"')
_SERIAL = re.compile(r'@ *"([^"]{1,20})"')
_TIME = re.compile(rf"[FT] {_CLOCK}")
_UNIT = re.compile(r'SU\?,"([^"]{1,10})"')

MEALS = {"N": "none", "B": "before", "A": "after"}
UNITS = {"MG/DL": "mg/dL", "MMOL/L": "mmol/L"}


class OneTouchRecord(msgspec.Struct, frozen=True, gc=False):
    """One stored result; `mg_dl` is None beyond the range of the meter."""

    time: datetime
    mg_dl: int | None
    control_solution: bool
    parity_error: bool
    meal: str
    comment: str
    over_range: bool = False
    under_range: bool = False


class MemoryHeader(msgspec.Struct, frozen=True, gc=False):
    """The beginning of a dump."""

    count: int
    serial_number: str
    unit: str


class ClockReply(msgspec.Struct, frozen=True, gc=False):
    time: datetime


class SerialReply(msgspec.Struct, frozen=True, gc=False):
    serial_number: str


class VersionReply(msgspec.Struct, frozen=True, gc=False):
    version: str


class UnitReply(msgspec.Struct, frozen=True, gc=False):
    """The unit that the display shows; records do not follow it."""

    unit: str


Line = OneTouchRecord | MemoryHeader | ClockReply | SerialReply | VersionReply | UnitReply


def check(line: str) -> str:
    """A line without its sum and ending; FrameError no_checksum or bad_checksum."""
    found = _CHECKED.fullmatch(line.rstrip("\r\n"))
    if found is None:
        raise FrameError("no_checksum")
    if not found[1].isascii() or sum16(found[1].encode("ascii")) != int(found[2], 16):
        raise FrameError("bad_checksum")
    return found[1]


def decode_line(line: str) -> Line:
    """A whole line, sum and all; FrameError no_checksum, bad_checksum or bad_format."""
    text = check(line)
    if found := _RECORD.fullmatch(text):
        return _record(found)
    if found := _MEMORY.fullmatch(text):
        return MemoryHeader(int(found[1]), found[2].strip(), _unit(found[3]))
    if found := _SERIAL.fullmatch(text):
        return SerialReply(found[1].strip())
    if found := _TIME.fullmatch(text):
        return ClockReply(_time(found))
    if found := _UNIT.fullmatch(text):
        return UnitReply(_unit(found[1]))
    if text.startswith("?"):
        return VersionReply(text[1:40].strip())
    raise FrameError("bad_format")


def encode_line(text: str) -> bytes:
    """As the meter sends it; for twins and tests."""
    return f"{text} {sum16(text.encode('ascii')):04X}\r\n".encode("ascii")


def clock_text(time: datetime) -> str:
    return time.strftime('"%a","%m/%d/%y","%H:%M:%S   "').upper()


def _record(found: re.Match[str]) -> OneTouchRecord:
    shown = found[8].strip()
    parity = shown.endswith("?")
    shown = shown.rstrip("?").strip()
    over, under = shown in ("HIGH", "HI"), shown in ("LOW", "LO")
    if found[9] not in MEALS or not (over or under or (shown.isdecimal() and shown.isascii())):
        raise FrameError("bad_format")
    return OneTouchRecord(
        _time(found),
        None if over or under else int(shown),
        found[7] == "C",
        parity,
        MEALS[found[9]],
        found[10],
        over,
        under,
    )


def _time(found: re.Match[str]) -> datetime:
    month, day, year, hour, minute, second = (int(found[i]) for i in range(1, 7))
    try:
        return datetime(2000 + year, month, day, hour, minute, second)  # noqa: DTZ001  # the meter has no zone
    except ValueError:
        raise FrameError("bad_format") from None


def _unit(text: str) -> str:
    unit = UNITS.get(text.strip())
    if unit is None:
        raise FrameError("bad_format")
    return unit
