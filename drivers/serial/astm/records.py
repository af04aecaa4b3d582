"""ASTM E1394 (CLSI LIS02) records: H header, P patient, O order, R result, L end. The header says what parts fields.

Contour meters put what they call user marks and the time of a result where E1394 has flags and the result's status.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

import msgspec

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import time_parts

CONTROLS = frozenset({"Q", "QC", "CONTROL"})  # types of specimens
_TIME = re.compile(r"\d{8}(?:\d{4}(?:\d{2})?)?")
_DILUTED = re.compile(r"(\d+)/[\d.]*", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d*)?")
_OVER, _UNDER = ("HI", "HIGH"), ("LO", "LOW")


class AstmDelimiters(NamedTuple):
    field: str = "|"
    repeat: str = "\\"
    component: str = "^"
    escape: str = "&"


class AstmHeader(msgspec.Struct, frozen=True, gc=False):
    delimiters: AstmDelimiters
    product: str = ""
    serial_number: str = ""
    timestamp: list[int] | None = None
    processing: str = ""  # P production, T training, D debugging, Q control


class AstmResult(msgspec.Struct, frozen=True, gc=False):
    """One result; `value` None when it is none, `text` then says what the device wrote. `user_marks`: the markers are
    those of a Contour, not abnormal flags of the standard. `detail`: what the test id says after the name; `quantity`:
    what stands beside the value, as a GeneXpert writes `POSITIVE^24.7`."""

    sequence: int | None
    analyte: str
    value: float | int | None
    text: str
    unit: str
    reference: str
    markers: list[str]
    status: str
    timestamp: list[int] | None
    user_marks: bool
    detail: tuple[str, ...] = ()
    quantity: str = ""

    @property
    def beyond(self) -> str:
        """over, under, or empty: outside of what the device measures."""
        shown = self.text.upper()
        if ">" in self.markers or shown.startswith(">") or shown in _OVER:
            return "over"
        if "<" in self.markers or shown.startswith("<") or shown in _UNDER:
            return "under"
        return ""


def decode_header(text: str) -> AstmHeader:
    """FrameError truncated or bad_header."""
    if len(text) < 5:
        raise FrameError("truncated")
    marks = AstmDelimiters(*text[1:5])
    if text[0] != "H" or len(set(marks)) < 4 or any(mark.isalnum() or mark.isspace() for mark in marks):
        raise FrameError("bad_header")
    fields = text.split(marks.field)
    sender = _at(fields, 4).split(marks.component)
    time, processing = time_of(_at(fields, 13)), _at(fields, 11)
    return AstmHeader(marks, unescape(sender[0], marks), _serial(sender, marks), time, processing)


def decode_result(
    text: str,
    marks: AstmDelimiters = AstmDelimiters(),  # noqa: B008  # it is immutable
    analyser: bool = False,
) -> AstmResult:
    """FrameError truncated, bad_header or bad_format. An analyser's may be without a value, and has no user marks."""
    fields = text.rstrip("\r\n").split(marks.field)
    if fields[0] != "R":
        raise FrameError("bad_header")
    if len(fields) < 4:
        raise FrameError("truncated")
    analyte, detail = _analyte(fields[2].split(marks.component))
    shown, quantity = (unescape(_at(fields[3].split(marks.component), place), marks).strip() for place in (0, 1))
    sequence = fields[1].strip()
    if not analyte or not (shown or analyser) or not re.fullmatch(r"\d*", sequence, re.ASCII):
        raise FrameError("bad_format")
    unit = _at(fields, 4).split(marks.component)
    contour = None if analyser else time_of(_at(fields, 8))
    parts = [part for repeat in _at(fields, 6).split(marks.repeat) for part in repeat.split("/")]
    return AstmResult(
        int(sequence) if sequence else None,
        unescape(analyte, marks).strip(),
        number(shown),
        shown,
        unescape(unit[0], marks).strip(),
        unescape(_at(unit, 1), marks).strip(),
        [part.strip() for part in parts if part.strip()],
        "" if contour else _at(fields, 8),
        contour or time_of(_at(fields, 12)) or time_of(_at(fields, 11)),
        contour is not None,
        tuple(unescape(part, marks) for part in detail),
        quantity,
    )


def is_control(order: str, marks: AstmDelimiters) -> bool:
    """Whether an order is for a control specimen: action code Q, or the type of its specimen."""
    fields = order.split(marks.field)
    types = (part for index in (3, 15) for part in _at(fields, index).split(marks.component))
    return _at(fields, 11).strip().upper() == "Q" or any(part.strip().upper() in CONTROLS for part in types)


def unescape(text: str, marks: AstmDelimiters) -> str:
    """Escape sequences (`&F&`, `&X41&`) turned into what they stand for."""
    if marks.escape not in text:
        return text
    told = {"F": marks.field, "R": marks.repeat, "S": marks.component, "E": marks.escape}

    def one(found: re.Match[str]) -> str:
        inner = found[1]
        if inner[:1] == "X" and re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", inner[1:]):
            return bytes.fromhex(inner[1:]).decode("latin-1")
        return told.get(inner, "")

    mark = re.escape(marks.escape)
    return re.sub(f"{mark}([^{mark}]{{0,64}}){mark}", one, text)


def number(shown: str) -> float | int | None:
    """A number in digits as a number, exactly; anything else is none."""
    if not _NUMBER.fullmatch(shown) or not shown.isascii() or len(shown) > 18:
        return None
    try:
        return float(Decimal(shown)) if "." in shown else int(shown)
    except (InvalidOperation, OverflowError):
        return None


def time_of(text: str) -> list[int] | None:
    """YYYYMMDD[HHMM[SS]] as numbers; None when it is no time."""
    if not text.isascii() or not _TIME.fullmatch(text):
        return None
    return time_parts([int(text[:4]), *(int(text[i : i + 2]) for i in range(4, len(text), 2))])


def _serial(sender: list[str], marks: AstmDelimiters) -> str:
    """Product ^ versions ^ serial number ^ ...; versions are a list with points in it."""
    for part in sender[1:]:
        version = "." in part and re.fullmatch(r"[Vv]?[\d.]+", part)
        if part and marks.repeat not in part and not version:
            return unescape(part, marks).strip()
    return ""


def _analyte(test: list[str]) -> tuple[str, list[str]]:
    """The manufacturer's own name, the fourth part or a later one; else the first part that says something. What
    follows the slash after a test number is its dilution. And the parts after the name."""
    parts = [part.strip() for part in test]
    while parts and not parts[-1]:
        del parts[-1]
    at = next((place for place in (*range(3, len(parts)), *range(3)) if _at(parts, place)), 0)
    diluted = _DILUTED.fullmatch(_at(parts, at))
    return diluted[1] if diluted else _at(parts, at), parts[max(3, at) + 1 :]


def _at(fields: list[str], index: int) -> str:
    return fields[index] if index < len(fields) else ""
