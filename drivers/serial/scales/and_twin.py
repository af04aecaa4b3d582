"""Twin of a scale with the A&D standard format."""

from __future__ import annotations

import random

from gatepost.drivers.serial.scales.and_format import AndWeighing, encode_line


class AndTwin:
    """Somebody steps on it now and then: a few unstable lines, then stable ones. Prints by itself or when asked."""

    def __init__(self, seed: int = 0, interval: float = 0.5, streams: bool = True) -> None:
        self.interval = interval
        self.streams = streams
        self._random = random.Random(seed)  # noqa: S311  # a simulation
        self._weight = 72.0
        self._settling = 0
        self._rest = b""
        self._wants_stable = False

    def tick(self) -> bytes:
        if self._settling:
            self._settling -= 1
        elif self._random.random() < 0.1:
            self._settling = 4
            self._weight = round(self._random.uniform(55, 95), 2)
        if self.streams or (self._wants_stable and not self._settling):
            self._wants_stable = False
            return self._line()
        return b""

    def hear(self, data: bytes) -> bytes:
        *commands, self._rest = (self._rest + data)[-64:].split(b"\r\n")
        return b"".join(self._obey(command) for command in commands)

    def _obey(self, command: bytes) -> bytes:
        if command in (b"Q", b"SI"):
            return self._line()
        if command == b"S":
            if not self._settling:
                return self._line()
            self._wants_stable = True
            return b""
        if command == b"SIR":
            self.streams = True
            return b""
        if command == b"C":
            self.streams = self._wants_stable = False
            return b""
        return b"EC,E01\r\n"

    def _line(self) -> bytes:
        if self._settling:
            return encode_line(AndWeighing("unstable", self._weight + self._random.uniform(-3, 3), "kg"))
        return encode_line(AndWeighing("stable", self._weight, "kg"))
