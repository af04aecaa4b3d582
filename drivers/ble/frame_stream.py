"""Frames of makers' protocols that come over several notifications, found in a stream of octets; sans-I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Generic, TypeVar

from gatepost.drivers.checksums import FrameError

F = TypeVar("F")


class FrameStream(Generic[F]):
    """Frames in a stream of octets; what is damaged is told to `on_fault`, and the next frame is looked for."""

    start: ClassVar[int]  # first octet of a frame
    head: ClassVar[int]  # octets that tell how long it is

    def __init__(self, on_fault: Callable[[FrameError], None]) -> None:
        self._on_fault = on_fault
        self._held = b""

    @property
    def holding(self) -> bool:
        return bool(self._held)

    def clear(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> list[F]:
        self._held += data
        out: list[F] = []
        while self._held:
            if wrong := "bad_sync" if self._held[0] != self.start else self._wrong(self._held):
                self._skip(wrong)
                continue
            if len(self._held) < self.head or len(self._held) < (end := self._end(self._held)):
                break
            if wrong := self._damage(self._held[:end]):
                self._skip(wrong)
                continue
            out.append(self._frame(self._held[:end]))
            self._held = self._held[end:]
        return out

    def _skip(self, kind: str) -> None:
        """The next octet that may begin a frame is looked for; what lies before it is part of this fault."""
        self._on_fault(FrameError(kind))
        at = self._held.find(self.start, 1)
        self._held = self._held[at:] if at > 0 else b""

    # -- of each protocol

    def _wrong(self, held: bytes) -> str:
        """The kind of what is wrong with a head, of which only a part may be there; "" = nothing so far."""
        raise NotImplementedError

    def _end(self, held: bytes) -> int:
        """Length of the frame, by its head."""
        raise NotImplementedError

    def _damage(self, frame: bytes) -> str:
        """The kind of what is wrong with a frame, "" = nothing."""
        raise NotImplementedError

    def _frame(self, frame: bytes) -> F:
        raise NotImplementedError
