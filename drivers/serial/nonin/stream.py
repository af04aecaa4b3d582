"""Nonin data formats out of a stream of octets in any chunks.

Every reader holds a few octets at most and finds the way back by itself. In a result, `None` stands where octets were
lost, and 06 or 15 (an int) for the answer to a choice of format.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import Faults
from gatepost.drivers.serial.common.frame_sync import FrameScanner, StrangerDetector
from gatepost.drivers.serial.nonin import formats as nonin

ACKNOWLEDGE, REFUSE = 0x06, 0x15  # answers to the choice of a format
T = TypeVar("T")
PART = nonin.NoninFrame(False, False, False, False, "none", False, 0, 0)  # stands for a frame of which more must come


class _AnswerScanner(FrameScanner[T]):
    """Frames of an oximeter that may answer between them."""

    def skip(self, octets: bytes, found: list[Any]) -> None:
        if octets[0] in (ACKNOWLEDGE, REFUSE):
            found.append(octets[0])
            self._stranger.skip()
        else:
            super().skip(octets, found)


class NoninFrameReader(_AnswerScanner[nonin.NoninFrame | int]):
    """Frames of format 2, or of format 7 when `wide`. After octets were lost, `confirm` good frames in a row are
    needed: a checksum of eight bits alone is no proof."""

    def __init__(self, faults: Faults, wide: bool, confirm: int | None = None) -> None:
        super().__init__(faults)
        self._wide = wide
        self._decode: Callable[[bytes], nonin.NoninFrame] = nonin.decode_frame7 if wide else nonin.decode_frame2
        self._confirm = confirm or (3 if wide else 2)

    def look(self, data: bytes, at: int) -> tuple[int, nonin.NoninFrame | int | None]:
        end = at + nonin.FRAME * (self._confirm if self._lost else 1)
        found = self._good(data, at, min(end, len(data)))
        if found is None:
            return 1, None
        return (nonin.FRAME if end <= len(data) else 0), found

    def _good(self, data: bytes, at: int, end: int) -> nonin.NoninFrame | None:
        """The frame at `at`, when it and all others up to `end` are good; of one that is not whole the mark decides."""
        first: nonin.NoninFrame | None = None
        while end - at >= nonin.FRAME:
            try:
                frame = self._decode(data[at : at + nonin.FRAME])
            except FrameError:
                return None
            first = first or frame
            at += nonin.FRAME
        return first or PART if at == end or self._may_begin(data[at:end]) else None

    def _may_begin(self, part: bytes) -> bool:
        """Whether less than a frame can be its beginning."""
        if self._wide:
            return bool(part[0] & 0x80)
        return part[0] == nonin.START and (len(part) < 2 or bool(part[1] & 0x80))


class NoninPacketReader:
    """Frames -> packets. A packet with a bad or missing frame is dropped, and the next SYNC waited for."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._frames: list[nonin.NoninFrame] = []
        self._waiting = True  # for a SYNC; the first packet after opening may have lost its beginning: no fault

    def add(self, frame: nonin.NoninFrame | None) -> nonin.NoninPacket | None:
        if frame is None:
            self._drop()
            return None
        if frame.sync:
            if self._frames:
                self._drop()
            self._waiting = False
        elif self._waiting:
            return None
        elif not self._frames:
            self._drop()
            return None
        self._frames.append(frame)
        if len(self._frames) < nonin.PACKET:
            return None
        frames, self._frames = self._frames, []
        return nonin.packet_of(frames)

    def _drop(self) -> None:
        if not self._waiting:
            self._faults.add("packet", "a packet that is not whole was dropped")
        self._frames = []
        self._waiting = True


class NumbersReader(_AnswerScanner[nonin.NoninNumbers | int]):
    """Frames of format 1 (`size` 3) or 8 (4): only their first octet has bit 7 set."""

    def __init__(self, faults: Faults, size: int) -> None:
        super().__init__(faults)
        self._size = size

    def look(self, data: bytes, at: int) -> tuple[int, nonin.NoninNumbers | int | None]:
        if not data[at] & 0x80:
            return 1, None
        frame = data[at : at + self._size]
        stop = next((i for i in range(1, len(frame)) if frame[i] & 0x80), 0)  # where another one may begin
        if stop or len(frame) < self._size:
            return stop, None
        return self._size, nonin.decode_numbers(frame, self._size)


class SpotReader:
    """Spot checks of format 13, found by their header and believed by their checksum."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._rest = b""
        self._lost = True  # what comes before the first one is no fault
        self._stranger = StrangerDetector(faults)

    def feed(self, data: bytes) -> list[nonin.SpotCheck | int | None]:
        data = self._rest + data
        out: list[nonin.SpotCheck | int | None] = []
        at = 0
        while at < len(data):
            begin = data.find(nonin.SPOT_HEADER, at)
            if begin < 0:
                keep = next((n for n in (3, 2, 1) if data[at:].endswith(nonin.SPOT_HEADER[:n])), 0)
                begin = len(data) - keep
                self._between(data[at:begin], out)
                at = begin
                break
            self._between(data[at:begin], out)
            at = begin
            if len(data) < begin + nonin.SPOT_HEAD:
                break
            length = data[begin + 4] << 8 | data[begin + 5]
            whole = nonin.SPOT_HEAD + length + nonin.SPOT_TAIL
            plausible = nonin.SPOT_LEAST <= length <= nonin.SPOT_MOST
            if plausible and len(data) < begin + whole:
                break
            try:
                out.append(nonin.decode_spot_check(data[begin : begin + whole]))
                self._lost = False
                self._stranger.known()
                at = begin + whole
            except FrameError as wrong:
                self._faults.add(wrong.kind, "a spot check that is damaged was skipped")
                self._lost = True
                at = begin + 1
        self._rest = data[at:]
        return out

    def _between(self, data: bytes, out: list[nonin.SpotCheck | int | None]) -> None:
        """Octets of no spot check: answers, or something that should not be there."""
        for octet in data:
            self._stranger.skip()
            if octet in (ACKNOWLEDGE, REFUSE):
                out.append(octet)
            elif not self._lost:
                self._lost = True
                self._faults.add("resync", "octets that belong to no spot check were skipped")
