"""DS18B20: the nine octets of its scratchpad (data sheet, memory), and the text that Linux makes of them (`w1_slave`).

Octets: temperature in sixteenths of a degree (2, low first, signed), two alarm limits, configuration (bits 6 and 5: 9
to 12 bits of resolution), FF, reserved, 10, CRC-8. Linux: two lines, `... : crc=57 YES` and `... t=23125`.
"""

from __future__ import annotations

import re

import msgspec

from gatepost.drivers.checksums import FrameError, crc8_maxim

SIZE = 9
POWER_ON = 85.0  # what it holds before it has measured; also a temperature
_OCTETS = r"((?:[0-9A-Fa-f]{2} ){9})"
_FIRST = re.compile(rf"{_OCTETS}: crc=([0-9A-Fa-f]{{2}}) (YES|NO)")
_SECOND = re.compile(rf"{_OCTETS}t=(-?\d{{1,7}})", re.ASCII)


class Scratchpad(msgspec.Struct, frozen=True, gc=False):
    """`power_on`: the value that it has before its first measurement."""

    temperature_c: float
    resolution_bits: int
    power_on: bool


def decode_scratchpad(octets: bytes) -> Scratchpad:
    """FrameError truncated, bad_length, bad_crc, all_zero. Bits below the resolution do not count."""
    if len(octets) != SIZE:
        raise FrameError("truncated" if len(octets) < SIZE else "bad_length")
    if not any(octets):
        raise FrameError("all_zero")
    if crc8_maxim(octets[:8]) != octets[8]:
        raise FrameError("bad_crc")
    bits = 9 + (octets[4] >> 5 & 3)
    sixteenths = int.from_bytes(octets[:2], "little", signed=True) >> 12 - bits << 12 - bits
    return Scratchpad(sixteenths / 16, bits, sixteenths / 16 == POWER_ON)


def decode_w1_slave(text: str) -> float:
    """Degrees Celsius, to a thousandth as the kernel says; FrameError truncated, bad_crc, all_zero, bad_format."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        raise FrameError("truncated")
    first, second = _FIRST.fullmatch(lines[0]), _SECOND.fullmatch(lines[1])
    if first is None or len(lines) > 2:
        raise FrameError("bad_format")
    if not any(bytes.fromhex(first[1])):
        raise FrameError("all_zero")
    if first[3] != "YES":
        raise FrameError("bad_crc")
    if second is None:
        raise FrameError("bad_format")
    return int(second[2]) / 1000


def encode_w1_slave(temperature: float) -> str:
    """The file of a sensor; for twins and tests."""
    low = (round(temperature * 16) & 0xFFFF).to_bytes(2, "little")
    octets = low + bytes((0x4B, 0x46, 0x7F, 0xFF, 0x0C, 0x10))
    crc = crc8_maxim(octets)
    shown = (octets + bytes((crc,))).hex(" ")
    return f"{shown} : crc={crc:02x} YES\n{shown} t={round(temperature * 16) * 1000 // 16}\n"
