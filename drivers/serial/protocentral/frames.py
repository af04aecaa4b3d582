"""Frames of ProtoCentral boards: 0A FA, length of the payload (two octets, low one first), type, payload, 0B.

Source: ProtoCentral OpenView, wire format. The firmware sends 00 before the 0B, which its drawing does not show: both
endings are taken. There is no checksum; the type fixes the length.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import Faults
from gatepost.drivers.serial.common.frame_sync import FrameScanner

START = b"\x0a\xfa"
HEAD = 5


class ProtocentralFrame(NamedTuple):
    type: int
    payload: bytes


def decode_frame(octets: bytes) -> ProtocentralFrame:
    """Exactly one frame; FrameError truncated, bad_header, bad_length or bad_frame (its end)."""
    if not octets.startswith(START[: len(octets)]):
        raise FrameError("bad_header")
    length = int.from_bytes(octets[2:4], "little")
    if len(octets) < HEAD or len(octets) <= HEAD + length:
        raise FrameError("truncated")
    ending = octets[HEAD + length :]
    if ending not in (b"\x0b", b"\x00\x0b"):
        raise FrameError("truncated" if ending == b"\x00" else "bad_frame" if len(ending) <= 2 else "bad_length")
    return ProtocentralFrame(octets[4], octets[HEAD : HEAD + length])


def encode_frame(kind: int, payload: bytes) -> bytes:
    """As the boards send it; for twins and tests."""
    return START + len(payload).to_bytes(2, "little") + bytes((kind,)) + payload + b"\x00\x0b"


class ProtocentralFrameReader(FrameScanner[ProtocentralFrame]):
    """Frames whose type and length are among `known`."""

    def __init__(self, faults: Faults, known: Mapping[int, frozenset[int]]) -> None:
        super().__init__(faults)
        self._known = known

    def look(self, data: bytes, at: int) -> tuple[int, ProtocentralFrame | None]:
        head = data[at : at + HEAD]
        if not head.startswith(START[: len(head)]):
            return self._next(data, at)
        if len(head) < HEAD:
            return 0, None
        length = int.from_bytes(head[2:4], "little")
        if length not in self._known.get(head[4], ()):
            return self._next(data, at)
        end = at + HEAD + length
        ending = data[end : end + 2]
        if ending[:1] == b"\x0b":
            return HEAD + length + 1, ProtocentralFrame(head[4], data[at + HEAD : end])
        if not b"\x00\x0b".startswith(ending):
            return self._next(data, at)
        return (HEAD + length + 2, ProtocentralFrame(head[4], data[at + HEAD : end])) if len(ending) == 2 else (0, None)

    @staticmethod
    def _next(data: bytes, at: int) -> tuple[int, None]:
        """Up to where the next frame may begin."""
        found = data.find(START[0], at + 1)
        return (found if found >= 0 else len(data)) - at, None

    def skip(self, octets: bytes, found: list[ProtocentralFrame | None]) -> None:
        self.lose(found)
