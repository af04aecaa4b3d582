"""Glucose Measurement (2A18) and Glucose Feature (2A51); GATT Specification Supplement. Its context is in
glucose_context.py.

Flags: 0 time offset, 1 concentration with type and location, 2 mol/L instead of kg/L, 3 status, 4 a context follows.
Concentrations are reported in mg/dL and mmol/L, exact powers of ten of what is sent.
"""

from __future__ import annotations

import msgspec

from gatepost.drivers.ble.gatt.bit_names import bits, words
from gatepost.drivers.ble.gatt.cursor import ValueCursor
from gatepost.drivers.ble.gatt.medfloat import MissingNumber, Number
from gatepost.drivers.ble.gatt.reading_builder import ReadingBuilder
from gatepost.drivers.ble.gatt.times import DateTime

TYPES = {
    1: "capillary-whole-blood",
    2: "capillary-plasma",
    3: "venous-whole-blood",
    4: "venous-plasma",
    5: "arterial-whole-blood",
    6: "arterial-plasma",
    7: "undetermined-whole-blood",
    8: "undetermined-plasma",
    9: "interstitial-fluid",
    10: "control-solution",
}
LOCATIONS = {1: "finger", 2: "alternate-site", 3: "earlobe", 4: "control-solution"}
CONTROL_TYPE, CONTROL_LOCATION = 10, 4
STATUS = {
    0: "battery-low",
    1: "sensor-fault",
    2: "sample-too-small",
    3: "strip-insertion-error",
    4: "wrong-strip",
    5: "result-above-range",
    6: "result-below-range",
    7: "temperature-too-high",
    8: "temperature-too-low",
    9: "strip-pulled-early",
    10: "general-fault",
    11: "time-fault",
}
ABOVE, BELOW = 1 << 5, 1 << 6
DOUBTFUL = 0b111_1001_1110  # the meter says that the measurement itself went wrong
OVERRUN, UNDERRUN = 0x7FFF, -0x8000  # of the time offset


class GlucoseMeasurement(msgspec.Struct, frozen=True, gc=False):
    """Glucose measurement. `unit` is kg/L or mol/L; `time_offset` in minutes, or why there is none."""

    sequence: int
    base_time: DateTime
    context_follows: bool
    time_offset: int | MissingNumber | None = None
    unit: str | None = None
    concentration: Number | None = None
    type: int | None = None
    location: int | None = None
    status: int | None = None

    @property
    def mg_dl(self) -> Number | None:
        return scaled(self.concentration, 5) if self.unit == "kg/L" else None

    @property
    def mmol_l(self) -> Number | None:
        return scaled(self.concentration, 3) if self.unit == "mol/L" else None

    @property
    def device_time(self) -> str | None:
        """ISO 8601; None when it is unknown."""
        if isinstance(self.time_offset, MissingNumber):
            return None
        return self.base_time.iso(self.time_offset or 0)

    @property
    def control_solution(self) -> bool:
        return self.type == CONTROL_TYPE or self.location == CONTROL_LOCATION


def scaled(number: Number | None, power: int) -> Number | None:
    """Times a power of ten, exactly."""
    return number if number is None or isinstance(number, MissingNumber) else number.scaleb(power)


def decode(data: bytes) -> GlucoseMeasurement:
    cursor = ValueCursor(data)
    flags = cursor.u8()
    sequence = cursor.u16()
    base = cursor.date_time()
    offset: int | MissingNumber | None = None
    if flags & 1:
        minutes = cursor.sint(2)
        offset = {OVERRUN: MissingNumber.OVER, UNDERRUN: MissingNumber.UNDER}.get(minutes, minutes)
    unit = concentration = kind = location = None
    if flags & 2:
        unit = "mol/L" if flags & 4 else "kg/L"
        concentration = cursor.sfloat()
        nibbles = cursor.u8()
        kind, location = nibbles & 0x0F, nibbles >> 4
    status = cursor.u16() if flags & 8 else None
    return GlucoseMeasurement(sequence, base, bool(flags & 0x10), offset, unit, concentration, kind, location, status)


def decode_feature(data: bytes) -> int:
    """The sixteen bits of a Glucose Feature."""
    return ValueCursor(data).u16()


def measured(measurement: GlucoseMeasurement, metric: str = "glucose") -> ReadingBuilder:
    """All that one measurement says, open for its context."""
    builder = ReadingBuilder(metric)
    if measurement.unit == "kg/L":
        builder.put("glucose", measurement.mg_dl, "mg/dL")
    elif measurement.unit:
        builder.put("glucose", measurement.mmol_l, "mmol/L")
    else:
        builder.leave("glucose", "not-measured")
    status = measurement.status or 0
    if measurement.control_solution:
        builder.leave("glucose", "control-solution")
    elif status & ABOVE and "glucose" in builder.values:
        builder.leave("glucose", "over-range")
    elif status & BELOW and "glucose" in builder.values:
        builder.leave("glucose", "under-range")
    if status & DOUBTFUL:
        builder.doubt()
    builder.flag(*words("sample", TYPES, measurement.type), *words("location", LOCATIONS, measurement.location))
    builder.flag(*bits(status, STATUS))
    if isinstance(measurement.time_offset, MissingNumber):
        builder.flag(f"device-time:{measurement.time_offset}")
    builder.put("sequence_number", measurement.sequence)
    return builder
