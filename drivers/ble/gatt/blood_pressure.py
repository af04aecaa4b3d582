"""Blood Pressure Measurement (2A35), Intermediate Cuff Pressure (2A36), Blood Pressure Feature (2A49); GATT
Specification Supplement.

Flags: 0 kPa instead of mmHg, 1 time stamp, 2 pulse rate, 3 user, 4 measurement status. Both measurements have one
layout; of the three pressures of 2A36 only the first means something.
"""

from __future__ import annotations

import msgspec

from gatepost.drivers.ble.gatt.bit_names import bits
from gatepost.drivers.ble.gatt.cursor import ValueCursor
from gatepost.drivers.ble.gatt.medfloat import MissingNumber, Number
from gatepost.drivers.ble.gatt.reading_builder import ReadingBuilder
from gatepost.drivers.ble.gatt.times import DateTime
from gatepost.drivers.reading import Reading

UCUM = {"mmHg": "mm[Hg]", "kPa": "kPa"}
USER_UNKNOWN = 0xFF
STATUS = {0: "body-movement", 1: "cuff-too-loose", 2: "irregular-pulse", 5: "improper-position"}
RANGES = ("in_range", "above", "below", "reserved")  # of the pulse rate
DOUBTFUL = 0b10_0011  # moved, loose, or held wrong


class BloodPressureStatus(msgspec.Struct, frozen=True, gc=False):
    """Measurement status. `pulse_rate_range` is one of RANGES."""

    raw: int
    body_movement: bool
    cuff_too_loose: bool
    irregular_pulse: bool
    pulse_rate_range: str
    improper_position: bool

    @classmethod
    def of(cls, raw: int) -> BloodPressureStatus:
        return cls(raw, bool(raw & 1), bool(raw & 2), bool(raw & 4), RANGES[raw >> 3 & 3], bool(raw & 0x20))

    @property
    def flags(self) -> tuple[str, ...]:
        pulse = (f"pulse-{self.pulse_rate_range}-range",) if self.pulse_rate_range in ("above", "below") else ()
        return bits(self.raw, STATUS) + pulse


class BloodPressureMeasurement(msgspec.Struct, frozen=True, gc=False):
    """Blood pressure measurement. `unit` is mmHg or kPa; a cuff pressure has None for diastolic and mean."""

    unit: str
    systolic: Number
    diastolic: Number
    map: Number
    timestamp: DateTime | None = None
    pulse_rate: Number | None = None
    user_id: int | None = None
    status: BloodPressureStatus | None = None


class CuffPressure(msgspec.Struct, frozen=True, gc=False):
    """The pressure while the cuff is being filled and emptied."""

    unit: str
    cuff_pressure: Number
    timestamp: DateTime | None = None
    pulse_rate: Number | None = None
    user_id: int | None = None
    status: BloodPressureStatus | None = None


def decode(data: bytes) -> BloodPressureMeasurement:
    """A blood pressure measurement."""
    cursor = ValueCursor(data)
    flags = cursor.u8()
    return BloodPressureMeasurement(
        _unit(flags), cursor.sfloat(), cursor.sfloat(), cursor.sfloat(), *_tail(cursor, flags)
    )


def decode_cuff(data: bytes) -> CuffPressure:
    """An intermediate cuff pressure."""
    cursor = ValueCursor(data)
    flags = cursor.u8()
    pressure, _, _ = cursor.sfloat(), cursor.sfloat(), cursor.sfloat()
    return CuffPressure(_unit(flags), pressure, *_tail(cursor, flags))


def decode_feature(data: bytes) -> int:
    """The sixteen bits of a Blood Pressure Feature."""
    return ValueCursor(data).u16()


def _unit(flags: int) -> str:
    return "kPa" if flags & 1 else "mmHg"


def _tail(
    cursor: ValueCursor, flags: int
) -> tuple[DateTime | None, Number | None, int | None, BloodPressureStatus | None]:
    return (
        cursor.date_time() if flags & 2 else None,
        cursor.sfloat() if flags & 4 else None,
        cursor.u8() if flags & 8 else None,
        BloodPressureStatus.of(cursor.u16()) if flags & 0x10 else None,
    )


def reading(measurement: BloodPressureMeasurement, device_time: str | None = None) -> Reading:
    """kPa stay kPa. A mean of 0 or NaN is what devices send that have none: named in the flags, no doubt about the
    rest. `device_time` is for formats that tell the time otherwise than in `timestamp`."""
    builder = ReadingBuilder("blood_pressure")
    unit = UCUM[measurement.unit]
    builder.put("systolic", measurement.systolic, unit)
    builder.put("diastolic", measurement.diastolic, unit)
    if measurement.map == 0:
        builder.leave("mean", "not-given")
    else:
        builder.put("mean", measurement.map, unit)
    _more(builder, measurement)
    time = measurement.timestamp.iso() if measurement.timestamp else device_time
    missed = ("mean",) if "systolic" not in builder.values and "diastolic" not in builder.values else ()
    return builder.reading("systolic", "diastolic", *missed, device_time=time)


def cuff_reading(measurement: CuffPressure, device_time: str | None = None) -> Reading:
    """Metric cuff_pressure."""
    builder = ReadingBuilder("cuff_pressure")
    builder.put("pressure", measurement.cuff_pressure, UCUM[measurement.unit])
    _more(builder, measurement)
    time = measurement.timestamp.iso() if measurement.timestamp else device_time
    return builder.reading("pressure", device_time=time)


def _more(builder: ReadingBuilder, measurement: BloodPressureMeasurement | CuffPressure) -> None:
    rate = measurement.pulse_rate
    if rate is not None and not isinstance(rate, MissingNumber) and rate == 0:
        builder.leave("heart_rate", "no-signal")
    else:
        builder.put("heart_rate", rate, "/min")
    if measurement.user_id != USER_UNKNOWN:
        builder.put("user_id", measurement.user_id)
    if measurement.status is not None:
        builder.flag(*measurement.status.flags)
        if measurement.status.raw & DOUBTFUL:
            builder.doubt()
