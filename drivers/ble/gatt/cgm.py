"""CGM Measurement (2AA7): one or several records in a notification; GATT Specification Supplement.

A record: its size, flags, glucose in mg/dL, minutes since the start of the session, then by flags 7 status, 6
calibration and temperature, 5 warnings, 0 trend in mg/dL/min, 1 quality in %, and the E2E-CRC where the device has it.
"""

from __future__ import annotations

import msgspec

from gatepost.drivers.ble.gatt import e2e_crc
from gatepost.drivers.ble.gatt.bit_names import bits, words
from gatepost.drivers.ble.gatt.cgm_session import CgmFeature, CgmSession
from gatepost.drivers.ble.gatt.cursor import ValueCursor
from gatepost.drivers.ble.gatt.glucose import CONTROL_LOCATION, CONTROL_TYPE, TYPES
from gatepost.drivers.ble.gatt.glucose import LOCATIONS as GLUCOSE_LOCATIONS
from gatepost.drivers.ble.gatt.medfloat import Number
from gatepost.drivers.ble.gatt.reading_builder import ReadingBuilder
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import Reading

SHORTEST = 6
LOCATIONS = GLUCOSE_LOCATIONS | {5: "subcutaneous-tissue"}
STATUS = {
    0: "session-stopped",
    1: "battery-low",
    2: "wrong-sensor",
    3: "sensor-fault",
    4: "device-alert",
    5: "general-fault",
}
CAL_TEMP = {
    0: "time-sync-required",
    1: "calibration-not-allowed",
    2: "calibration-recommended",
    3: "calibration-required",
    4: "temperature-too-high",
    5: "temperature-too-low",
    6: "calibration-pending",
}
WARNING = {
    0: "below-patient-low",
    1: "above-patient-high",
    2: "hypoglycaemia",
    3: "hyperglycaemia",
    4: "falling-fast",
    5: "rising-fast",
    6: "below-device-range",
    7: "above-device-range",
}
DOUBTFUL_STATUS, DOUBTFUL_CAL_TEMP = 0b10_1101, 0b11_1000
BELOW_RANGE, ABOVE_RANGE = 0x40, 0x80


class CgmRecord(msgspec.Struct, frozen=True, gc=False):
    """CGM record. `trend` in mg/dL/min, `quality` in %; the three octets of status None where they were not sent."""

    glucose_mg_dl: Number
    time_offset_min: int
    status: int | None = None
    cal_temp: int | None = None
    warning: int | None = None
    trend: Number | None = None
    quality: Number | None = None


def decode(data: bytes, crc: bool | None = None) -> list[CgmRecord]:
    """All records of a notification; one that is wrong spoils them all. `crc`: whether the CGM Feature tells of an
    E2E-CRC; None = unknown, then the sizes tell. FrameError truncated, bad_size or bad_crc."""
    if not data:
        raise FrameError("truncated")
    records = []
    while data:
        size = data[0]
        if size < SHORTEST:
            raise FrameError("bad_size")
        if size > len(data):
            raise FrameError("truncated")
        records.append(_record(data[:size], crc))
        data = data[size:]
    return records


def _record(data: bytes, crc: bool | None) -> CgmRecord:
    flags = data[1]
    length = SHORTEST + sum(octets for bit, octets in ((7, 1), (6, 1), (5, 1), (0, 2), (1, 2)) if flags >> bit & 1)
    plain, checked = length, length + e2e_crc.CRC_SIZE
    if len(data) not in {None: (plain, checked), True: (checked,), False: (plain,)}[crc]:
        raise FrameError("bad_size")
    e2e_crc.check(data, length, crc)
    cursor = ValueCursor(data[2:length])
    return CgmRecord(
        glucose_mg_dl=cursor.sfloat(),
        time_offset_min=cursor.u16(),
        status=cursor.u8() if flags & 0x80 else None,
        cal_temp=cursor.u8() if flags & 0x40 else None,
        warning=cursor.u8() if flags & 0x20 else None,
        trend=cursor.sfloat() if flags & 1 else None,
        quality=cursor.sfloat() if flags & 2 else None,
    )


def reading(
    record: CgmRecord,
    session: CgmSession | None = None,
    feature: CgmFeature | None = None,
    mark: tuple[str, object] | None = None,
) -> Reading:
    """The device's time is the start of the session and the offset; None where the start is unknown."""
    builder = ReadingBuilder("continuous_glucose")
    warning = record.warning or 0
    builder.put("glucose", record.glucose_mg_dl, "mg/dL")
    if feature and (feature.type == CONTROL_TYPE or feature.location == CONTROL_LOCATION):
        builder.leave("glucose", "control-solution")
    elif "glucose" in builder.values and warning & (BELOW_RANGE | ABOVE_RANGE):
        builder.leave("glucose", "over-range" if warning & ABOVE_RANGE else "under-range")
    builder.put("trend", record.trend, "mg/dL/min")
    builder.put("signal_quality", record.quality, "%")
    builder.put("time_offset", record.time_offset_min, "min")
    builder.flag(*bits(record.status or 0, STATUS), *bits(record.cal_temp or 0, CAL_TEMP), *bits(warning, WARNING))
    if feature:
        builder.flag(*words("sample", TYPES, feature.type), *words("location", LOCATIONS, feature.location))
    if (record.status or 0) & DOUBTFUL_STATUS or (record.cal_temp or 0) & DOUBTFUL_CAL_TEMP:
        builder.doubt()
    time = session.start.iso(record.time_offset_min) if session else None
    return builder.reading("glucose", device_time=time, mark=mark)
