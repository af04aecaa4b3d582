"""What the log holds: a record, the series it belongs to, and the meaning of its bits."""

from __future__ import annotations

import zlib
from typing import NamedTuple

import msgspec

URGENT = 1  # outside a threshold: committed at once, sent first
IN_STEP = 2  # the wall clock was synchronised when it was taken
EVENT = 4  # an event of the gateway, no reading


class Record(msgspec.Struct, gc=False):
    """One row: wall and boot time in microseconds; body is a JSON object with what does not repeat."""

    seq: int
    series: int
    wall: int
    mono: int
    bits: int
    body: bytes


class Series(NamedTuple):
    """What repeats from row to row. `common` is a JSON object: metric_type, units, quality, flags; or event."""

    number: int
    boot: int
    device: str
    patient: str | None
    common: bytes


Row = tuple[int, int, int, int, int, int, bytes]


def checksum(seq: int, body: bytes) -> int:
    """CRC-32 of the body, seeded with the sequence number: a flipped bit or a misplaced row shows."""
    return zlib.crc32(body, seq & 0xFFFFFFFF)
