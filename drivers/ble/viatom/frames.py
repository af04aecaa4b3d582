"""Frames of Viatom and Lepu devices, which come over several notifications; sans-I/O (no published specification;
captures of others).

Older rings: AA, command, its complement, block u16, size u16, data, CRC-8; an answer begins with 55 and has a status
where the command was. Newer devices: A5, command, its complement, answer 01, sequence, size u16, data, CRC-8. Numbers
are little-endian; the CRC has the polynomial 07 and begins with 0.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache
from typing import NamedTuple

from gatepost.drivers.ble.frame_stream import FrameStream
from gatepost.drivers.checksums import FrameError

HEAD = 7  # octets before the data
LONGEST = 4096  # octets of data in one frame
REQUEST, ANSWER, LEPU = 0xAA, 0x55, 0xA5


class ViatomFrame(NamedTuple):
    """`code` is the command, or the status of an older ring's answer (0 = good); `number` its block or sequence."""

    code: int
    number: int
    data: bytes
    reply: bool = True


@cache
def _crc_table() -> tuple[int, ...]:
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = (crc << 1 ^ 0x07 if crc & 0x80 else crc << 1) & 0xFF
        table.append(crc)
    return tuple(table)


def crc8(data: bytes) -> int:
    table, crc = _crc_table(), 0
    for octet in data:
        crc = table[crc ^ octet]
    return crc


def _closed(frame: bytes) -> bytes:
    return frame + bytes((crc8(frame),))


def requests_but(start: int, allowed: Collection[int]) -> re.Pattern[bytes]:
    """Pattern of the requests that are not allowed, for the rules of a driver. A request goes out in pieces: one of
    them may begin with the octet of a request, but hardly with a command and its complement after it."""
    others = (bytes((start, command, command ^ 0xFF)) for command in range(256) if command not in allowed)
    return re.compile(rb"\A(?:" + b"|".join(map(re.escape, others)) + rb")", re.DOTALL)


def request(command: int, data: bytes = b"", block: int = 0) -> bytes:
    """Request for an older ring."""
    head = bytes((REQUEST, command, command ^ 0xFF))
    return _closed(head + block.to_bytes(2, "little") + len(data).to_bytes(2, "little") + data)


def lepu_request(command: int, data: bytes = b"", sequence: int = 0) -> bytes:
    """Request for a newer device."""
    head = bytes((LEPU, command, command ^ 0xFF, 0, sequence & 0xFF))
    return _closed(head + len(data).to_bytes(2, "little") + data)


class ViatomFrames(FrameStream[ViatomFrame]):
    """Answers of older rings in a stream of octets."""

    start = ANSWER
    head = HEAD

    def _wrong(self, held: bytes) -> str:
        if len(held) >= 3 and held[1] ^ held[2] != 0xFF:
            return "bad_header"
        return "bad_length" if len(held) >= HEAD and int.from_bytes(held[5:7], "little") > LONGEST else ""

    def _end(self, held: bytes) -> int:
        return HEAD + int.from_bytes(held[5:7], "little") + 1

    def _damage(self, frame: bytes) -> str:
        return "" if crc8(frame[:-1]) == frame[-1] else "bad_crc"

    def _frame(self, frame: bytes) -> ViatomFrame:
        return ViatomFrame(frame[1], int.from_bytes(frame[3:5], "little"), frame[HEAD:-1])


class LepuFrames(ViatomFrames):
    """Frames of newer devices."""

    start = LEPU

    def _frame(self, frame: bytes) -> ViatomFrame:
        return ViatomFrame(frame[1], frame[4], frame[HEAD:-1], bool(frame[3]))


def one_frame(octets: bytes, kind: type[ViatomFrames]) -> ViatomFrame:
    """The frame that these octets are; FrameError."""

    def refuse(wrong: FrameError) -> None:
        raise wrong

    found = kind(refuse).feed(octets)
    if not found:
        raise FrameError("truncated")
    return found[0]
