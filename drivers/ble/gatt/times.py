"""Times of devices: wall time without a zone, any part of which may be unknown (0).

Source: GATT Specification Supplement, Date Time (2A08), Day of Week (2A09), Day Date Time (2A0A), Exact Time 256
(2A0C), Current Time (2A2B), DST Offset (2A0D), Time Zone (2A0E), Local Time Information (2A0F).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import wall_time

ZONE_STEP = 15  # minutes
ZONES = range(-48, 57)
ZONE_UNKNOWN = -128
DST = {0: 0, 2: 30, 4: 60, 8: 120}  # octet -> minutes
DST_UNKNOWN = 255

MANUAL = 1  # adjust reason


class DateTime(NamedTuple):
    """Date Time. A date and a time as they were sent; 0 = unknown for year, month and day."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int

    @classmethod
    def of(cls, moment: datetime) -> DateTime:
        return cls(moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)

    def moment(self) -> datetime | None:
        """None when a part is unknown or there is no such time."""
        return wall_time(self)

    def iso(self, minutes: int = 0) -> str | None:
        """ISO 8601, so many minutes later; None when it is unknown."""
        moment = self.moment()
        try:
            return (moment + timedelta(minutes=minutes)).isoformat() if moment else None
        except OverflowError:
            return None

    def encode(self) -> bytes:
        """Seven octets; ValueError when a part does not fit."""
        return bytes((self.year & 0xFF, self.year >> 8, *self[1:]))


class DayDateTime(msgspec.Struct, frozen=True, gc=False):
    """Day Date Time. `day_of_week` 1 = Monday, 0 = unknown."""

    datetime: DateTime
    day_of_week: int


class CurrentTime(msgspec.Struct, frozen=True, gc=False):
    """Current Time. Exact Time 256 and why the clock was last set; `adjust_reason` None where the format has none."""

    datetime: DateTime
    day_of_week: int
    fractions256: int
    adjust_reason: int | None = None

    def encode(self) -> bytes:
        """Nine octets, or ten with an adjust reason."""
        tail = (self.day_of_week, self.fractions256)
        return self.datetime.encode() + bytes(tail if self.adjust_reason is None else (*tail, self.adjust_reason))


class LocalTimeInformation(msgspec.Struct, frozen=True, gc=False):
    """Local Time Information. Minutes of offset from UTC, and of daylight saving time on top of it; None = unknown."""

    tz_offset_min: int | None
    dst_offset_min: int | None


def decode_date_time(data: bytes) -> DateTime:
    _need(data, 7)
    return DateTime(data[0] | data[1] << 8, *data[2:7])


def decode_day_of_week(data: bytes) -> int:
    """1 = Monday to 7, 0 = unknown; FrameError out_of_range for others."""
    _need(data, 1)
    if data[0] > 7:
        raise FrameError("out_of_range")
    return data[0]


def decode_day_date_time(data: bytes) -> DayDateTime:
    _need(data, 8)
    return DayDateTime(decode_date_time(data), data[7])


def decode_exact_time(data: bytes) -> CurrentTime:
    _need(data, 9)
    return CurrentTime(decode_date_time(data), data[7], data[8])


def decode_current_time(data: bytes) -> CurrentTime:
    _need(data, 10)
    return CurrentTime(decode_date_time(data), data[7], data[8], data[9])


def decode_time_zone(data: bytes) -> int | None:
    """Minutes from UTC; FrameError out_of_range."""
    _need(data, 1)
    zone = int.from_bytes(data[:1], signed=True)
    if zone == ZONE_UNKNOWN:
        return None
    if zone not in ZONES:
        raise FrameError("out_of_range")
    return zone * ZONE_STEP


def decode_dst_offset(data: bytes) -> int | None:
    """Minutes; FrameError out_of_range for reserved values."""
    _need(data, 1)
    if data[0] == DST_UNKNOWN:
        return None
    if data[0] not in DST:
        raise FrameError("out_of_range")
    return DST[data[0]]


def decode_local_time(data: bytes) -> LocalTimeInformation:
    _need(data, 2)
    return LocalTimeInformation(decode_time_zone(data), decode_dst_offset(data[1:]))


def encode_local_time(local: LocalTimeInformation) -> bytes:
    """Two octets; ValueError when an offset cannot be told in them."""
    zone, dst = ZONE_UNKNOWN, DST_UNKNOWN
    if local.tz_offset_min is not None:
        zone, odd = divmod(local.tz_offset_min, ZONE_STEP)
        if odd or zone not in ZONES:
            raise ValueError("a time zone is a whole number of quarters of an hour, -12 h to +14 h")
    if local.dst_offset_min is not None:
        dst_octet = next((octet for octet, minutes in DST.items() if minutes == local.dst_offset_min), None)
        if dst_octet is None:
            raise ValueError("daylight saving time is 0, 30, 60 or 120 minutes")
        dst = dst_octet
    return bytes((zone & 0xFF, dst))


def current_time(moment: datetime) -> CurrentTime:
    """Value that sets a clock to this local time."""
    fractions = moment.microsecond * 256 // 1_000_000
    return CurrentTime(DateTime.of(moment), moment.isoweekday(), fractions, MANUAL)


def _need(data: bytes, count: int) -> None:
    if len(data) < count:
        raise FrameError("truncated")
