"""Synchronisation of binary decoders: frames in a stream, and the rule of two consistent frames."""

from __future__ import annotations

from typing import Generic, TypeVar

from gatepost.drivers.reading import Faults

T = TypeVar("T")


class FrameTrust:
    """For protocols without a checksum: nothing counts until two frames in a row, without a stray octet between
    them, say nearly the same. Losing sync takes the trust away."""

    def __init__(self, *tolerances: int) -> None:
        self._tolerances = tolerances
        self._last: tuple[int | None, ...] | None = None
        self._trusted = False

    def lose(self) -> None:
        self._last = None
        self._trusted = False

    def judge(self, *numbers: int | None) -> bool:
        """Whether a frame with these numbers may be believed."""
        if not self._trusted:
            last, self._last = self._last, numbers
            self._trusted = last is not None and all(
                _near(ours, theirs, tolerance)
                for ours, theirs, tolerance in zip(numbers, last, self._tolerances, strict=True)
            )
        return self._trusted


def _near(ours: int | None, theirs: int | None, tolerance: int) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    return abs(ours - theirs) <= tolerance


STRANGE = 400  # octets in a row without a frame


class StrangerDetector:
    """Tells once when what is heard is not this protocol at all: another device, or other line settings."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._skipped = 0

    def skip(self, octets: int = 1) -> None:
        before, self._skipped = self._skipped, self._skipped + octets
        if before < STRANGE <= self._skipped:
            self._faults.add(
                "not-this-protocol",
                f"{STRANGE} octets and no frame of this device: check `driver`, its options, `baudrate`, `parity`",
            )

    def known(self) -> None:
        """A frame was there."""
        self._skipped = 0


class FrameScanner(Generic[T]):
    """Octets in any chunks -> frames. `None` in the result stands where octets were lost between two of them. A
    protocol says in `look` where its frames are."""

    what = "frame"

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._rest = b""
        self._lost = True  # the first octets after opening may be the end of a frame: no fault
        self._stranger = StrangerDetector(faults)

    def feed(self, data: bytes) -> list[T | None]:
        data = self._rest + data
        found: list[T | None] = []
        at = 0
        while at < len(data):
            size, frame = self.look(data, at)
            if not size:
                break
            if frame is None:
                self.skip(data[at : at + size], found)
            else:
                self._lost = False
                self._stranger.known()
                found.append(frame)
            at += size
        self._rest = data[at:]
        return found

    def look(self, data: bytes, at: int) -> tuple[int, T | None]:
        """How many octets from `at` on are done with, and the frame that they are: None = they are in no frame. No
        octets: more must come."""
        raise NotImplementedError

    def skip(self, octets: bytes, found: list[T | None]) -> None:
        """Octets that are in no frame: a fault for each place where some stand."""
        self.lose(found)
        self._stranger.skip(len(octets))

    def lose(self, found: list[T | None]) -> None:
        if not self._lost:
            self._lost = True
            self._faults.add("resync", f"octets that belong to no {self.what} were skipped")
            found.append(None)
