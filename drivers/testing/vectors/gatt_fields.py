"""Structs of the BLE codecs as the fields of vectors: lists for times, numbers for decimals, the words of the vectors
for special values; what a value does not hold is left out."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from gatepost.drivers.ble.gatt.medfloat import MissingNumber
from gatepost.drivers.ble.gatt.reading_builder import plain
from gatepost.drivers.testing.vectors.kinds import Fields

WORDS = {
    MissingNumber.NAN: "NaN",
    MissingNumber.NRES: "NRes",
    MissingNumber.OVER: "+INF",
    MissingNumber.UNDER: "-INF",
    MissingNumber.RESERVED: "RFU",
}


def told(value: Any) -> Any:
    """One value as JSON has it."""
    if isinstance(value, MissingNumber):
        return WORDS[value]
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, (tuple, list)):
        return [told(each) for each in value]
    if isinstance(value, msgspec.Struct):
        return fields(value)
    return value


def fields(struct: msgspec.Struct, **more: Any) -> Fields:
    """The members of a struct that are there, and some more of them under the names of vectors."""
    everything = {name: getattr(struct, name) for name in struct.__struct_fields__} | more
    return {name: told(value) for name, value in everything.items() if value is not None}
