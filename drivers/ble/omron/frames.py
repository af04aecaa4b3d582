"""Frames of Omron's memory protocol: requests, answers, and answers that come over several channels; sans-I/O (no
published specification; userx14/omblepy and captures of others).

A frame: length of all u8, type u16, address u16, size u8, data, status u8, exclusive or of all. Numbers are
big-endian. Each channel carries sixteen octets of a frame; a device with one channel sends it whole.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import xor
from typing import NamedTuple

from gatepost.drivers.checksums import FrameError

CHANNEL_OCTETS = 16
MOST_CHANNELS = 4
MOST_OCTETS = 0x20  # of one request; every model gives so many
HEAD, OVERHEAD = 6, 8  # octets before the data; those of a frame without data

OPEN = bytes.fromhex("0800000000100018")
CLOSE = bytes.fromhex("080f000000000007")
OPENED, READ, CLOSED = "8000", "8100", "8F00"


class OmronFrame(NamedTuple):
    """An answer. `type` as four hex digits; CLOSED also says that something was refused."""

    type: str
    address: int
    status: int
    data: bytes


def xor_all(data: bytes) -> int:
    return reduce(xor, data, 0)


def read_request(address: int, size: int) -> bytes:
    """Request for `size` octets from `address` on."""
    body = b"\x08\x01\x00" + address.to_bytes(2) + bytes((size, 0))
    return body + bytes((xor_all(body),))


def decode_frame(frame: bytes) -> OmronFrame:
    """An answer, which may be followed by octets that fill up its channel. FrameError truncated, bad_length,
    bad_checksum."""
    if not frame:
        raise FrameError("truncated")
    length = frame[0]
    if length < OVERHEAD:
        raise FrameError("bad_length")
    if len(frame) < length:
        raise FrameError("truncated")
    frame = frame[:length]
    if xor_all(frame):
        raise FrameError("bad_checksum")
    data, told = frame[HEAD:-2], frame[5]
    if frame[1:3] == b"\x81\x00" and len(data) < told:
        raise FrameError("truncated")  # nothing is made up for octets that were not sent
    return OmronFrame(frame[1:3].hex().upper(), int.from_bytes(frame[3:5]), frame[-2], data[:told])


class ChannelFrames:
    """Frames that come over up to four channels in any order; the first octet of channel 0 tells how many are needed.
    What is damaged is told to `on_fault`."""

    def __init__(self, on_fault: Callable[[FrameError], None], octets: int = CHANNEL_OCTETS) -> None:
        """`octets`: so many of a frame in each channel; more than a frame has where there is one channel."""
        self._on_fault = on_fault
        self._octets = octets
        self._held: dict[int, bytes] = {}

    def feed(self, channel: int, data: bytes) -> list[OmronFrame]:
        if not 0 <= channel < MOST_CHANNELS or not data:
            return []
        if channel in self._held:  # the frame that it belonged to never became whole
            self._on_fault(FrameError("truncated"))
            self._held.clear()
        self._held[channel] = data[: self._octets]
        first = self._held.get(0)
        if first is None:
            return []
        needed = -(-first[0] // self._octets)
        if needed > MOST_CHANNELS:
            self.clear()
            self._on_fault(FrameError("bad_length"))
            return []
        if any(channel not in self._held for channel in range(needed)):
            return []
        whole = b"".join(self._held[channel] for channel in range(needed)) or first
        self.clear()
        try:
            return [decode_frame(whole)]
        except FrameError as wrong:
            self._on_fault(wrong)
            return []

    def clear(self) -> None:
        self._held.clear()

    @property
    def holding(self) -> bool:
        return bool(self._held)
