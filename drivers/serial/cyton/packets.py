"""Packets of the OpenBCI Cyton as its dongle gives them (OpenBCI documentation, Cyton Data Format).

33 octets: A0, sample number, eight signed 24-bit values (high octet first), six auxiliary octets, and a stop octet C0
to CF that says what the auxiliary ones are. Both marks occur in data too, so one packet alone is not believed.
"""

from __future__ import annotations

import struct

import msgspec

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import Faults

START, STOP = 0xA0, 0xC0
SIZE = 33
CHANNELS = 8
HIGH_RAIL, LOW_RAIL = 0x7FFFFF, -0x800000

ACCELERATION = 0xC0
TIMED_ACCELERATION = (0xC3, 0xC4)  # set, stamped
TIMED_AUX = (0xC5, 0xC6)
READY = b"$$$"  # ends everything that the board says in words
TEXT = 512  # octets of such words that are kept

ALONE, FOLLOWED, CONTINUED = 1, 2, 3


class CytonPacket(msgspec.Struct, frozen=True, gc=False):
    """One packet. What its stop octet does not announce is None."""

    sample: int
    counts: tuple[int, ...]
    stop_byte: int
    aux: bytes
    accel_counts: tuple[int, int, int] | None = None
    accel_part: tuple[str, int] | None = None  # X, x, Y, y, Z, z: high and low octet of an axis
    board_time_ms: int | None = None


class CytonText(msgspec.Struct, frozen=True, gc=False):
    """What the board or its dongle said in text, up to `$$$`."""

    text: str


def int24(octets: bytes) -> int:
    """Three octets, high one first, two's complement; FrameError for any other number of them."""
    if len(octets) != 3:
        raise FrameError("truncated" if len(octets) < 3 else "bad_length")
    return int.from_bytes(octets, "big", signed=True)


def decode_packet(frame: bytes) -> CytonPacket:
    """Exactly one packet; FrameError truncated, bad_length, bad_sync or bad_frame."""
    if len(frame) < SIZE:
        raise FrameError("truncated")
    if len(frame) > SIZE:
        raise FrameError("bad_length")
    if frame[0] != START:
        raise FrameError("bad_sync")
    stop = frame[-1]
    if stop & 0xF0 != STOP:
        raise FrameError("bad_frame")
    counts = tuple(int.from_bytes(frame[i : i + 3], "big", signed=True) for i in range(2, 26, 3))
    aux = frame[26:32]
    acceleration: tuple[int, int, int] | None = None
    part, time = None, None
    if stop == ACCELERATION:
        acceleration = struct.unpack(">hhh", aux)
    elif stop in TIMED_ACCELERATION:
        part = (chr(aux[0]), aux[1]) if aux[0] in b"XxYyZz" else None
    if stop in TIMED_ACCELERATION or stop in TIMED_AUX:
        time = int.from_bytes(aux[2:], "big")
    return CytonPacket(frame[1], counts, stop, aux, acceleration, part, time)


def encode_packet(sample: int, counts: tuple[int, ...], acceleration: tuple[int, int, int] = (0, 0, 0)) -> bytes:
    """A packet with stop octet C0; for twins and tests."""
    body = b"".join(count.to_bytes(3, "big", signed=True) for count in counts)
    return bytes((START, sample & 0xFF)) + body + struct.pack(">hhh", *acceleration) + bytes((ACCELERATION,))


class CytonPacketReader:
    """Octets in any chunks -> packets and words. `None` stands where octets were lost: not before the first packet.

    After garbage a packet counts only when another one follows it without an octet in between; of several that
    overlap, the one whose sample number its follower continues. `lone`: one that nothing follows counts, too. In step,
    the two marks are enough.
    """

    def __init__(self, faults: Faults, lone: bool = False) -> None:
        self._faults = faults
        self._least = ALONE if lone else FOLLOWED
        self._rest = b""
        self._text = b""
        self._in_step = False

    def feed(self, data: bytes) -> list[CytonPacket | CytonText | None]:
        data = self._rest + data
        out: list[CytonPacket | CytonText | None] = []
        at, end = 0, len(data)
        while at < end:
            if not self._in_step:
                found, self._in_step = _find(data, at, self._least)
                self._skip(data[at:found], out)
                at = found
                if not self._in_step:
                    break
            elif not _looks_right(data, at):
                self._in_step = False
                self._faults.add("resync", "octets that belong to no packet were skipped")
                out.append(None)
            elif end - at < SIZE:
                break
            else:
                out.append(decode_packet(data[at : at + SIZE]))
                at += SIZE
        self._rest = data[at:]
        return out

    def finish(self) -> list[CytonPacket]:
        """The packets at the end of a recording that still waited for others to follow."""
        rest, self._rest = self._rest, b""
        out: list[CytonPacket] = []
        while len(rest) >= SIZE:
            if _looks_right(rest, 0):
                out.append(decode_packet(rest[:SIZE]))
                rest = rest[SIZE:]
            else:
                rest = rest[1:]
        return out

    def _skip(self, octets: bytes, out: list[CytonPacket | CytonText | None]) -> None:
        """Octets that are in no packet: words, perhaps."""
        if not octets:
            return
        *said, self._text = (self._text + octets).split(READY)
        self._text = self._text[-TEXT:]
        out += [CytonText(words[-TEXT:].decode("ascii", "replace").strip()) for words in said]


def _looks_right(data: bytes, at: int) -> bool:
    """Whether nothing that is there yet speaks against a packet here."""
    return data[at] == START and (at + SIZE > len(data) or data[at + SIZE - 1] & 0xF0 == STOP)


def _find(data: bytes, at: int, least: int) -> tuple[int, bool]:
    """Where the first packet of at least this rank begins, or where it may yet, and whether that is certain."""
    best: int | None = None
    rank = least - 1
    while (at := data.find(START, at)) >= 0 and (best is None or at < best + SIZE):
        found = _rank(data, at)
        if found is None:
            return (at if best is None else best), False
        if found > rank:
            best, rank = at, found
            if found == CONTINUED:
                break
        at += 1
    return (len(data), False) if best is None else (best, True)


def _rank(data: bytes, at: int) -> int | None:
    """What speaks for a packet at this A0; None when the octets that would tell have not come."""
    follower = at + SIZE
    if not _looks_right(data, at):
        return 0
    if follower >= len(data):
        return None
    if not _looks_right(data, follower):
        return ALONE
    if follower + SIZE > len(data):
        return None
    return CONTINUED if data[follower + 1] == (data[at + 1] + 1) & 0xFF else FOLLOWED
