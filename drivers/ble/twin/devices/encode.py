"""Values as devices encode them (GATT Specification Supplement; IEEE 11073-20601 for SFLOAT and FLOAT).

Written apart from the decoders of drivers/ble/gatt on purpose: two hands that agree prove more than one.
"""

from __future__ import annotations

import struct
from datetime import datetime
from decimal import Decimal

# Numbers that are none: NaN, not at this resolution, beyond the range.
SPECIAL = {"nan": 0x7FF, "nres": 0x800, "over": 0x7FE, "under": 0x802}


def u16(number: int) -> bytes:
    return struct.pack("<H", number)


def sfloat(number: str | Decimal | int) -> bytes:
    """`"36.6"` with just these digits, or one of SPECIAL."""
    if number in SPECIAL:
        return u16(SPECIAL[str(number)])
    mantissa, exponent = _split(number)
    if not -2045 <= mantissa <= 2045 or not -8 <= exponent <= 7:
        raise ValueError(f"{number} is no SFLOAT")
    return u16((exponent & 0xF) << 12 | mantissa & 0xFFF)


def medfloat(number: str | Decimal | int) -> bytes:
    """A 32-bit FLOAT with just these digits, or one of SPECIAL."""
    if number in SPECIAL:
        low = SPECIAL[str(number)]
        return struct.pack("<I", {0x7FF: 0x7FFFFF, 0x800: 0x800000, 0x7FE: 0x7FFFFE, 0x802: 0x800002}[low])
    mantissa, exponent = _split(number)
    if not -8388605 <= mantissa <= 8388605 or not -128 <= exponent <= 127:
        raise ValueError(f"{number} is no FLOAT")
    return struct.pack("<I", (exponent & 0xFF) << 24 | mantissa & 0xFFFFFF)


def _split(number: str | Decimal | int) -> tuple[int, int]:
    sign, digits, exponent = Decimal(number).as_tuple()
    assert isinstance(exponent, int)
    mantissa = int("".join(map(str, digits)))
    return (-mantissa if sign else mantissa), exponent


def date_time(when: datetime) -> bytes:
    """Date Time, seven octets."""
    return struct.pack("<H5B", when.year, when.month, when.day, when.hour, when.minute, when.second)


def read_date_time(data: bytes) -> datetime:
    """ValueError where it is no date."""
    if len(data) < 7:
        raise ValueError("seven octets are needed")
    return datetime(*struct.unpack("<H5B", data[:7]))  # noqa: DTZ001  # devices know no zone


def current_time(when: datetime) -> bytes:
    """Current Time, ten octets."""
    return date_time(when) + bytes((when.isoweekday(), when.microsecond * 256 // 1_000_000, 0))


def crc(data: bytes) -> bytes:
    """E2E-CRC: polynomial x16+x12+x5+1, low bit first, begun with ones (CGM Service 1.0.2, 3.11)."""
    register = 0xFFFF
    for octet in data:
        low = (octet ^ register) & 0xFF
        low ^= (low << 4) & 0xFF
        register = (register >> 8) ^ (low << 8) ^ (low << 3) ^ (low >> 4)
    return u16(register & 0xFFFF)
