"""Twin of a CAS indicator."""

from __future__ import annotations

import random

from gatepost.drivers.serial.scales.cas_format import CasWeighing, encode_full


class CasTwin:
    """Something is put on it now and then; prints without being asked, in any of the three forms."""

    interval = 0.2

    def __init__(self, seed: int = 0, form: str = "22") -> None:
        self.form = form
        self._random = random.Random(seed)  # noqa: S311  # a simulation
        self._weight = 72.0
        self._settling = 0

    def tick(self) -> bytes:
        if self._settling:
            self._settling -= 1
        elif self._random.random() < 0.05:
            self._settling = 8
            self._weight = round(self._random.uniform(55, 95), 1)
        shown = self._weight + (self._random.uniform(-3, 3) if self._settling else 0.0)
        still = not self._settling
        state = "stable" if still else "unstable"
        if self.form == "18":
            return f"{'ST' if still else 'US'},GS,{shown:+8.1f}kg\r\n".encode("ascii")
        if self.form == "10":
            return f"{shown:08.1f}\r\n".encode("ascii")
        return encode_full(CasWeighing(state, "gross", shown, "kg", 0x31, still, False, False, True, False, False))

    def hear(self, data: bytes) -> bytes:
        return b""
