"""A&D standard format: one line of text, header decides.

`HH,` ST stable, US unstable, QT stable count, OL overload; `OK,` `LO,` `HI,` or `--,` with a comparator; a sign and
eight digits or point; three characters of unit, right-aligned.
"""

from __future__ import annotations

import re

import msgspec

from gatepost.drivers.checksums import FrameError

STATES = {"ST": "stable", "US": "unstable", "QT": "stable_count", "OL": "overload"}
_HEADER = re.compile(r"([A-Z]{2}),(?:(OK|LO|HI|--),)?")
_NUMBER = re.compile(r"[+-] *\d+(?:[.,]\d*)?")
WIDTH = 9  # sign and eight characters
UNIT = 3


class AndWeighing(msgspec.Struct, frozen=True, gc=False):
    """What one line says; value and unit are None when the scale has none (overload)."""

    state: str
    value: float | int | None
    unit: str | None = None
    comparator: str | None = None
    below: bool = False  # overload at the lower end


def decode_line(text: str) -> AndWeighing:
    """One line without or with its ending; FrameError bad_header, truncated or bad_format."""
    text = text.rstrip("\r\n")
    head = _HEADER.match(text)
    if head is None or head[1] not in STATES:
        raise FrameError("bad_header" if len(text) >= UNIT else "truncated")
    state, comparator = STATES[head[1]], head[2]
    rest = text[head.end() :]
    if state == "overload":  # what follows may look like a weight
        if not rest:
            raise FrameError("truncated")
        return AndWeighing(state, None, None, comparator, rest.startswith("-"))
    if len(rest) < WIDTH + UNIT:
        raise FrameError("truncated")
    number, unit = rest[:WIDTH], rest[WIDTH:].strip()
    if len(rest) > WIDTH + UNIT or not _NUMBER.fullmatch(number) or not re.fullmatch(r"[A-Za-z%/]{1,3}", unit):
        raise FrameError("bad_format")
    spelled = number.replace(" ", "").replace(",", ".")
    return AndWeighing(state, float(spelled) if "." in spelled else int(spelled), unit, comparator)


def encode_line(weighing: AndWeighing) -> bytes:
    """The line that a scale prints; for twins and tests."""
    head = next(code for code, state in STATES.items() if state == weighing.state)
    if weighing.comparator:
        head += f",{weighing.comparator}"
    if weighing.value is None:
        return f"{head},+9999999E+19\r\n".encode("ascii")
    return f"{head},{weighing.value:+0{WIDTH}.2f}{weighing.unit or 'g':>{UNIT}}\r\n".encode("ascii")
