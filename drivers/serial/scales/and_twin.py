"""Twin of a scale with the A&D standard format."""

from __future__ import annotations

from gatepost.drivers.serial.scales.and_format import AndWeighing, encode_line
from gatepost.drivers.serial.scales.settling_weight import SettlingWeight


class AndTwin(SettlingWeight):
    """Somebody steps on it now and then: a few unstable lines, then stable ones. Prints by itself or when asked."""

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
