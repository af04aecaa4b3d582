"""CGM session values: Feature (2AA8), Status (2AA9), Session Start Time (2AAA), Session Run Time (2AAB),
Specific Ops Control Point (2AAC); GATT Specification Supplement.

`crc` says whether the device adds an E2E-CRC; None = unknown, then the length tells.
"""

from __future__ import annotations

import msgspec

from gatepost.drivers.ble.gatt import e2e_crc
from gatepost.drivers.ble.gatt.cursor import ValueCursor
from gatepost.drivers.ble.gatt.medfloat import Number
from gatepost.drivers.ble.gatt.times import DST, ZONE_STEP, ZONES, DateTime
from gatepost.drivers.checksums import FrameError

E2E_CRC_BIT = 12
NO_CRC = 0xFFFF


class CgmFeature(msgspec.Struct, frozen=True, gc=False):
    """Features of a sensor. `type` and `location` as in glucose.py."""

    features: int
    type: int
    location: int
    e2e_crc: bool


class CgmStatus(msgspec.Struct, frozen=True, gc=False):
    """Status of a session. The three octets as in cgm.py."""

    time_offset_min: int
    status: int
    cal_temp: int
    warning: int


class CgmSession(msgspec.Struct, frozen=True, gc=False):
    """Start and run time of a session: zeros until the start is known; offsets None where they are unknown or make no
    sense."""

    start: DateTime
    tz_offset_min: int | None
    dst_offset_min: int | None


class CgmCalibration(msgspec.Struct, frozen=True, gc=False):
    """One calibration that the device remembers; times in minutes since the start of the session."""

    glucose_mg_dl: Number
    time_offset_min: int
    type: int
    location: int
    next_calibration_min: int
    record_number: int
    status: int


class OpsAnswer(msgspec.Struct, frozen=True, gc=False):
    """Value of the CGM Specific Ops Control Point: by `op`, an interval in minutes, a limit, a calibration, or how a
    request went (code 1 = done)."""

    op: int
    interval_min: int | None = None
    value: Number | None = None
    calibration: CgmCalibration | None = None
    calibration_record: int | None = None
    request_op: int | None = None
    response_code: int | None = None


INTERVALS = (0x01, 0x03)
CALIBRATIONS = (0x04, 0x06)
GET_CALIBRATION = 0x05
LIMITS = tuple(op for op in range(0x07, 0x19) if op % 3 != 2)  # set and response of six limits; the third asks
BARE = (0x02, 0x08, 0x0B, 0x0E, 0x11, 0x14, 0x17, 0x19, 0x1A, 0x1B)
RESPONSE = 0x1C


def decode_feature(data: bytes) -> CgmFeature:
    """It always ends with a check value: FFFF where the device does not use them. FrameError truncated or bad_crc."""
    cursor = ValueCursor(data)
    features, nibbles, sent_crc = cursor.uint(3), cursor.u8(), cursor.u16()
    used = bool(features >> E2E_CRC_BIT & 1)
    if used:
        e2e_crc.check(data, 4, True)
    elif sent_crc != NO_CRC:
        raise FrameError("bad_crc")
    return CgmFeature(features, nibbles & 0x0F, nibbles >> 4, used)


def decode_status(data: bytes, crc: bool | None = None) -> CgmStatus:
    e2e_crc.check(data, 5, crc)
    cursor = ValueCursor(data)
    return CgmStatus(cursor.u16(), cursor.u8(), cursor.u8(), cursor.u8())


def decode_session_start(data: bytes, crc: bool | None = None) -> CgmSession:
    e2e_crc.check(data, 9, crc)
    cursor = ValueCursor(data)
    start, zone, dst = cursor.date_time(), cursor.sint(1), cursor.u8()
    return CgmSession(start, zone * ZONE_STEP if zone in ZONES else None, DST.get(dst))


def decode_run_time(data: bytes, crc: bool | None = None) -> int:
    """Hours that the session runs at most."""
    e2e_crc.check(data, 2, crc)
    return ValueCursor(data).u16()


def decode_ops(data: bytes, crc: bool | None = None) -> OpsAnswer:
    """FrameError truncated, bad_crc, or unsupported for an op code that is not known."""
    cursor = ValueCursor(data)
    op = cursor.u8()
    e2e_crc.check(data, 1 + _operand(op), crc)
    if op in INTERVALS:
        return OpsAnswer(op, interval_min=cursor.u8())
    if op in LIMITS:
        return OpsAnswer(op, value=cursor.sfloat())
    if op == GET_CALIBRATION:
        return OpsAnswer(op, calibration_record=cursor.u16())
    if op in CALIBRATIONS:
        glucose, offset, nibbles = cursor.sfloat(), cursor.u16(), cursor.u8()
        rest = (cursor.u16(), cursor.u16(), cursor.u8())
        return OpsAnswer(op, calibration=CgmCalibration(glucose, offset, nibbles & 0x0F, nibbles >> 4, *rest))
    if op == RESPONSE:
        return OpsAnswer(op, request_op=cursor.u8(), response_code=cursor.u8())
    return OpsAnswer(op)


def _operand(op: int) -> int:
    """Octets of the operand."""
    if op in BARE:
        return 0
    if op in INTERVALS:
        return 1
    if op in CALIBRATIONS:
        return 10
    if op in LIMITS or op in (GET_CALIBRATION, RESPONSE):
        return 2
    raise FrameError("unsupported")
