"""Synchronisation of binary decoders: refused frames, and the rule of two consistent frames."""

from __future__ import annotations

from gatepost.drivers.reading import Faults


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
