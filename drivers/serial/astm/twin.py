"""Twin of a meter that sends its memory by ASTM E1381 and E1394."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from gatepost.drivers.serial.astm.frames import ACK, ENQ, EOT, NAK, AstmFrame, encode_frame

START = datetime(2026, 1, 5, 8, 0)  # noqa: DTZ001  # the meter has no zone
RETRIES = 6  # times a frame is sent again
MAX_SILENT_TICKS = 3  # ticks without an answer after which it gives up


class AstmTwin:
    """Each tick without a transfer is a new measurement and the beginning of a transfer of all there is."""

    interval = 5.0
    serial = "7390-0000001"

    def __init__(self, seed: int = 0, results: int = 10) -> None:
        self.results: list[str] = []
        self.sent = 0  # frames of this transfer that were acknowledged
        self.transfers = 0  # that went through
        self._random = random.Random(seed)  # noqa: S311  # a simulation
        self._clock = START
        self._frames: list[bytes] = []
        self._asking = False
        self._tries = self._waited = 0
        for _ in range(results):
            self.measure()

    @property
    def busy(self) -> bool:
        return self._asking or bool(self._frames)

    def measure(self, value: str = "", marks: str = "") -> None:
        """Put a result into the memory."""
        self._clock += timedelta(minutes=self._random.randint(60, 400))
        value = value or str(self._random.randint(65, 220))
        marks = marks or self._random.choice(("", "B", "A", "B/X"))
        self.results.append(f"^^^Glucose|{value}|mg/dL^P||{marks}||{self._clock:%Y%m%d%H%M}")

    def tick(self) -> bytes:
        if self.busy:
            self._waited += 1
            if self._waited < MAX_SILENT_TICKS:
                return b""
            return self._give_up()
        self.measure()
        return self.ask()

    def ask(self) -> bytes:
        """Begin a transfer."""
        records = self._records()
        last = len(records) - 1
        self._frames = [
            encode_frame(AstmFrame((i + 1) % 8, i == last, text.encode("ascii") + b"\r"))
            for i, text in enumerate(records)
        ]
        self._asking, self.sent = True, 0
        self._tries = self._waited = 0
        return bytes((ENQ,))

    def _records(self) -> list[str]:
        return [
            f"H|\\^&||0|Bayer7390^01.24\\01.04\\09.02.20^{self.serial}^7403-|A=1|{len(self.results)}"
            f"||||||1|{self._clock:%Y%m%d%H%M}",
            "P|1",
            *(f"R|{i}|{result}" for i, result in enumerate(self.results, 1)),
            f"L|1||N|{len(self.results)}",
        ]

    def hear(self, data: bytes) -> bytes:
        return b"".join(self._answered(octet) for octet in data if octet in (ACK, NAK, EOT))

    def _answered(self, octet: int) -> bytes:
        if not self.busy:
            return self.ask() if octet == EOT else b""  # EOT wakes it
        self._waited = 0
        if octet == EOT:
            return b""
        if octet == NAK:
            self._tries += 1
            return self._give_up() if self._tries > RETRIES or self._asking else self._frames[0]
        self._tries = 0
        if self._asking:
            self._asking = False
        else:
            self._frames.pop(0)
            self.sent += 1
        if self._frames:
            return self._frames[0]
        self.transfers += 1
        return bytes((EOT,))

    def _give_up(self) -> bytes:
        self._frames, self._asking = [], False
        return bytes((EOT,))


class AnalyserTwin(AstmTwin):
    """Twin of an analyser: each transfer is the results of one specimen, every tenth of a control."""

    _TESTS = (("685/", "U/l", 22.0), ("712/", "umol/l", 4.1), ("717/", "mmol/l", 5.6), ("989/", "mmol/l", 140.0))

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed, results=0)
        self._specimen = 0

    def measure(self, value: str = "", marks: str = "") -> None:
        self._clock += timedelta(minutes=self._random.randint(1, 30))
        self._specimen += 1
        time = f"{self._clock:%Y%m%d%H%M%S}"
        self.results = []
        for test, unit, middle in self._TESTS:
            shown, mark = f"{middle * self._random.uniform(0.9, 1.2):.1f}", self._random.choice("NNNH")
            self.results.append(f"^^^{test}|{shown}|{unit}||{mark}||F|||{time}|{time}")

    def _records(self) -> list[str]:
        action = "Q" if self._specimen % 10 == 9 else "N"
        return [
            f"H|\\^&|||Analyser^1|||||host|RSUPL^REAL|P|1|{self._clock:%Y%m%d%H%M%S}",
            "P|1",
            f"O|1|S{self._specimen:05}||^^^ALL|R||||||{action}||||SC",
            *(f"R|{i}|{result}" for i, result in enumerate(self.results, 1)),
            "L|1|N",
        ]
