"""Result of A&D UA-767 blood pressure monitors: ten hexadecimal digits; the PBT model puts a header before them.

Digits in pairs: 80 (anything else is an error), systolic - diastolic, diastolic, pulse, mean; mmHg and beats a minute.
Header of the PBT model (A&D Bluetooth communication specification): 60 octets, numbers low octet first: type 2 (2),
length (4), device 767 (2), flag, time of measurement (7), time of transmission (7), two addresses (6 + 6), serial
number (12), reserved (10), battery, reserved, revisions.
"""

from __future__ import annotations

import string

import msgspec

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import iso_time

VALID = 0x80
DIGITS = 10
HEADER = 60
PACKET = HEADER + DIGITS
START = b"\x02\x00" + DIGITS.to_bytes(4, "little") + (767).to_bytes(2, "little")  # of a packet with a result
HEX = frozenset(string.hexdigits.encode())


class CuffResult(msgspec.Struct, frozen=True, gc=False):
    """What one measurement gave; all None when it failed, `status` then says how."""

    status: int
    systolic: int | None = None
    diastolic: int | None = None
    pulse_rate: int | None = None
    map: int | None = None

    @property
    def valid(self) -> bool:
        return self.status == VALID


class CuffPacket(msgspec.Struct, frozen=True, gc=False):
    """The result with what the header knows; `measured` is ISO 8601 without a zone, None when the clock was not set."""

    result: CuffResult
    measured: str | None
    serial_number: str


def decode_result(text: bytes) -> CuffResult:
    """Ten hexadecimal digits; FrameError truncated, bad_length or bad_format."""
    if not HEX.issuperset(text):
        raise FrameError("bad_format")
    if len(text) != DIGITS:
        raise FrameError("truncated" if len(text) < DIGITS else "bad_length")
    status, difference, diastolic, pulse, mean = bytes.fromhex(text.decode("ascii"))
    if status != VALID:
        return CuffResult(status)
    return CuffResult(status, diastolic + difference, diastolic, pulse, mean)


def decode_packet(octets: bytes) -> CuffPacket:
    """Header and result of the PBT model; FrameError truncated, bad_header, or as of the result."""
    if len(octets) < PACKET:
        raise FrameError("truncated")
    if not octets.startswith(START):
        raise FrameError("bad_header")
    serial = octets[35:47].split(b"\0")[0].decode("ascii", "replace").strip()
    measured = iso_time((int.from_bytes(octets[9:11], "little"), *octets[11:16]))
    return CuffPacket(decode_result(octets[HEADER:PACKET]), measured, serial)


def encode_result(result: CuffResult) -> bytes:
    """As the monitor says it; for twins and tests."""
    if result.systolic is None or result.diastolic is None:
        return f"{result.status:02X}00000000".encode("ascii")
    numbers = (result.systolic - result.diastolic, result.diastolic, result.pulse_rate or 0, result.map or 0)
    return (f"{result.status:02X}" + "".join(f"{number:02X}" for number in numbers)).encode("ascii")
