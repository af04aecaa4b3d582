"""Why a frame, or the value of a characteristic, is refused."""

from __future__ import annotations


class FrameError(ValueError):
    """A frame is not what it should be; `kind` is a word of the vectors: truncated, bad_sync, bad_length, ..."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind
