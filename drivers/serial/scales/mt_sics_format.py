"""MT-SICS level 0 and 1: what a balance answers (Mettler-Toledo MT-SICS reference manual).

`S S     100.00 g`: S stable or D dynamic, the weight in ten characters, right-aligned, the unit. `S I` not executable,
`S +` overload, `S -` underload. ES, ET, EL: not understood, badly transmitted, not executable. `I4 A "0123456789"`:
an answer with text.
"""

from __future__ import annotations

import re

import msgspec

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.serial.scales.weight_reading import number

WIDTH = 10  # characters of a weight
STATES = {"S": "stable", "D": "dynamic", "I": "not_executable", "+": "overload", "-": "underload", "L": "error"}
ERRORS = {"ES": "syntax", "ET": "transmission", "EL": "logic"}
_WEIGHT = re.compile(r"S ([SD]) ( *[+-]?\d[\d.,]*) +([A-Za-z%°/:]{1,5})")
_TEXT = re.compile(r"([A-Z@][A-Z0-9]{0,4}) ([AIBLS+-])(?: +(.+))?")


class SicsResponse(msgspec.Struct, frozen=True, gc=False):
    """One line. `state`: of a weighing (STATES), `error`, or `answer` to another command."""

    state: str
    value: float | int | None = None
    unit: str | None = None
    code: str | None = None  # of an error
    command: str | None = None  # that is answered
    text: str | None = None
    width: int = 0  # of the weight


def decode_line(text: str) -> SicsResponse:
    """One line without or with its ending; FrameError truncated, bad_header or bad_format."""
    text = text.rstrip("\r\n")
    if text in ERRORS:
        return SicsResponse("error", code=text)
    weight = _WEIGHT.fullmatch(text.rstrip())
    if weight is not None:
        value = number(weight[2])
        if value is None:
            raise FrameError("bad_format")
        return SicsResponse(STATES[weight[1]], value, weight[3], width=len(weight[2]))
    if text.startswith("S "):
        status = text[2:].strip()
        if status in ("I", "+", "-"):
            return SicsResponse(STATES[status])
        if status == "L":
            return SicsResponse("error", code="L", command="S")
        raise FrameError("truncated" if status[:1] in ("", "S", "D") and len(status) < WIDTH else "bad_format")
    other = _TEXT.fullmatch(text.rstrip())
    if other is not None:
        said = (other[3] or "").strip().strip('"')
        if other[2] in ("I", "L"):
            return SicsResponse("error", code=other[2], command=other[1])
        return SicsResponse("answer", command=other[1], text=said)
    raise FrameError("bad_header" if len(text) > 1 else "truncated")


def encode_weight(value: float, unit: str, stable: bool, decimals: int = 2) -> bytes:
    """The line that a balance sends; for twins and tests."""
    return f"S {'S' if stable else 'D'} {value:{WIDTH}.{decimals}f} {unit}\r\n".encode("ascii")
