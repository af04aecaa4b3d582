"""TaiDoc TD-42xx glucose meters (published by glucometer users): eight octets each way, and the meter's date and time.

51, command, four octets of data, A3 from the host or A5 from the meter, low octet of the sum of the seven.
"""

from __future__ import annotations

from typing import NamedTuple

from gatepost.drivers.checksums import FrameError, sum8

SYNC, REQUEST, RESPONSE = 0x51, 0xA3, 0xA5
SIZE = 8


class TaidocMessage(NamedTuple):
    command: int
    data: bytes
    request: bool


def decode_message(octets: bytes) -> TaidocMessage:
    """FrameError truncated, bad_length, bad_sync, bad_checksum, bad_frame."""
    if len(octets) != SIZE:
        raise FrameError("truncated" if len(octets) < SIZE else "bad_length")
    if octets[0] != SYNC:
        raise FrameError("bad_sync")
    if sum8(octets[:7]) != octets[7]:
        raise FrameError("bad_checksum")
    if octets[6] not in (REQUEST, RESPONSE):
        raise FrameError("bad_frame")
    return TaidocMessage(octets[1], octets[2:6], octets[6] == REQUEST)


def encode_message(message: TaidocMessage) -> bytes:
    body = bytes((SYNC, message.command)) + message.data + bytes((REQUEST if message.request else RESPONSE,))
    return body + bytes((sum8(body),))


def decode_time(octets: bytes) -> list[int]:
    """A word, low octet first (year since 2000 in 7 bits, month in 4, day in 5), minute, hour -> year to minute.

    FrameError truncated, bad_length, out_of_range.
    """
    if len(octets) != 4:
        raise FrameError("truncated" if len(octets) < 4 else "bad_length")
    date = int.from_bytes(octets[:2], "little")
    found = [2000 + (date >> 9), date >> 5 & 15, date & 31, octets[3], octets[2]]
    if not 1 <= found[1] <= 12 or not found[2] or found[3] > 23 or found[4] > 59:
        raise FrameError("out_of_range")
    return found
