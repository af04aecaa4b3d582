"""PLX Spot-check Measurement (2A5E), PLX Continuous Measurement (2A5F), PLX Features (2A60); GATT Specification
Supplement.

Spot-check flags: 0 time stamp, 1 measurement status, 2 device and sensor status (24 bits), 3 pulse amplitude index,
4 the clock is not set. Continuous flags: 0 fast, 1 slow averages, 2 measurement status, 3 device and sensor status,
4 pulse amplitude index.
"""

from __future__ import annotations

import msgspec

from gatepost.drivers.ble.gatt.bit_names import bits
from gatepost.drivers.ble.gatt.cursor import ValueCursor
from gatepost.drivers.ble.gatt.medfloat import Number
from gatepost.drivers.ble.gatt.reading_builder import ReadingBuilder
from gatepost.drivers.ble.gatt.times import DateTime
from gatepost.drivers.reading import FROM_MEMORY, Reading

MEASUREMENT = {
    5: "ongoing",
    6: "early-estimate",
    7: "validated",
    8: "fully-qualified",
    9: FROM_MEMORY,
    10: "demonstration",
    11: "test-data",
    12: "calibrating",
    13: "unavailable",
    14: "questionable",
    15: "invalid",
}
SENSOR = {
    0: "extended-display-update",
    1: "device-fault",
    2: "signal-irregular",
    3: "signal-inadequate",
    4: "signal-poor",
    5: "low-perfusion",
    6: "signal-erratic",
    7: "non-pulsatile",
    8: "pulse-questionable",
    9: "analysing",
    10: "interference",
    11: "sensor-unconnected",
    12: "sensor-unknown",
    13: "sensor-displaced",
    14: "sensor-fault",
    15: "sensor-disconnected",
}
NO_VALUE = ("demonstration", "test-data", "calibrating", "unavailable", "invalid")
NO_VALUE_SENSOR = ("device-fault", "sensor-unconnected", "sensor-fault", "sensor-disconnected")
DOUBTFUL = {"early-estimate", "questionable"} | set(SENSOR.values()) - {"extended-display-update", "analysing"}


class OximetryMeasurement(msgspec.Struct, frozen=True, gc=False):
    """Oximetry measurement: a spot check or a continuous one; `pai` is the pulse amplitude index in %."""

    spo2: Number
    pulse_rate: Number
    timestamp: DateTime | None = None
    spo2_fast: Number | None = None
    pulse_rate_fast: Number | None = None
    spo2_slow: Number | None = None
    pulse_rate_slow: Number | None = None
    measurement_status: int | None = None
    sensor_status: int | None = None
    pai: Number | None = None
    clock_not_set: bool | None = None


class OximeterFeatures(msgspec.Struct, frozen=True, gc=False):
    """Features of an oximeter, and the status bits that it supports."""

    features: int
    measurement_status_support: int | None = None
    sensor_status_support: int | None = None


def decode_spot(data: bytes) -> OximetryMeasurement:
    cursor = ValueCursor(data)
    flags = cursor.u8()
    return OximetryMeasurement(
        spo2=cursor.sfloat(),
        pulse_rate=cursor.sfloat(),
        timestamp=cursor.date_time() if flags & 1 else None,
        measurement_status=cursor.u16() if flags & 2 else None,
        sensor_status=cursor.uint(3) if flags & 4 else None,
        pai=cursor.sfloat() if flags & 8 else None,
        clock_not_set=bool(flags & 0x10),
    )


def decode_continuous(data: bytes) -> OximetryMeasurement:
    cursor = ValueCursor(data)
    flags = cursor.u8()
    return OximetryMeasurement(
        spo2=cursor.sfloat(),
        pulse_rate=cursor.sfloat(),
        spo2_fast=cursor.sfloat() if flags & 1 else None,
        pulse_rate_fast=cursor.sfloat() if flags & 1 else None,
        spo2_slow=cursor.sfloat() if flags & 2 else None,
        pulse_rate_slow=cursor.sfloat() if flags & 2 else None,
        measurement_status=cursor.u16() if flags & 4 else None,
        sensor_status=cursor.uint(3) if flags & 8 else None,
        pai=cursor.sfloat() if flags & 0x10 else None,
    )


def decode_features(data: bytes) -> OximeterFeatures:
    cursor = ValueCursor(data)
    features = cursor.u16()
    return OximeterFeatures(features, cursor.u16() if features & 1 else None, cursor.uint(3) if features & 2 else None)


def reading(oximetry: OximetryMeasurement, mark: tuple[str, object] | None = None) -> Reading:
    """Demonstrations, tests and what a sensor without a finger invents are no values. A time of a clock that was never
    set is none."""
    builder = ReadingBuilder("pulse_oximetry")
    measurement = bits(oximetry.measurement_status or 0, MEASUREMENT)
    sensor = bits(oximetry.sensor_status or 0, SENSOR)
    numbers = (
        ("spo2", oximetry.spo2, "%"),
        ("heart_rate", oximetry.pulse_rate, "/min"),
        ("spo2_fast", oximetry.spo2_fast, "%"),
        ("heart_rate_fast", oximetry.pulse_rate_fast, "/min"),
        ("spo2_slow", oximetry.spo2_slow, "%"),
        ("heart_rate_slow", oximetry.pulse_rate_slow, "/min"),
        ("perfusion_index", oximetry.pai, "%"),
    )
    reason = next((word for word in (*measurement, *sensor) if word in NO_VALUE or word in NO_VALUE_SENSOR), "")
    for name, number, unit in numbers:
        if reason and number is not None:
            builder.leave(name, reason)
        else:
            builder.put(name, number, unit)
    builder.flag(*measurement, *sensor)
    if DOUBTFUL & {*measurement, *sensor}:
        builder.doubt()
    if oximetry.clock_not_set:
        builder.flag("clock-not-set")
    known = oximetry.timestamp if not oximetry.clock_not_set else None
    return builder.reading("spo2", "heart_rate", device_time=known.iso() if known else None, mark=mark)
