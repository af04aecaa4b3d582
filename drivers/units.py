"""Exact conversions between units (UCUM), in decimals. Nothing in the gateway converts by itself: who shows or exports
a value in another unit asks for it here and says so.

Factors are those of the definitions: 1 mm[Hg] is 133.322387415 Pa, 1 [lb_av] is 0.45359237 kg, 1 [in_i] is 2.54 cm. One
mole of glucose is 180.156 g.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction

# unit -> (dimension, how much of the dimension's first unit it is)
_LINEAR: dict[str, tuple[str, Fraction]] = {
    "Pa": ("pressure", Fraction(1)),
    "hPa": ("pressure", Fraction(100)),
    "kPa": ("pressure", Fraction(1000)),
    "mm[Hg]": ("pressure", Fraction("133.322387415")),
    "kg": ("mass", Fraction(1)),
    "g": ("mass", Fraction(1, 1000)),
    "mg": ("mass", Fraction(1, 1_000_000)),
    "[lb_av]": ("mass", Fraction("0.45359237")),
    "[oz_av]": ("mass", Fraction("0.45359237") / 16),
    "m": ("length", Fraction(1)),
    "cm": ("length", Fraction(1, 100)),
    "mm": ("length", Fraction(1, 1000)),
    "[in_i]": ("length", Fraction("0.0254")),
    "[ft_i]": ("length", Fraction("0.3048")),
    "J": ("energy", Fraction(1)),
    "kJ": ("energy", Fraction(1000)),
    "kcal": ("energy", Fraction(4184)),
    "V": ("voltage", Fraction(1)),
    "mV": ("voltage", Fraction(1, 1000)),
    "uV": ("voltage", Fraction(1, 1_000_000)),
    "m/s2": ("acceleration", Fraction(1)),
    "[g]": ("acceleration", Fraction("9.80665")),
    "m[g]": ("acceleration", Fraction("0.00980665")),
    "s": ("time", Fraction(1)),
    "ms": ("time", Fraction(1, 1000)),
    "min": ("time", Fraction(60)),
    "h": ("time", Fraction(3600)),
}
_GLUCOSE = {  # -> mg/dL
    "mg/dL": Fraction(1),
    "mmol/L": Fraction("18.0156"),
    "kg/L": Fraction(100_000),
    "mol/L": Fraction("18_015.6"),
}
_TO_CELSIUS: dict[str, Callable[[Fraction], Fraction]] = {
    "Cel": lambda value: value,
    "[degF]": lambda value: (value - 32) * 5 / 9,
    "K": lambda value: value - Fraction("273.15"),
}
_FROM_CELSIUS: dict[str, Callable[[Fraction], Fraction]] = {
    "Cel": lambda value: value,
    "[degF]": lambda value: value * 9 / 5 + 32,
    "K": lambda value: value + Fraction("273.15"),
}
DIGITS = 28  # of a result that has no end


class NotComparable(ValueError):
    """There is no way from one unit to the other."""


def convert(value: Decimal | int | float | str, unit: str, to: str) -> Decimal:
    """The same quantity in another unit; a float counts as the decimal that it is written as. NotComparable."""
    exact = _exact(value)
    if unit in _TO_CELSIUS and to in _FROM_CELSIUS:
        return _decimal(_FROM_CELSIUS[to](_TO_CELSIUS[unit](exact)))
    ours, theirs = _LINEAR.get(unit), _LINEAR.get(to)
    if ours is None or theirs is None or ours[0] != theirs[0]:
        raise NotComparable(f"{unit} is no other unit for {to}")
    return _decimal(exact * ours[1] / theirs[1])


def _exact(value: Decimal | int | float | str) -> Fraction:
    return Fraction(str(value) if isinstance(value, float) else value)


def _decimal(value: Fraction) -> Decimal:
    with localcontext() as context:
        context.prec = DIGITS
        return Decimal(value.numerator) / Decimal(value.denominator)
