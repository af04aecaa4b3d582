"""Twin of a balance with MT-SICS."""

from __future__ import annotations

from gatepost.drivers.serial.scales.mt_sics_format import encode_weight
from gatepost.drivers.serial.scales.settling_weight import SettlingWeight


class MtSicsTwin(SettlingWeight):
    """Something is put on it now and then: it moves, then it rests. Answers S, SI, SIR, I4 and @; refuses the rest."""

    def __init__(self, seed: int, streams: bool) -> None:
        super().__init__(seed, streams)
        self.number = "B021002593"
        self.words: list[bytes] = []  # that it heard

    def _obey(self, command: bytes) -> bytes:
        self.words.append(command)
        del self.words[:-1000]
        if command == b"I4":
            return f'I4 A "{self.number}"\r\n'.encode("ascii")
        if command in (b"S", b"SI", b"SIR", b"@"):
            self.streams = command == b"SIR"
            self._wants_stable = command == b"S" and self._settling > 0
            if command == b"@":
                return f'I4 A "{self.number}"\r\n'.encode("ascii")
            return b"" if self._wants_stable else self._line()
        return b"ES\r\n"

    def _line(self) -> bytes:
        if self._settling:
            return encode_weight(self._weight + self._random.uniform(-3, 3), "kg", stable=False)
        return encode_weight(self._weight, "kg", stable=True)
