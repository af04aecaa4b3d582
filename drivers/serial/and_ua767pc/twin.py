"""Twin of an A&D UA-767PC."""

from __future__ import annotations

import random

from gatepost.drivers.serial.and_ua767pc.record import CuffResult, encode_result


class Ua767Twin:
    """One measurement a tick; now and then one that failed. Says nothing once remote mode was closed."""

    interval = 15.0

    def __init__(self, seed: int = 0) -> None:
        self.remote = True
        self._random = random.Random(seed)  # noqa: S311  # a simulation
        self._heard = b""

    def tick(self) -> bytes:
        if not self.remote:
            return b""
        return encode_result(self._measure()) + b"\r\n"

    def hear(self, data: bytes) -> bytes:
        self._heard = (self._heard + data)[-64:]
        opened, closed = self._heard.rfind(b"\x02CPC05\x3b"), self._heard.rfind(b"\x02CPC04\x3a")
        if opened != closed:
            self.remote = opened > closed
        return b""

    def _measure(self) -> CuffResult:
        if self._random.random() < 0.1:
            return CuffResult(self._random.randint(1, 5))
        diastolic = self._random.randint(65, 90)
        systolic = diastolic + self._random.randint(30, 60)
        return CuffResult(0x80, systolic, diastolic, self._random.randint(55, 90), (systolic + 2 * diastolic) // 3)
