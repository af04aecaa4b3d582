"""Polar Measurement Data (PMD), the control point: what a sensor can stream, starting and stopping it (Polar SDK
documentation, "Polar Measurement Data specification").

A request: op code, measurement type, settings as type, count, values. An answer begins with F0: op code, measurement
type, status, whether more follows, settings. Reading the control point gives 0F and a mask of measurement types.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from enum import IntEnum

import msgspec

from gatepost.drivers.ble.gatt.cursor import ValueCursor, octets
from gatepost.drivers.checksums import FrameError

SERVICE = "fb005c80-02e7-f387-1cad-8acd2d8df0c8"
CONTROL = "fb005c81-02e7-f387-1cad-8acd2d8df0c8"
DATA = "fb005c82-02e7-f387-1cad-8acd2d8df0c8"

FEATURES, ANSWER = 0x0F, 0xF0


class PmdOp(IntEnum):
    """Op code of the control point."""

    GET_SETTINGS = 1
    START = 2
    STOP = 3


class PmdType(IntEnum):
    """Measurement type."""

    ECG = 0
    PPG = 1
    ACC = 2
    PPI = 3
    GYRO = 5
    MAGNETOMETER = 6


class PmdSetting(IntEnum):
    """Setting type."""

    RATE_HZ = 0
    RESOLUTION_BITS = 1
    RANGE = 2  # g for acceleration, deg/s for gyroscopes
    RANGE_MILLI = 3
    CHANNELS = 4
    FACTOR = 5  # a binary32 number


OCTETS = {
    PmdSetting.RATE_HZ: 2,
    PmdSetting.RESOLUTION_BITS: 2,
    PmdSetting.RANGE: 2,
    PmdSetting.RANGE_MILLI: 4,
    PmdSetting.CHANNELS: 1,
    PmdSetting.FACTOR: 4,
}
OK, ALREADY = 0, 6
STATUS = {
    0: "success",
    1: "invalid-op-code",
    2: "invalid-measurement-type",
    3: "not-supported",
    4: "invalid-length",
    5: "invalid-parameter",
    6: "already-in-state",
    7: "invalid-resolution",
    8: "invalid-sample-rate",
    9: "invalid-range",
    10: "invalid-mtu",
    11: "invalid-number-of-channels",
    12: "invalid-state",
    13: "device-in-charger",
    14: "disk-full",
}


class PmdFeatures(msgspec.Struct, frozen=True, gc=False):
    """Features of a sensor. `mask`: bit n = measurement type n."""

    mask: int

    def has(self, kind: int) -> bool:
        return bool(self.mask >> kind & 1)


class PmdResponse(msgspec.Struct, frozen=True, gc=False):
    """Response to a request. `settings` by PmdSetting: every value that the sensor offers, or the one in effect."""

    op: int
    type: int
    status: int
    more: bool = False
    settings: dict[int, tuple[int | float, ...]] = {}

    @property
    def text(self) -> str:
        """The status in a word."""
        return STATUS.get(self.status, "unknown")

    @property
    def factor(self) -> float:
        """Factor of compressed samples; 1 where the sensor names none."""
        return float(self.settings.get(PmdSetting.FACTOR, (1.0,))[0])


def decode(data: bytes) -> PmdFeatures | PmdResponse:
    """Decode a value of the control point; FrameError truncated, unsupported or out_of_range."""
    cursor = ValueCursor(data)
    head = cursor.u8()
    if head == FEATURES:
        return PmdFeatures(cursor.uint(min(max(cursor.left, 1), 8)))
    if head != ANSWER:
        raise FrameError("unsupported")
    op, kind, status = cursor.u8(), cursor.u8(), cursor.u8()
    more = bool(cursor.u8()) if cursor.left else False
    return PmdResponse(op, kind, status, more, _settings(cursor) if status == OK and op in (1, 2) else {})


def _settings(cursor: ValueCursor) -> dict[int, tuple[int | float, ...]]:
    values: dict[int, tuple[int | float, ...]] = {}
    while cursor.left:
        kind, count = cursor.u8(), cursor.u8()
        if kind not in PmdSetting._value2member_map_:
            break  # without its length nothing after it can be told
        setting = PmdSetting(kind)
        values[setting] = tuple(_value(setting, cursor.take(OCTETS[setting])) for _ in range(count))
    return values


def _value(setting: PmdSetting, raw: bytes) -> int | float:
    if setting is PmdSetting.FACTOR:
        factor = float(struct.unpack("<f", raw)[0])
        if not math.isfinite(factor):
            raise FrameError("out_of_range")
        return factor
    return int.from_bytes(raw, "little")


def get_settings(kind: int) -> bytes:
    return bytes((PmdOp.GET_SETTINGS, kind))


def start(kind: int, settings: Mapping[PmdSetting, int]) -> bytes:
    """With one value for each setting, in their order. ValueError when one does not fit."""
    out = bytes((PmdOp.START, kind))
    for setting, value in sorted(settings.items()):
        if setting is PmdSetting.FACTOR:
            raise ValueError("the factor is the sensor's to say")
        out += bytes((setting, 1)) + octets(value, OCTETS[setting])
    return out


def stop(kind: int) -> bytes:
    return bytes((PmdOp.STOP, kind))
