"""Enhanced Blood Pressure Measurement (2B34) and Enhanced Intermediate Cuff Pressure (2B35); GATT Specification
Supplement.

As blood_pressure.py, but times are seconds since 1900 (flag 6: since 2000), flag 5 adds the time that the user saw, and
2B35 holds one pressure only.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from gatepost.drivers.ble.gatt.blood_pressure import (
    BloodPressureMeasurement,
    BloodPressureStatus,
    CuffPressure,
    cuff_reading,
    reading,
)
from gatepost.drivers.ble.gatt.cursor import ValueCursor
from gatepost.drivers.reading import Reading

EPOCHS = (datetime(1900, 1, 1), datetime(2000, 1, 1))  # noqa: DTZ001  # the device's wall time


class EnhancedBloodPressure(msgspec.Struct, frozen=True, gc=False):
    """A measurement, and its times as ISO 8601 without a zone."""

    measured: BloodPressureMeasurement | CuffPressure
    time: str | None = None
    user_facing_time: str | None = None

    def reading(self) -> Reading:
        """The time that the user saw is the device's wall time; else the time stamp."""
        time = self.user_facing_time or self.time
        if isinstance(self.measured, BloodPressureMeasurement):
            return reading(self.measured, time)
        return cuff_reading(self.measured, time)


def decode(data: bytes) -> EnhancedBloodPressure:
    """An enhanced blood pressure measurement."""
    return _decode(data, pressures=3)


def decode_cuff(data: bytes) -> EnhancedBloodPressure:
    """An enhanced intermediate cuff pressure."""
    return _decode(data, pressures=1)


def _decode(data: bytes, pressures: int) -> EnhancedBloodPressure:
    cursor = ValueCursor(data)
    flags = cursor.u8()
    unit = "kPa" if flags & 1 else "mmHg"
    numbers = [cursor.sfloat() for _ in range(pressures)]
    epoch = EPOCHS[flags >> 6 & 1]
    time = _time(epoch, cursor) if flags & 2 else None
    rate = cursor.sfloat() if flags & 4 else None
    user = cursor.u8() if flags & 8 else None
    status = BloodPressureStatus.of(cursor.u16()) if flags & 0x10 else None
    facing = _time(epoch, cursor) if flags & 0x20 else None
    if pressures == 1:
        return EnhancedBloodPressure(CuffPressure(unit, numbers[0], None, rate, user, status), time, facing)
    return EnhancedBloodPressure(
        BloodPressureMeasurement(unit, numbers[0], numbers[1], numbers[2], None, rate, user, status), time, facing
    )


def _time(epoch: datetime, cursor: ValueCursor) -> str | None:
    seconds = cursor.uint(4)
    return (epoch + timedelta(seconds=seconds)).isoformat() if seconds else None
