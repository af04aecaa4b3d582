"""Temperatures of an IDT-34c-B: six probes in one notification, in tenths of a degree Fahrenheit."""

from __future__ import annotations

import struct

from gatepost.drivers.checksums import FrameError

PROBES = 6
UNPLUGGED = 0x7FFE
_FRAME = struct.Struct(f"<{PROBES}hB")  # the last octet is a state whose meaning is not known


def decode_probes(data: bytes) -> dict[str, float | None]:
    """degrees Celsius by name; None = no probe in that socket. FrameError."""
    if len(data) != _FRAME.size:
        raise FrameError("truncated" if len(data) < _FRAME.size else "length")
    tenths = _FRAME.unpack(data)[:PROBES]
    return {
        f"temperature_probe_{number}": None if value == UNPLUGGED else round((value - 320) / 18, 10)
        for number, value in enumerate(tenths, 1)
    }
