"""What binary decoders share: why a frame is refused, and the rule of two consistent frames."""

from __future__ import annotations

from drivers.frames import FrameError as FrameError


class Trust:
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
