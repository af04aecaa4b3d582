"""Weight Measurement (2A9D) and Weight Scale Feature (2A9E); GATT Specification Supplement.

Flags: 0 imperial (lb, in) instead of SI (kg, m), 1 time stamp, 2 user, 3 BMI and height. The resolutions of the feature
say how finely the scale shows, nothing about how weights are sent.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from gatepost.drivers.ble.gatt.cursor import ValueCursor
from gatepost.drivers.ble.gatt.reading_builder import ReadingBuilder
from gatepost.drivers.ble.gatt.times import DateTime
from gatepost.drivers.reading import Reading

UCUM = {"kg": "kg", "lb": "[lb_av]", "m": "m", "in": "[in_i]"}
MASS_STEP = {"kg": Decimal("0.005"), "lb": Decimal("0.01")}
HEIGHT_STEP = {"m": Decimal("0.001"), "in": Decimal("0.1")}
TENTH = Decimal("0.1")
UNSUCCESSFUL = 0xFFFF
USER_UNKNOWN = 0xFF


class WeightMeasurement(msgspec.Struct, frozen=True, gc=False):
    """Weight measurement. `weight` None = the measurement was unsuccessful; `unit` kg or lb, `height_unit` m or in."""

    unit: str
    weight: Decimal | None
    timestamp: DateTime | None = None
    user_id: int | None = None
    bmi: Decimal | None = None
    height: Decimal | None = None
    height_unit: str | None = None


class WeightScaleFeature(msgspec.Struct, frozen=True, gc=False):
    """Features of a scale; resolutions by their numbers in the specification, 0 = not said."""

    features: int
    mass_resolution: int
    height_resolution: int


def decode(data: bytes) -> WeightMeasurement:
    cursor = ValueCursor(data)
    flags = cursor.u8()
    unit, length = ("lb", "in") if flags & 1 else ("kg", "m")
    raw = cursor.u16()
    time = cursor.date_time() if flags & 2 else None
    user = cursor.u8() if flags & 4 else None
    bmi = height = None
    if flags & 8:
        bmi, height = cursor.u16() * TENTH, cursor.u16() * HEIGHT_STEP[length]
    mass = None if raw == UNSUCCESSFUL else raw * MASS_STEP[unit]
    return WeightMeasurement(unit, mass, time, user, bmi, height, length if flags & 8 else None)


def decode_feature(data: bytes) -> WeightScaleFeature:
    raw = ValueCursor(data).uint(4)
    return WeightScaleFeature(raw, raw >> 3 & 0x0F, raw >> 7 & 0x07)


def reading(measurement: WeightMeasurement) -> Reading:
    """An unsuccessful measurement has no weight, and no BMI that would rest on one."""
    builder = ReadingBuilder("body_weight")
    if measurement.weight is None:
        builder.leave("weight", "unsuccessful")
    else:
        builder.put("weight", measurement.weight, UCUM[measurement.unit])
        builder.put("bmi", measurement.bmi, "kg/m2")
    if measurement.height_unit:
        builder.put("height", measurement.height, UCUM[measurement.height_unit])
    if measurement.user_id != USER_UNKNOWN:
        builder.put("user_id", measurement.user_id)
    return builder.reading("weight", device_time=measurement.timestamp.iso() if measurement.timestamp else None)
