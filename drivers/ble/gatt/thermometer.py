"""Temperature Measurement (2A1C), Intermediate Temperature (2A1E), Temperature Type (2A1D) and Measurement Interval
(2A21); GATT Specification Supplement.

Flags: 0 Fahrenheit instead of Celsius, 1 time stamp, 2 type (where it was measured).
"""

from __future__ import annotations

import msgspec

from gatepost.drivers.ble.gatt.bit_names import words
from gatepost.drivers.ble.gatt.cursor import ValueCursor
from gatepost.drivers.ble.gatt.medfloat import Number
from gatepost.drivers.ble.gatt.reading_builder import ReadingBuilder
from gatepost.drivers.ble.gatt.times import DateTime
from gatepost.drivers.reading import Reading

UCUM = {"C": "Cel", "F": "[degF]"}
SITES = {
    1: "armpit",
    2: "body",
    3: "ear",
    4: "finger",
    5: "gastro-intestinal",
    6: "mouth",
    7: "rectum",
    8: "toe",
    9: "tympanum",
}


class TemperatureMeasurement(msgspec.Struct, frozen=True, gc=False):
    """Temperature measurement. `unit` is C or F; `type` a number of SITES."""

    unit: str
    temperature: Number
    timestamp: DateTime | None = None
    type: int | None = None


def decode(data: bytes) -> TemperatureMeasurement:
    """A final or an intermediate temperature."""
    cursor = ValueCursor(data)
    flags = cursor.u8()
    return TemperatureMeasurement(
        unit="F" if flags & 1 else "C",
        temperature=cursor.float32(),
        timestamp=cursor.date_time() if flags & 2 else None,
        type=cursor.u8() if flags & 4 else None,
    )


def decode_type(data: bytes) -> int:
    """The number of a site, for thermometers that measure at one only."""
    return ValueCursor(data).u8()


def decode_interval(data: bytes) -> int:
    """Seconds between two measurements; 0 = only when asked for."""
    return ValueCursor(data).u16()


def reading(
    measurement: TemperatureMeasurement, constant_type: int | None = None, intermediate: bool = False
) -> Reading:
    """The site is the flag `site-...`; an intermediate value is uncertain and flagged."""
    builder = ReadingBuilder("body_temperature")
    builder.put("temperature", measurement.temperature, UCUM[measurement.unit])
    builder.flag(*words("site", SITES, constant_type if measurement.type is None else measurement.type))
    if intermediate:
        builder.flag("intermediate")
        builder.doubt()
    return builder.reading("temperature", device_time=measurement.timestamp.iso() if measurement.timestamp else None)
