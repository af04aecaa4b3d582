"""Frames of ProtoCentral boards: 0A FA, length of the payload (two octets, low one first), type, payload, 0B.

Source: ProtoCentral OpenView, wire format. The firmware sends 00 before the 0B, which its drawing does not show: both
endings are taken. There is no checksum; the type fixes the length.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import Faults

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


class ProtocentralFrameReader:
    """Octets in any chunks -> frames whose type and length are among `known`. `None` stands where octets were skipped
    after the first frame; one count of `resync` for each such place."""

    def __init__(self, faults: Faults, known: Mapping[int, frozenset[int]]) -> None:
        self._faults = faults
        self._known = known
        self._rest = b""
        self._lost = True  # the first octets after opening may be the end of a frame: no fault
        self._began = False

    def feed(self, data: bytes) -> list[ProtocentralFrame | None]:
        data = self._rest + data
        out: list[ProtocentralFrame | None] = []
        at = 0
        while at < len(data):
            size = self._frame_at(data, at)
            if size is None:
                break
            if size:
                self._lost, self._began = False, True
                length = int.from_bytes(data[at + 2 : at + 4], "little")
                out.append(ProtocentralFrame(data[at + 4], data[at + HEAD : at + HEAD + length]))
                at += size
                continue
            if not self._lost:
                self._lost = True
                self._faults.add("resync", "octets that belong to no frame were skipped")
                out.append(None)
            found = data.find(START[0], at + 1)
            at = found if found >= 0 else len(data)
        self._rest = data[at:]
        return out

    def _frame_at(self, data: bytes, at: int) -> int | None:
        """The octets of the frame here; 0 when there is none, None when that cannot be told yet."""
        head = data[at : at + HEAD]
        if not head.startswith(START[: len(head)]):
            return 0
        if len(head) < HEAD:
            return None
        length = int.from_bytes(head[2:4], "little")
        if length not in self._known.get(head[4], ()):
            return 0
        end = at + HEAD + length
        ending = data[end : end + 2]
        if ending[:1] == b"\x0b":
            return end + 1 - at
        if not b"\x00\x0b".startswith(ending):
            return 0
        return end + 2 - at if len(ending) == 2 else None
