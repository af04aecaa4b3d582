"""Formats of CAS indicators and their clones (CI-150A, CI-400, CI-600D, PDI, NT-200 manuals). CR LF ends each.

22 octets: `ST|US|OL,GS|NT,` device id, lamp octet, `,`, eight characters of weight, a blank (or the state of relays),
two of unit. Lamp: bit 7 = 1, 6 stable, 4 hold, 3 printer, 2 gross, 1 tare, 0 zero point; so it is no text. 18 octets
(AND): `ST,GS,`, eight characters, two of unit; clones put blanks and widths of their own. 10 octets: eight characters.
"""

from __future__ import annotations

import re

import msgspec

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.serial.scales.weight_reading import number

STATES = {b"ST": "stable", b"US": "unstable", b"OL": "overload"}
MODES = {b"GS": "gross", b"NT": "net"}
WIDTH = 8  # characters of a weight
FULL, AND, BARE = 22, 18, 10  # octets with CR LF
LAMP = 0x80

_HEAD = re.compile(rb"(ST|US|OL),(GS|NT),")
_FULL = re.compile(rb"(ST|US|OL),(GS|NT),(.)(.),(.{8})(.)(.{2})", re.DOTALL)
_CLONE = re.compile(rb" *([+-]? *[0-9][0-9.,]*|[-. _]*) *([A-Za-z%]{1,3})? *")


class CasWeighing(msgspec.Struct, frozen=True, gc=False):
    """What one line says; None = it does not say so, or has no value (overload)."""

    state: str | None
    mode: str | None
    value: float | int | None
    unit: str | None
    device_id: int | None = None
    lamp_stable: bool | None = None
    hold: bool | None = None
    printer: bool | None = None
    lamp_gross: bool | None = None
    tare: bool | None = None
    zero: bool | None = None
    relays: int | None = None


def _bare(line: bytes) -> bytes:
    return line[:-2] if line.endswith(b"\r\n") else line.rstrip(b"\r\n")


def decode_full(line: bytes) -> CasWeighing:
    """22 octets (20 without their ending); FrameError truncated, bad_length, bad_header or bad_format."""
    line = _bare(line)
    if not _HEAD.match(line):
        raise FrameError("bad_header" if len(line) >= 6 else "truncated")
    if len(line) != FULL - 2:
        raise FrameError("truncated" if len(line) < FULL - 2 else "bad_length")
    found = _FULL.fullmatch(line)
    if found is None:
        raise FrameError("bad_format")
    state, mode, device, lamp, data, relays, unit = found.groups()
    lamps = lamp[0]
    if not lamps & LAMP:
        raise FrameError("bad_format")
    return CasWeighing(
        STATES[state],
        MODES[mode],
        _value(data, STATES[state]),
        _unit(unit),
        device_id=device[0],
        lamp_stable=bool(lamps & 0x40),
        hold=bool(lamps & 0x10),
        printer=bool(lamps & 0x08),
        lamp_gross=bool(lamps & 0x04),
        tare=bool(lamps & 0x02),
        zero=bool(lamps & 0x01),
        relays=None if relays == b" " else relays[0],
    )


def decode_and(line: bytes) -> CasWeighing:
    """18 octets of the AND form; the width of a clone may be another one."""
    line = _bare(line)
    head = _HEAD.match(line)
    if head is None:
        raise FrameError("bad_header" if len(line) >= 6 else "truncated")
    state, mode = STATES[head[1]], MODES[head[2]]
    found = _CLONE.fullmatch(line, head.end())
    if found is None:
        raise FrameError("bad_format")
    if found[2] is None and state != "overload":
        raise FrameError("truncated")
    return CasWeighing(state, mode, _value(found[1], state), None if found[2] is None else _unit(found[2]))


def decode_bare(line: bytes) -> CasWeighing:
    """10 octets: a weight without anything else."""
    line = _bare(line)
    if len(line) != WIDTH:
        raise FrameError("truncated" if len(line) < WIDTH else "bad_length")
    return CasWeighing(None, None, _value(line, ""), None)


def decode_line(line: bytes) -> CasWeighing:
    """Whichever of the three a line is."""
    line = _bare(line)
    if not _HEAD.match(line):
        return decode_bare(line)
    if len(line) == FULL - 2 and line[7] & LAMP:
        return decode_full(line)
    return decode_and(line)


def _value(data: bytes, state: str) -> int | float | None:
    """In an overload nothing that stands there is a weight."""
    if state == "overload":
        return None
    value = number(data.decode("latin-1"))
    if value is None:
        raise FrameError("bad_format")
    return value


def _unit(unit: bytes) -> str:
    text = unit.decode("latin-1").strip()
    if not re.fullmatch(r"[A-Za-z%]{1,3}", text):
        raise FrameError("bad_format")
    return text


def encode_full(weighing: CasWeighing) -> bytes:
    """The 22 octets; for twins and tests."""
    lamps = (
        LAMP
        | bool(weighing.lamp_stable) << 6
        | bool(weighing.hold) << 4
        | bool(weighing.printer) << 3
        | bool(weighing.lamp_gross) << 2
        | bool(weighing.tare) << 1
        | bool(weighing.zero)
    )
    state = next(code for code, name in STATES.items() if name == weighing.state)
    mode = next(code for code, name in MODES.items() if name == weighing.mode)
    data = b"--------" if weighing.value is None else f"{weighing.value:0{WIDTH}.1f}".encode("ascii")
    unit = (weighing.unit or "").rjust(2).encode("ascii")
    device = bytes((weighing.device_id or 0x31, lamps))
    return state + b"," + mode + b"," + device + b"," + data + b" " + unit + b"\r\n"
