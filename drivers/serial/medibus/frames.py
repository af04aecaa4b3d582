"""MEDIBUS frames (Draeger MEDIBUS Protocol Definition 4.03): 1B (command) or 01 (response), code, data, two hexadecimal
digits of the sum of all before them, CR."""

from __future__ import annotations

import re
from typing import NamedTuple

from gatepost.drivers.checksums import FrameError, sum8
from gatepost.drivers.reading import time_parts

COMMAND, RESPONSE, CR = 0x1B, 0x01, 0x0D
SUSPEND, RESUME, CANCEL = 0x11, 0x13, 0x18  # the other way round than XON and XOFF
CORRUPT = 0x15  # code of the answer to what was not understood
DATA = frozenset({0x24, 0x25, 0x26, 0x2B, 0x2C, 0x2D})  # measured values and limits: two digits, four characters each
ALARMS = frozenset({0x27, 0x2E})
CLOCK, SETTINGS, TEXTS, REALTIME = 0x28, 0x29, 0x2A, 0x53
ETX = 0x03
# German and English.
MONTHS = {
    name: number
    for number, names in enumerate(
        ("JAN", "FEB", "MAR MRZ MAE", "APR", "MAI MAY", "JUN", "JUL", "AUG", "SEP", "OKT OCT", "NOV", "DEZ DEC"), 1
    )
    for name in names.split()
}
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)")
_TIME = re.compile(r"(\d\d?):(\d\d)(?::(\d\d))?([ \d]\d)-([A-Z]{3})-(\d\d)")


class MedibusFrame(NamedTuple):
    is_response: bool
    code: int
    data: bytes


class DataItem(NamedTuple):
    """`code` as two hexadecimal digits, `value` None where there is none."""

    code: str
    text: str
    value: float | int | None


class AlarmItem(NamedTuple):
    priority: int
    code: str
    phrase: str


class RealtimeChannel(NamedTuple):
    """A sample x means minimum + x * (maximum - minimum) / max_bin; `interval` in microseconds."""

    code: str
    interval: int
    minimum: float
    maximum: float
    max_bin: int


def encode_frame(is_response: bool, code: int, data: bytes = b"") -> bytes:
    body = bytes((RESPONSE if is_response else COMMAND, code)) + data
    return body + f"{sum8(body):02X}\r".encode("ascii")


def decode_frame(octets: bytes) -> MedibusFrame:
    """FrameError truncated, bad_sync, bad_checksum."""
    if octets[:1] not in (b"\x1b", b"\x01"):
        raise FrameError("bad_sync" if octets else "truncated")
    end = octets.find(CR)
    if end < 4:
        raise FrameError("truncated")
    body, spelt = octets[: end - 2], octets[end - 2 : end]
    if not re.fullmatch(rb"[0-9A-Fa-f]{2}", spelt) or int(spelt, 16) != sum8(body):
        raise FrameError("bad_checksum")
    return MedibusFrame(octets[0] == RESPONSE, body[1], body[2:])


def number_of(text: str) -> float | int | None:
    """Blanks may stand anywhere in it, as in "- 5"; None for what is no number."""
    squeezed = text.replace(" ", "")
    if not _NUMBER.fullmatch(squeezed) or not squeezed.isascii():
        return None
    return float(squeezed) if "." in squeezed else int(squeezed)


def _code(text: str) -> str:
    """Two hexadecimal digits, in capitals. FrameError bad_format."""
    if not re.fullmatch(r"[0-9A-Fa-f]{2}", text, re.ASCII):
        raise FrameError("bad_format")
    return text.upper()


def data_items(data: bytes, width: int = 4) -> list[DataItem]:
    """Measured values and limits, or settings with `width` 5. FrameError bad_format."""
    size = 2 + width
    if len(data) % size:
        raise FrameError("bad_format")
    found = []
    for at in range(0, len(data), size):
        code, text = data[at : at + 2].decode("latin-1"), data[at + 2 : at + size].decode("latin-1")
        found.append(DataItem(_code(code), text, number_of(text)))
    return found


def alarm_items(data: bytes) -> list[AlarmItem]:
    """Priority, code, twelve characters each. FrameError bad_format."""
    if len(data) % 15:
        raise FrameError("bad_format")
    found = []
    for at in range(0, len(data), 15):
        one = data[at : at + 15].decode("latin-1")
        found.append(AlarmItem(ord(one[0]) - 0x30, _code(one[1:3]), one[3:].strip()))
    return found


def text_items(data: bytes) -> list[tuple[str, str]]:
    """Code, length, text, ETX each. FrameError bad_format."""
    found = []
    at = 0
    while at < len(data):
        code = _code(data[at : at + 2].decode("latin-1"))
        size = data[at + 2] - 0x30 if at + 2 < len(data) else -1
        end = at + 3 + size
        if size < 0 or end >= len(data) or data[end] != ETX:
            raise FrameError("bad_format")
        found.append((code, data[at + 3 : end].decode("latin-1").strip()))
        at = end + 1
    return found


def clock_time(text: str) -> list[int] | None:
    """HH:MM:SSDD-MMM-YY, seconds optional, the month in German or English; None for what is none."""
    found = _TIME.fullmatch(text.strip().upper())
    if found is None or found[5] not in MONTHS:
        return None
    hour, minute, second, day, month, year = found.groups()
    century = 1900 if int(year) >= 80 else 2000
    seconds = [] if second is None else [int(second)]
    return time_parts([century + int(year), MONTHS[month], int(day), int(hour), int(minute), *seconds])


def realtime_channels(data: bytes) -> list[RealtimeChannel]:
    """Code 2, interval 8, minimum 5, maximum 5, largest binary value 3 (hexadecimal) characters each. FrameError
    bad_format."""
    if len(data) % 23:
        raise FrameError("bad_format")
    found = []
    for at in range(0, len(data), 23):
        one = data[at : at + 23].decode("latin-1")
        interval, low, high = (number_of(one[start:end]) for start, end in ((2, 10), (10, 15), (15, 20)))
        digits = one[20:23].strip()
        if (
            not isinstance(interval, int)
            or interval <= 0
            or low is None
            or high is None
            or not re.fullmatch(r"[0-9A-Fa-f]{1,3}", digits, re.ASCII)
            or not int(digits, 16)
        ):
            raise FrameError("bad_format")
        found.append(RealtimeChannel(_code(one[:2]), interval, low, high, int(digits, 16)))
    return found
