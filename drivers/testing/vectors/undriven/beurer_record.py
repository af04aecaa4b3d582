"""Beurer BM55 and BM65 blood pressure monitors (published by their users): a stored record of nine octets."""

from __future__ import annotations

from typing import NamedTuple

from gatepost.drivers.checksums import FrameError

SIZE = 9
LEAST = 25  # mmHg that are left out of the pressures


class BeurerRecord(NamedTuple):
    """Pressures in mmHg; the time is year to minute, as sent."""

    systolic: int
    diastolic: int
    pulse_rate: int
    timestamp: list[int]


def decode_record(octets: bytes) -> BeurerRecord:
    """The first octet says nothing that is known. FrameError truncated, bad_length."""
    if len(octets) != SIZE:
        raise FrameError("truncated" if len(octets) < SIZE else "bad_length")
    month, day, hour, minute, year = octets[4:]
    return BeurerRecord(octets[1] + LEAST, octets[2] + LEAST, octets[3], [2000 + year, month, day, hour, minute])
