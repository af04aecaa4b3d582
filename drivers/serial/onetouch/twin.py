"""Twin of a OneTouch Ultra2."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from gatepost.drivers.serial.onetouch.lines import clock_text, encode_line

START = datetime(2026, 1, 5, 8, 0)  # noqa: DTZ001  # the meter has no zone
MEMORY_SIZE = 500  # records in its memory


class OneTouchTwin:
    """Answers commands; a tick is a measurement a few hours later. `plugged` False: it hears and says nothing."""

    interval = 60.0

    def __init__(self, seed: int = 0, records: int = 20, serial: str = "TWN00001Y") -> None:
        self.plugged = True
        self.serial = serial
        self.clock = START
        self.memory: list[str] = []  # the newest first, as the meter tells them
        self.erased = False
        self._random = random.Random(seed)  # noqa: S311  # a simulation
        self._heard = b""
        for _ in range(records):
            self.measure()

    def tick(self) -> bytes:
        self.measure()
        return b""

    def measure(self, shown: str = "", control: bool = False) -> None:
        """Put a result into the memory."""
        self.clock += timedelta(seconds=self._random.randint(3600, 20000))
        shown = shown or f"{self._random.randint(65, 220):3d} "
        meal = self._random.choice("NNBA")
        text = f'P {clock_text(self.clock)},"{"C" if control else " "} {shown}","{meal}","00", 00'
        self.memory = [text, *self.memory][:MEMORY_SIZE]

    def hear(self, data: bytes) -> bytes:
        if not self.plugged:
            return b""
        *commands, self._heard = (self._heard + data)[-256:].split(b"\r")
        return b"".join(self._obey(command.strip(b"\x11").decode("latin-1")) for command in commands)

    def _obey(self, command: str) -> bytes:
        match command:
            case "DM@":
                return encode_line(f'@ "{self.serial}"')
            case "DM?":
                return encode_line("?P02.00.00 30/08/06")
            case "DMSU?":
                return encode_line('SU?,"MG/DL "')
            case "DMF":
                return encode_line(f"F {clock_text(self.clock)}")
            case "DMP":
                head = f'P {len(self.memory):03d},"{self.serial}","MG/DL "'
                return b"".join(encode_line(text) for text in (head, *self.memory))
            case "DMZ":
                self.erased = True
                self.memory = []
                return encode_line("Z")
        if command.startswith("DMT"):
            try:
                self.clock = datetime.strptime(command, "DMT%m/%d/%y %H:%M:%S")  # noqa: DTZ007  # it has no zone
            except ValueError:
                return b""
            return encode_line(f"T {clock_text(self.clock)}")
        return b""
