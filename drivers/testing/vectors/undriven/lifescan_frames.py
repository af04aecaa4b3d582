"""LifeScan binary frames (OneTouch UltraEasy, UltraMini; published protocol, link layer): 02, length of the whole, link
octet, payload, 03, CRC-16 low octet first over all that stands before it."""

from __future__ import annotations

from typing import NamedTuple

from gatepost.drivers.checksums import FrameError, crc16_ccitt_false

STX, ETX = 0x02, 0x03
OVERHEAD = 6  # octets around the payload


class LifescanFrame(NamedTuple):
    """`sequence` and `expect_receive` are single bits that alternate."""

    payload: bytes
    sequence: int = 0
    expect_receive: int = 0
    ack: bool = False
    disconnect: bool = False
    more: bool = False


def decode_frame(octets: bytes) -> LifescanFrame:
    """One whole frame; FrameError truncated, bad_sync, bad_length, bad_frame, bad_crc."""
    if len(octets) < OVERHEAD:
        raise FrameError("truncated")
    if octets[0] != STX:
        raise FrameError("bad_sync")
    if octets[1] != len(octets):
        raise FrameError("truncated" if len(octets) < octets[1] else "bad_length")
    if octets[-3] != ETX or octets[2] & 0xE0:
        raise FrameError("bad_frame")
    if crc16_ccitt_false(octets[:-2]) != int.from_bytes(octets[-2:], "little"):
        raise FrameError("bad_crc")
    link = octets[2]
    return LifescanFrame(octets[3:-3], link & 1, link >> 1 & 1, bool(link & 4), bool(link & 8), bool(link & 16))


def encode_frame(frame: LifescanFrame) -> bytes:
    link = frame.sequence | frame.expect_receive << 1 | frame.ack << 2 | frame.disconnect << 3 | frame.more << 4
    body = bytes((STX, len(frame.payload) + OVERHEAD, link)) + frame.payload + bytes((ETX,))
    return body + crc16_ccitt_false(body).to_bytes(2, "little")
