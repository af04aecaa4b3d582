"""Data Export on RS-232: C0, 11 01, length, payload, CRC-16/X-25 low octet first, C1; inside, 7D escapes C0, C1, 7D."""

from __future__ import annotations

import re

from gatepost.drivers.checksums import FrameError, crc16_x25
from gatepost.drivers.reading import Faults

START, STOP, ESCAPE = 0xC0, 0xC1, 0x7D
PROTOCOL = b"\x11\x01"
MAX_FRAME = 8192  # octets with their escapes; a message has 1456 at most
_EDGE = re.compile(rb"[\xc0\xc1]")
_SPECIAL = re.compile(rb"[\xc0\xc1\x7d]")
_ESCAPED = re.compile(rb"\x7d(.?)", re.DOTALL)


def encode_frame(body: bytes) -> bytes:
    """Frame around octets that have their header already."""
    whole = body + crc16_x25(body).to_bytes(2, "little")
    escaped = _SPECIAL.sub(lambda found: bytes((ESCAPE, found[0][0] ^ 0x20)), whole)
    return bytes((START,)) + escaped + bytes((STOP,))


def encode_payload(payload: bytes) -> bytes:
    return encode_frame(PROTOCOL + len(payload).to_bytes(2, "big") + payload)


def decode_frame(octets: bytes) -> bytes:
    """The payload of a whole frame; FrameError truncated, bad_sync, bad_crc, bad_header, bad_length."""
    if len(octets) < 2 or octets[-1] != STOP:
        raise FrameError("truncated")
    if octets[0] != START:
        raise FrameError("bad_sync")
    whole = _ESCAPED.sub(lambda found: bytes((found[1][0] ^ 0x20,)) if found[1] else b"", octets[1:-1])
    if len(whole) < 6:
        raise FrameError("truncated")
    body = whole[:-2]
    if crc16_x25(body) != int.from_bytes(whole[-2:], "little"):
        raise FrameError("bad_crc")
    if body[:2] != PROTOCOL:
        raise FrameError("bad_header")
    if int.from_bytes(body[2:4], "big") != len(body) - 4:
        raise FrameError("bad_length")
    return body[4:]


class FrameSplitter:
    """`feed(octets)` -> payloads; what is damaged is counted, and the next frame is found by its first octet."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._open = bytearray()  # a frame that has begun
        self._noise = False  # and counted

    def feed(self, data: bytes) -> list[bytes]:
        found: list[bytes] = []
        at = 0
        for edge in _EDGE.finditer(data):
            self._keep(data[at : edge.start()])
            at = edge.end()
            if data[edge.start()] == START:
                if self._open:
                    self._faults.add("incomplete", "a frame was not ended before the next one")
                self._open = bytearray((START,))
            elif self._open:
                self._open.append(STOP)
                try:
                    found.append(decode_frame(bytes(self._open)))
                    self._noise = False
                except FrameError as wrong:
                    self._faults.add(wrong.kind.replace("_", "-"), "a damaged frame")
                self._open.clear()
        self._keep(data[at:])
        return found

    def _keep(self, octets: bytes) -> None:
        if self._open:
            self._open += octets
            if len(self._open) > MAX_FRAME:
                self._faults.add("too-long", f"a frame is longer than {MAX_FRAME} octets")
                self._open.clear()
        elif octets and not self._noise:
            self._noise = True
            self._faults.add("noise", "octets that belong to no frame")
