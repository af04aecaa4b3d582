"""Modbus registers -> numbers: sixteen bits each, high octet first on the wire; two of them in one of four orders."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from decimal import Decimal

SIZES = {"s16": 1, "u16": 1, "s32": 2, "u32": 2, "f32": 2, "bit": 1}  # registers, or bits for functions 1 and 2
EXACT = 2**53  # whole numbers beyond are not exact for everybody
_FORMS = {"s16": ">h", "u16": ">H", "s32": ">i", "u32": ">I", "f32": ">f"}


def octets(registers: Sequence[int], words: str) -> bytes:
    """Registers as octets from high to low; `words` says how the device orders them: ABCD, CDAB, BADC or DCBA."""
    if words in ("CDAB", "DCBA"):
        registers = registers[::-1]
    swapped = words in ("BADC", "DCBA")
    return b"".join(register.to_bytes(2, "little" if swapped else "big") for register in registers)


def raw_number(kind: str, registers: Sequence[int], words: str) -> int | float:
    """The number in the registers of a value; an f32 may be NaN or infinite."""
    data = octets(registers, words)
    number: int | float = struct.unpack(_FORMS[kind], data)[0]
    return shortest(number, data) if isinstance(number, float) and math.isfinite(number) else number


def shortest(number: float, data: bytes) -> float:
    """The shortest decimal that is this single precision number: 24.1, not 24.100000381."""
    for digits in range(1, 9):
        short = float(f"{number:.{digits}g}")
        try:
            if struct.pack(">f", short) == data:
                return short
        except OverflowError:  # rounded up beyond the largest
            continue
    return number


def scaled(number: int | float, scale: float, offset: float) -> int | float:
    """number * scale + offset in decimal arithmetic: 241 * 0.1 is 24.1. Infinite when it does not fit."""
    if scale == 1 and offset == 0:
        return number
    result = Decimal(repr(number)) * Decimal(repr(scale)) + Decimal(repr(offset))
    if isinstance(number, int) and scale == int(scale) and offset == int(offset) and abs(result) < EXACT:
        return int(result)
    return float(result)


def spellings(kind: str, number: int | float, registers: Sequence[int], words: str) -> frozenset[int | float]:
    """What a value may be called where a manual lists values that mean nothing: as it reads, and as bare bits."""
    if kind == "f32":
        return frozenset((number,))
    return frozenset((number, int.from_bytes(octets(registers, words), "big")))
