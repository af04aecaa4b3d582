"""Heart Rate Measurement (2A37) and Body Sensor Location (2A38); GATT Specification Supplement.

Flags: 0 the rate has sixteen bits, 1 skin contact (only where 2 says that it is watched), 3 energy in kJ, 4 RR
intervals in 1/1024 s, oldest first, to the end.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from gatepost.drivers.ble.gatt.bit_names import words
from gatepost.drivers.ble.gatt.cursor import ValueCursor
from gatepost.drivers.ble.gatt.reading_builder import ReadingBuilder
from gatepost.drivers.reading import Reading

LOCATIONS = {0: "other", 1: "chest", 2: "wrist", 3: "finger", 4: "hand", 5: "ear-lobe", 6: "foot"}
ENERGY_FULL = 0xFFFF  # the counter stays there until it is reset
_RR_PLACES = Decimal("0.0001")


class HeartRateMeasurement(msgspec.Struct, frozen=True, gc=False):
    """Heart rate measurement. `contact` None = the sensor does not watch it; `rr_1024` in 1/1024 s."""

    heart_rate: int
    contact: bool | None = None
    energy_kj: int | None = None
    rr_1024: tuple[int, ...] | None = None

    @property
    def rr_ms(self) -> list[float]:
        """In ms, to four places: all that sixteen bits hold."""
        return [float((Decimal(rr) * 1000 / 1024).quantize(_RR_PLACES)) for rr in self.rr_1024 or ()]


def decode(data: bytes) -> HeartRateMeasurement:
    """Half an interval at the end is no interval."""
    cursor = ValueCursor(data)
    flags = cursor.u8()
    rate = cursor.u16() if flags & 1 else cursor.u8()
    contact = bool(flags & 2) if flags & 4 else None
    energy = cursor.u16() if flags & 8 else None
    intervals = tuple(cursor.u16() for _ in range(cursor.left // 2)) if flags & 0x10 else None
    return HeartRateMeasurement(rate, contact, energy, intervals)


def decode_location(data: bytes) -> int:
    """The number of a body sensor location; LOCATIONS has the words."""
    return ValueCursor(data).u8()


def reading(measured: HeartRateMeasurement, location: int | None = None) -> Reading:
    """Without contact there is neither a rate nor an interval, whatever the strap still sends."""
    builder = ReadingBuilder("heart_rate")
    lost = measured.contact is False
    if lost:
        builder.leave("heart_rate", "no-contact")
    elif measured.heart_rate == 0:
        builder.leave("heart_rate", "no-signal")
    else:
        builder.put("heart_rate", measured.heart_rate, "/min")
    if measured.energy_kj == ENERGY_FULL:
        builder.leave("energy_expended", "over-range")
    else:
        builder.put("energy_expended", measured.energy_kj, "kJ")
    if measured.rr_1024 and lost:
        builder.leave("rr_intervals", "no-contact")
    elif measured.rr_1024:
        builder.values["rr_intervals"] = measured.rr_ms
        builder.units["rr_intervals"] = "ms"
    builder.flag(*words("location", LOCATIONS, location))
    return builder.reading("heart_rate")
