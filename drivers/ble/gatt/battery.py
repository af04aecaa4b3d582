"""Battery Level (2A19) and Battery Level Status (2BED); GATT Specification Supplement."""

from __future__ import annotations

import msgspec

from gatepost.drivers.ble.gatt.cursor import ValueCursor
from gatepost.drivers.checksums import FrameError

FULL = 100


class LevelStatus(msgspec.Struct, frozen=True, gc=False):
    """Battery Level Status. `power_state`: sixteen bits, as sent."""

    power_state: int
    identifier: int | None = None
    battery_pct: int | None = None
    additional_status: int | None = None


def decode(data: bytes) -> int:
    """Per cent; FrameError out_of_range above 100."""
    return _level(ValueCursor(data))


def decode_status(data: bytes) -> LevelStatus:
    """Flags: 0 identifier, 1 level, 2 additional status."""
    cursor = ValueCursor(data)
    flags = cursor.u8()
    return LevelStatus(
        cursor.u16(),
        cursor.u16() if flags & 1 else None,
        _level(cursor) if flags & 2 else None,
        cursor.u8() if flags & 4 else None,
    )


def _level(cursor: ValueCursor) -> int:
    level = cursor.u8()
    if level > FULL:
        raise FrameError("out_of_range")
    return level
