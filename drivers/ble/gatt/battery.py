"""Battery Level (2A19) and Battery Level Status (2BED); GATT Specification Supplement."""

from __future__ import annotations

import msgspec

from gatepost.drivers.ble.gatt.cursor import ValueCursor
from gatepost.drivers.checksums import FrameError

FULL = 100
CHARGING = ("unknown", "charging", "discharging", "idle")
CHARGE = ("unknown", "good", "low", "critical")
FAULTS = {12: "battery", 13: "external-power", 14: "other"}


class LevelStatus(msgspec.Struct, frozen=True, gc=False):
    """Battery Level Status. `power_state` holds the sixteen bits that the properties explain."""

    power_state: int
    identifier: int | None = None
    battery_pct: int | None = None
    additional_status: int | None = None

    @property
    def present(self) -> bool:
        return bool(self.power_state & 1)

    @property
    def charging(self) -> str:
        return CHARGING[self.power_state >> 5 & 3]

    @property
    def charge(self) -> str:
        return CHARGE[self.power_state >> 7 & 3]

    @property
    def faults(self) -> tuple[str, ...]:
        return tuple(name for bit, name in FAULTS.items() if self.power_state >> bit & 1)


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
