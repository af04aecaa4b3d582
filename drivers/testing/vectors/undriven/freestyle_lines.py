"""FreeStyle Optium and Freedom glucose meters (published by glucometer users): lines of the answer to `$xmem`."""

from __future__ import annotations

import re
from datetime import datetime
from typing import NamedTuple

from gatepost.drivers.checksums import FrameError

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "June", "July", "Aug", "Sep", "Oct", "Nov", "Dec")
KINDS = {"G": "glucose", "K": "ketone"}
_DATE = r"([A-Z][a-z]{2,3}) {1,2}(\d\d) (\d{4})"
_CLOCK = re.compile(rf"Clock:\t{_DATE}\t(\d\d):(\d\d):(\d\d)", re.ASCII)
_READING = re.compile(rf"(HI|\d{{3}}) {{1,3}}{_DATE} (\d\d):(\d\d) ([GK]) 0x[0-9A-Fa-f]{{2}}", re.ASCII)


class FreestyleResult(NamedTuple):
    """One stored result; no value beyond the range of the meter. Glucose is in mg/dL."""

    value: int | None
    kind: str
    time: datetime


def decode_clock(line: str) -> datetime:
    """FrameError bad_format."""
    found = _CLOCK.fullmatch(line.rstrip("\r\n"))
    if found is None:
        raise FrameError("bad_format")
    return _time(*found.groups())


def decode_stored(line: str) -> FreestyleResult:
    """FrameError bad_format."""
    found = _READING.fullmatch(line.rstrip("\r\n"))
    if found is None:
        raise FrameError("bad_format")
    shown, month, day, year, hour, minute, kind = found.groups()
    return FreestyleResult(
        None if shown == "HI" else int(shown), KINDS[kind], _time(month, day, year, hour, minute, "0")
    )


def _time(month: str, *rest: str) -> datetime:
    day, year, hour, minute, second = (int(part) for part in rest)
    names = [name[:3] for name in MONTHS]
    try:
        return datetime(year, names.index(month[:3]) + 1, day, hour, minute, second)  # noqa: DTZ001  # it has no zone
    except ValueError:
        raise FrameError("bad_format") from None
