"""Frames of the Datex-Ohmeda record interface (GE S/5 Computer Interface): 7E, record and checksum, 7E. 7D escapes an
octet, whose bit 5 is then cleared; the checksum is the sum of the record before it is escaped."""

from __future__ import annotations

import re

from gatepost.drivers.checksums import FrameError, sum8
from gatepost.drivers.reading import Faults

FLAG, ESCAPE = 0x7E, 0x7D
HEAD = 40  # octets of a record before its data
MAX_FRAME = 4096  # octets with their escapes
_SPECIAL = re.compile(rb"[\x7d\x7e]")
_ESCAPED = re.compile(rb"\x7d(.?)", re.DOTALL)


def encode_frame(record: bytes) -> bytes:
    whole = record + bytes((sum8(record),))
    escaped = _SPECIAL.sub(lambda found: bytes((ESCAPE, found[0][0] & 0xDF)), whole)
    return bytes((FLAG,)) + escaped + bytes((FLAG,))


def decode_frame(octets: bytes) -> bytes:
    """The record of a whole frame. FrameError truncated, bad_sync, bad_checksum, bad_length."""
    if octets[:1] != bytes((FLAG,)):
        raise FrameError("bad_sync" if octets else "truncated")
    if len(octets) < 2 or octets[-1] != FLAG:
        raise FrameError("truncated")
    whole = _ESCAPED.sub(lambda found: bytes((found[1][0] | 0x20,)) if found[1] else b"", octets[1:-1])
    if len(whole) < HEAD + 1:
        raise FrameError("truncated")
    record = whole[:-1]
    if sum8(record) != whole[-1]:
        raise FrameError("bad_checksum")
    if int.from_bytes(record[:2], "little") != len(record):
        raise FrameError("bad_length")
    return record


class FlagSplitter:
    """`feed(octets)` -> records; a flag that ends a frame may begin the next one."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._open = bytearray()
        self._synced = False

    def feed(self, data: bytes) -> list[bytes]:
        found: list[bytes] = []
        *parts, rest = data.split(bytes((FLAG,)))
        for part in parts:
            self._keep(part)
            if self._open and self._synced:
                try:
                    found.append(decode_frame(bytes((FLAG, *self._open, FLAG))))
                except FrameError as wrong:
                    self._faults.add(wrong.kind.replace("_", "-"), "a damaged frame")
            elif self._open:
                self._faults.add("noise", "octets before the first frame")
            self._synced = True
            self._open.clear()
        self._keep(rest)
        return found

    def _keep(self, octets: bytes) -> None:
        self._open += octets
        if len(self._open) > MAX_FRAME:
            self._faults.add("too-long", f"a frame is longer than {MAX_FRAME} octets")
            self._open.clear()
            self._synced = False
