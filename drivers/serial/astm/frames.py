"""ASTM E1381 (CLSI LIS01) framing, the receiver's side, sans-I/O: what the sender says -> events, and what to answer.

A frame: STX, number 0 to 7, text, ETX (last of a message) or ETB, two hexadecimal digits of the sum from the number to
ETX or ETB, CR, LF; some senders end it with one of both alone. A sender asks with ENQ, sends each frame until it is
acknowledged, and ends with EOT.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gatepost.drivers.checksums import FrameError, sum8
from gatepost.drivers.reading import Faults

STX, ETX, EOT, ENQ, ACK, LF, CR, NAK, ETB = 0x02, 0x03, 0x04, 0x05, 0x06, 0x0A, 0x0D, 0x15, 0x17
MAX_FRAME_LENGTH = 64_000  # octets of a frame (LIS01-A2, 6.3.1.2); the older standard says 247
HEX = frozenset(b"0123456789ABCDEFabcdef")
ENDS = (b"", b"\r", b"\n", b"\r\n")
_END = re.compile(rb"[\x02\x03\x04\x05\x17]")


class AstmFrame(NamedTuple):
    number: int
    last: bool
    text: bytes  # without what frames it; a CR ends each record in it


class AstmEvent(NamedTuple):
    """`kind` enquiry, frame, duplicate, refused or end; `answer` is what the sender waits for, empty when it does not.

    `outside`: a frame of nobody who asked; some meters show their header so.
    """

    kind: str
    answer: bytes = b""
    frame: AstmFrame | None = None
    outside: bool = False


def decode_frame(octets: bytes) -> AstmFrame:
    """One frame; what stands before STX or after the sum does not count.

    FrameError truncated, bad_sync, bad_frame, bad_checksum.
    """
    start = octets.find(STX)
    if start < 0:
        raise FrameError("bad_sync" if octets else "truncated")
    end = _END.search(octets, start + 1)
    if end is None:
        raise FrameError("truncated")
    stop = end.start()
    if octets[stop] not in (ETX, ETB) or stop == start + 1 or octets[start + 1] not in b"01234567":
        raise FrameError("bad_frame")
    spelt = octets[stop + 1 : stop + 3]
    if len(spelt) < 2:
        raise FrameError("truncated")
    if not HEX.issuperset(spelt) or int(spelt, 16) != sum8(octets[start + 1 : stop + 1]):
        raise FrameError("bad_checksum")
    if octets[stop + 3 : stop + 5] not in ENDS:
        raise FrameError("bad_frame")
    return AstmFrame(octets[start + 1] - ord("0"), octets[stop] == ETX, octets[start + 2 : stop])


def encode_frame(frame: AstmFrame) -> bytes:
    """As a sender says it; for twins and tests."""
    body = bytes((ord("0") + frame.number % 8,)) + frame.text + bytes((ETX if frame.last else ETB,))
    return bytes((STX,)) + body + f"{sum8(body):02X}\r\n".encode("ascii")


class AstmReceiver:
    """Neutral until ENQ, then frames in the order of their numbers until EOT. Octets outside of frames are dropped."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._rest = bytearray()
        self._noise = False  # and counted
        self._looked = 0  # octets of it in which no frame ends
        self._last: int | None = None  # number of the frame that was taken last
        self.receiving = False

    def expire(self) -> None:
        """The sender said nothing for too long: neutral again."""
        if self.receiving:
            self._faults.add("timeout", "the sender stopped in the middle of a message")
        self.receiving = False
        self._rest, self._looked = bytearray(), 0

    def feed(self, data: bytes) -> list[AstmEvent]:
        self._rest += data
        rest = self._rest
        events: list[AstmEvent] = []
        at = 0
        while at < len(rest):
            octet = rest[at]
            if octet != STX:
                if octet in (ENQ, EOT):
                    events += self._control(octet)
                elif octet > 0x20 and not self._noise:
                    self._noise = True
                    self._faults.add("noise", "octets outside of frames")
                at += 1
                continue
            end = _END.search(rest, at + max(1, self._looked))
            self._looked = 0
            size = None if end is None else _size(rest, at, end.start())
            if size is None and len(rest) - at <= MAX_FRAME_LENGTH:
                self._looked = (len(rest) if end is None else end.start()) - at
                break
            if size is None or size > MAX_FRAME_LENGTH:
                events += self._refuse("too-long")
                self._noise = True
                at += 1
                continue
            events += self._frame(bytes(rest[at : at + size]))
            at += size
        del rest[:at]
        return events

    def _control(self, octet: int) -> list[AstmEvent]:
        if octet == ENQ:
            self.receiving, self._last = True, None
            return [AstmEvent("enquiry", bytes((ACK,)))]
        over, self.receiving = self.receiving, False
        return [AstmEvent("end")] if over else []

    def _frame(self, octets: bytes) -> list[AstmEvent]:
        try:
            frame = decode_frame(octets)
        except FrameError as wrong:
            return self._refuse(wrong.kind)
        if not self.receiving:
            return [AstmEvent("frame", b"", frame, outside=True)]
        if frame.number == self._last:
            return [AstmEvent("duplicate", bytes((ACK,)), frame)]
        if self._last is not None and frame.number != (self._last + 1) % 8:
            return self._refuse("bad-number")
        self._last, self._noise = frame.number, False
        return [AstmEvent("frame", bytes((ACK,)), frame)]

    def _refuse(self, kind: str) -> list[AstmEvent]:
        if not self.receiving:
            return []
        self._faults.add(kind, "a frame is malformed and requested again")
        return [AstmEvent("refused", bytes((NAK,)))]


def _size(data: bytearray, start: int, stop: int) -> int | None:
    """Octets of the frame at `start` whose text ends at `stop`; None = it goes on. A control octet in its text ends it
    before that octet."""
    if data[stop] not in (ETX, ETB):
        return stop - start
    size = stop + 4 - start  # the sum, and CR or LF; a LF after a CR is an octet outside of frames
    for i in range(stop + 1, min(stop + 4, len(data))):
        if data[i] in (STX, ENQ, EOT):
            return i - start
    return size if len(data) >= start + size else None
