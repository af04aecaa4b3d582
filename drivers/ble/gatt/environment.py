"""Characteristics of the Environmental Sensing service: one number each (GATT Specification Supplement).

Concentrations are sent in kg/m3 and reported in ug/m3, exact powers of ten. Several instances of one characteristic may
stand side by side; their handles tell them apart.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import msgspec

from gatepost.drivers.ble.gatt.cursor import ValueCursor
from gatepost.drivers.ble.gatt.medfloat import MissingNumber
from gatepost.drivers.ble.gatt.reading_builder import ReadingBuilder
from gatepost.drivers.reading import Reading

NOT_AVAILABLE = "not-available"  # the sensor itself says that it has no value

SFLOAT = 0  # octets of the format that is no whole number


class CharacteristicKind(NamedTuple):
    """Encoding of a characteristic: `octets` (negative: signed), number * 10 ** power in `unit` (UCUM); `unknown` and
    `more` (so much, or more) are the raw numbers that mean that."""

    name: str
    octets: int
    power: int = 0
    unit: str = ""
    unknown: int | None = None
    more: int | None = None


MICROGRAMS = "ug/m3"

KINDS = {
    0x2A2C: CharacteristicKind("magnetic_declination", 2, -2, "deg"),
    0x2A6C: CharacteristicKind("elevation", -3, -2, "m"),
    0x2A6D: CharacteristicKind("pressure", 4, -1, "Pa"),
    0x2A6E: CharacteristicKind("temperature", -2, -2, "Cel", -0x8000),
    0x2A6F: CharacteristicKind("humidity", 2, -2, "%", 0xFFFF),
    0x2A70: CharacteristicKind("wind_speed", 2, -2, "m/s"),
    0x2A71: CharacteristicKind("wind_direction", 2, -2, "deg"),
    0x2A72: CharacteristicKind("apparent_wind_speed", 2, -2, "m/s"),
    0x2A73: CharacteristicKind("apparent_wind_direction", 2, -2, "deg"),
    0x2A74: CharacteristicKind("gust_factor", 1, -1),
    0x2A75: CharacteristicKind("pollen", 3, 0, "/m3"),
    0x2A76: CharacteristicKind("uv_index", 1),
    0x2A77: CharacteristicKind("irradiance", 2, -1, "W/m2"),
    0x2A78: CharacteristicKind("rainfall", 2, 0, "mm"),
    0x2A79: CharacteristicKind("wind_chill", -1, 0, "Cel"),
    0x2A7A: CharacteristicKind("heat_index", -1, 0, "Cel"),
    0x2A7B: CharacteristicKind("dew_point", -1, 0, "Cel"),
    0x2AA3: CharacteristicKind("pressure_trend", 1),
    0x2AFB: CharacteristicKind("illuminance", 3, -2, "lx", 0xFFFFFF),
    0x2B8C: CharacteristicKind("co2", 2, 0, "[ppm]", 0xFFFF, 0xFFFE),
    0x2BCF: CharacteristicKind("ammonia", SFLOAT, 9, MICROGRAMS),
    0x2BD0: CharacteristicKind("carbon_monoxide", SFLOAT, 9, MICROGRAMS),
    0x2BD1: CharacteristicKind("methane", SFLOAT, 0, "[ppb]"),
    0x2BD2: CharacteristicKind("nitrogen_dioxide", SFLOAT, 9, MICROGRAMS),
    0x2BD3: CharacteristicKind("non_methane_voc", SFLOAT, 9, MICROGRAMS),
    0x2BD4: CharacteristicKind("ozone", SFLOAT, 9, MICROGRAMS),
    0x2BD5: CharacteristicKind("pm1", SFLOAT, 9, MICROGRAMS),
    0x2BD6: CharacteristicKind("pm25", SFLOAT, 9, MICROGRAMS),
    0x2BD7: CharacteristicKind("pm10", SFLOAT, 9, MICROGRAMS),
    0x2BD8: CharacteristicKind("sulfur_dioxide", SFLOAT, 9, MICROGRAMS),
    0x2BD9: CharacteristicKind("sulfur_hexafluoride", SFLOAT, 9, MICROGRAMS),
    0x2BE4: CharacteristicKind("noise", 1, 0, "dB[SPL]", 0xFF, 0xFE),
    0x2BE7: CharacteristicKind("tvoc", 2, 0, "[ppb]", 0xFFFF, 0xFFFE),
}
PRESSURE_TREND = 0x2AA3
TRENDS = (
    "unknown",
    "continuously-falling",
    "continuously-rising",
    "falling-then-steady",
    "rising-then-steady",
    "falling-before-a-lesser-rise",
    "falling-before-a-greater-rise",
    "rising-before-a-greater-fall",
    "rising-before-a-lesser-fall",
    "steady",
)


class SensedValue(msgspec.Struct, frozen=True, gc=False):
    """Value of a sensor. `number` as it was sent, in the unit of the specification before any power of ten for
    reporting; a Missing when the sensor has none. `or_more`: it is beyond what the format can tell."""

    short: int
    number: Decimal | MissingNumber
    or_more: bool = False

    @property
    def kind(self) -> CharacteristicKind:
        return KINDS[self.short]


def decode(short: int, data: bytes) -> SensedValue:
    """`short`: a number of KINDS."""
    kind = KINDS[short]
    cursor = ValueCursor(data)
    if kind.octets == SFLOAT:
        return SensedValue(short, cursor.sfloat())
    raw = cursor.uint(kind.octets) if kind.octets > 0 else cursor.sint(-kind.octets)
    if raw == kind.unknown:
        return SensedValue(short, MissingNumber.NAN)
    return SensedValue(short, Decimal(raw).scaleb(kind.power), raw == kind.more)


def add(builder: ReadingBuilder, sensed: SensedValue) -> None:
    """One value of a reading; several characteristics may go into one."""
    kind = sensed.kind
    if sensed.short == PRESSURE_TREND and not isinstance(sensed.number, MissingNumber):
        if sensed.number in range(1, len(TRENDS)):
            builder.values[kind.name] = TRENDS[int(sensed.number)]
        else:
            builder.leave(kind.name, NOT_AVAILABLE)
    elif sensed.or_more:
        builder.leave(kind.name, MissingNumber.OVER)
    elif sensed.number is MissingNumber.NAN and kind.octets != SFLOAT:
        builder.leave(kind.name, NOT_AVAILABLE)
    elif kind.octets == SFLOAT and not isinstance(sensed.number, MissingNumber):
        builder.put(kind.name, sensed.number.scaleb(kind.power), kind.unit)
    else:
        builder.put(kind.name, sensed.number, kind.unit)


def reading(*sensed: SensedValue) -> Reading:
    """Reading of values that were read together, one for each characteristic."""
    builder = ReadingBuilder("environment")
    for each in sensed:
        add(builder, each)
    return builder.reading(*(each.kind.name for each in sensed))
