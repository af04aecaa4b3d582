"""Detection of the Nonin data format of a stream."""

from __future__ import annotations

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import Faults
from gatepost.drivers.serial.nonin import formats as nonin

ENOUGH = 400  # octets without a format before somebody is told
SURE = {2: 3 * nonin.FRAME, 7: 4 * nonin.FRAME}  # octets of good frames that tell a format
WINDOW = nonin.PACKET * nonin.FRAME  # octets that are read again once the format is known


class FormatDetector:
    """Tells formats 2, 7 and 13 by their checksums. `format` is None until it is known; what came last until then
    (`seen`) is to be read again. Formats 1 and 8 have none: the fault says which of them it looks like."""

    def __init__(self, faults: Faults) -> None:
        self.format: int | None = None
        self.seen = bytearray()
        self._faults = faults
        self._octets = 0

    def feed(self, data: bytes) -> bytes:
        """What is left of `data` once the format is known."""
        seen = self.seen
        for at, octet in enumerate(data):
            seen.append(octet)
            if len(seen) > 2 * WINDOW:
                del seen[:WINDOW]
            self._octets += 1
            if self._octets == ENOUGH:
                self._faults.add("format-unknown", self._hint())
            self.format = self._look(seen, octet)
            if self.format is not None:
                del seen[:-WINDOW]
                return data[at + 1 :]
        return b""

    @staticmethod
    def _look(seen: bytearray, octet: int) -> int | None:
        """The format whose frames end with the newest octet."""
        if len(seen) >= SURE[2] and seen[-5] == seen[-10] == seen[-15] == nonin.START and _good(seen, 2):
            return 2
        if len(seen) >= SURE[7] and seen[-5] & seen[-10] & seen[-15] & seen[-20] & 0x80 and _good(seen, 7):
            return 7
        if octet == 0x03:
            at = seen.rfind(nonin.SPOT_HEADER)
            if at >= 0:
                try:
                    nonin.decode_spot_check(bytes(seen[at:]))
                except FrameError:
                    return None
                return 13
        return None

    def _hint(self) -> str:
        seen = bytes(self.seen[-WINDOW:])
        seen = seen[next((i for i, octet in enumerate(seen) if octet & 0x80), 0) :]
        for number, size in ((8, 4), (1, 3)):
            if all(bool(octet & 0x80) == (i % size == 0) for i, octet in enumerate(seen)):
                return f"this looks like data format {number}, which has no checksum: set `format: {number}`"
        return "no data format with a checksum was recognised: set `format` as the oximeter is set"


def _good(seen: bytearray, number: int) -> bool:
    """Whether the newest octets are good frames of this format, as many as make sure."""
    decode = nonin.decode_frame2 if number == 2 else nonin.decode_frame7
    try:
        for at in range(len(seen) - SURE[number], len(seen), nonin.FRAME):
            decode(bytes(seen[at : at + nonin.FRAME]))
    except FrameError:
        return False
    return True
