"""Gathers what becomes one reading: numbers under their names, and for what is missing the reason."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from gatepost.drivers.ble.gatt.medfloat import MissingNumber
from gatepost.drivers.reading import BAD, GOOD, UNCERTAIN, Reading

EXACT = 1 << 53  # above it a whole number goes as a float, as JSON's readers have it


def plain(number: Decimal | int) -> int | float:
    """As JSON has it: whole where the device claims no decimals."""
    if isinstance(number, Decimal):
        exponent = number.as_tuple().exponent
        if (isinstance(exponent, int) and exponent < 0) or abs(number) > EXACT:
            return float(number)
    return int(number)


class ReadingBuilder:
    """Builder of one reading. `put` what was measured, `leave` what must not be reported, `flag` what else is to be
    known."""

    def __init__(self, metric: str) -> None:
        self.metric = metric
        self.values: dict[str, Any] = {}
        self.units: dict[str, str] = {}
        self.flags: list[str] = []
        self.quality = GOOD

    def put(self, name: str, number: Decimal | int | MissingNumber | None, unit: str = "") -> None:
        """None = the device does not say anything about it."""
        if number is None:
            return
        if isinstance(number, MissingNumber):
            self.leave(name, number)
            return
        self.values[name] = plain(number)
        if unit:
            self.units[name] = unit

    def leave(self, name: str, reason: str) -> None:
        self.values.pop(name, None)
        self.units.pop(name, None)
        self.flags.append(f"{name}:{reason}")

    def flag(self, *words: str) -> None:
        self.flags += words

    def doubt(self) -> None:
        """The device itself says that this may not be right."""
        if self.quality == GOOD:
            self.quality = UNCERTAIN

    def reading(self, *wanted: str, device_time: str | None = None, mark: tuple[str, Any] | None = None) -> Reading:
        """`wanted`: the values that it is about. Without any of them it is bad, without some of them uncertain."""
        there = [name for name in wanted if name in self.values]
        quality = self.quality
        if not there:
            quality = BAD
        elif len(there) < len(wanted) and quality == GOOD:
            quality = UNCERTAIN
        flags = tuple(dict.fromkeys(self.flags))
        return Reading(self.metric, self.values, self.units, flags, quality, device_time, bookmark=mark)
