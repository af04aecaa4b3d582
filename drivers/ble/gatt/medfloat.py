"""SFLOAT and FLOAT, the decimal numbers of medical devices (IEEE 11073-20601; GATT Specification Supplement, medfloat16
and medfloat32): a signed exponent in the highest bits, then a signed mantissa, value = mantissa * 10 ** exponent.

The exponent carries the precision that the device claims, so a number stays a Decimal. Five mantissas with exponent 0
stand for no number.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple


class MissingNumber(StrEnum):
    """Reason why there is no number; the words are those of flags."""

    NAN = "nan"
    NRES = "not-at-this-resolution"
    OVER = "over-range"
    UNDER = "under-range"
    RESERVED = "reserved"


Number = Decimal | MissingNumber


class _Format(NamedTuple):
    mantissa: int  # bits
    exponent: int  # bits

    def special(self) -> dict[int, MissingNumber]:
        highest = 1 << self.mantissa - 1
        return {
            highest - 1: MissingNumber.NAN,
            highest: MissingNumber.NRES,
            highest - 2: MissingNumber.OVER,
            highest + 2: MissingNumber.UNDER,
            highest + 1: MissingNumber.RESERVED,
        }


_SFLOAT, _FLOAT = _Format(12, 4), _Format(24, 8)
_SFLOAT_SPECIAL, _FLOAT_SPECIAL = _SFLOAT.special(), _FLOAT.special()


def decode_sfloat(raw: int) -> Number:
    """The sixteen bits of an SFLOAT."""
    return _SFLOAT_SPECIAL.get(raw) or _decode(raw, _SFLOAT)


def decode_float(raw: int) -> Number:
    """The thirty-two bits of a FLOAT."""
    return _FLOAT_SPECIAL.get(raw) or _decode(raw, _FLOAT)


def _signed(raw: int, bits: int) -> int:
    return raw - (1 << bits) if raw >> bits - 1 else raw


def _decode(raw: int, form: _Format) -> Decimal:
    mantissa = _signed(raw & (1 << form.mantissa) - 1, form.mantissa)
    exponent = _signed(raw >> form.mantissa, form.exponent)
    return Decimal((int(mantissa < 0), tuple(map(int, str(abs(mantissa)))), exponent))
