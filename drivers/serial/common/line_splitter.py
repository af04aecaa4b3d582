"""Octets in any chunks -> lines. CR, LF and CR LF end a line, or an ending of one's own; the memory is bounded."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat

from gatepost.drivers.reading import Faults


class LineSplitter:
    """`feed(bytes)` -> complete lines without their ending; empty ones are left out.

    A line longer than `limit` octets is dropped whole and counted as `too-long`, and reading goes on after its ending.
    The first line after opening may have lost its beginning: `fresh` is true until it has ended, and `cut` is true
    after the feed that returned it (as its first element). With `holes` an empty line stands where one was dropped.
    """

    def __init__(self, faults: Faults, limit: int = 4096, ending: bytes | None = None, *, holes: bool = False) -> None:
        self._faults = faults
        self._limit = limit
        self._ending = ending or b"\n"
        self._any = ending is None
        self._holes = holes
        self._tail = b""
        self._dropping = False
        self.fresh = True
        self.cut = False

    def lines(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """Each line, and whether it may have lost its beginning."""
        found = self.feed(data)
        return zip(found, (self.cut, *repeat(False, len(found))), strict=False)

    def feed(self, data: bytes) -> list[bytes]:
        self.cut = False
        if self._any and b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")  # one cut in two gives an empty line: left out
        if self._tail:
            data = self._tail + data
        if self._dropping:
            dropped, found, data = data.partition(self._ending)
            if not found:
                self._tail = self._partial_ending(dropped)
                return []
            self._dropping = self.fresh = False
        lines = data.split(self._ending)
        self._tail = lines.pop()
        if self.fresh and lines:
            self.fresh = False
            self.cut = 0 < len(lines[0]) <= self._limit
        lines = [line for line in lines if line]
        return self._bounded(lines) if len(data) > self._limit else lines

    def _bounded(self, lines: list[bytes]) -> list[bytes]:
        kept = [line if len(line) <= self._limit else b"" for line in lines]
        if len(self._tail) > self._limit + len(self._ending) - 1:
            self._dropping = True
            self._tail = self._partial_ending(self._tail)
            kept.append(b"")
        dropped = kept.count(b"")
        if dropped:
            self._too_long(dropped)
        return kept if self._holes else [line for line in kept if line]

    def _partial_ending(self, data: bytes) -> bytes:
        """The end of `data` that may be the beginning of an ending."""
        return data[len(data) - len(self._ending) + 1 :] if len(self._ending) > 1 else b""

    def _too_long(self, times: int) -> None:
        self._faults.add("too-long", f"a line is longer than {self._limit} octets", times)
