"""Weight on a simulated scale: somebody steps on it now and then, it moves, then it rests."""

from __future__ import annotations

import random


class SettlingWeight:
    """Twin of a scale that prints by itself (`streams`) or is asked in lines."""

    interval = 0.5

    def __init__(self, seed: int, streams: bool) -> None:
        self.streams = streams
        self._random = random.Random(seed)  # noqa: S311  # a simulation
        self._weight = 72.0
        self._settling = 0  # lines until it rests
        self._wants_stable = False
        self._rest = b""

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
        raise NotImplementedError

    def _line(self) -> bytes:
        raise NotImplementedError
