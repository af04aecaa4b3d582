"""Simulated ECG boards on real PTYs, whose samples count: a missing one, or one out of order, is seen at the far end.

`form` "frames": the octets of a ProtoCentral ADS1292R, a frame for each sample, 25 times a second. "lines": for the
floor, which knows no protocol, the same samples as ready blocks, a JSON line a second. A board whose port is full says
nothing at that moment (`skipped`).
"""

from __future__ import annotations

import json
import select
import sys
import time
from pathlib import Path
from typing import Any

from gatepost.drivers.serial.protocentral.twin import ProtocentralTwin
from tools.harness.commands import CommandLines, say
from tools.harness.pty_port import PtyPort

WRAP = 0x10000  # samples count modulo this, as signed 16-bit numbers


def counted(number: int) -> int:
    """The sample of this number."""
    return (number + WRAP // 2) % WRAP - WRAP // 2


class Board(PtyPort):
    """One board behind one PTY; `samples` were written whole, or are about to be."""

    def __init__(self, link: Path, rate: int, form: str) -> None:
        super().__init__(link)
        self.skipped = 0
        self._rate = rate
        self._twin = ProtocentralTwin(1, rate, ramp=True) if form == "frames" else None
        self._blocks = 0
        self.interval = 1.0 if self._twin is None else self._twin.interval

    @property
    def samples(self) -> int:
        return self._blocks * self._rate if self._twin is None else self._twin.samples

    def tick(self) -> None:
        if not self.push():
            self.skipped += 1
            return
        self.pending = self._block() if self._twin is None else self._twin.tick()
        self.push()

    def _block(self) -> bytes:
        first = self._blocks * self._rate
        self._blocks += 1
        samples = [counted(number) for number in range(first, first + self._rate)]
        block = {"n": self._blocks, "channel": "ecg", "samples": samples, "rate_hz": self._rate}
        return json.dumps(block, separators=(",", ":")).encode() + b"\n"


class WaveFeeder:
    """Commands: start, stop, stats."""

    def __init__(self, folder: str, devices: int, rate: int, form: str) -> None:
        self._boards = [Board(Path(folder) / f"tty-{index}", rate, form) for index in range(devices)]
        self._running = False
        self._next = 0.0
        self._commands = CommandLines()

    def run(self) -> None:
        say({"ports": [board.path for board in self._boards]})
        while self._obey(self._feed()):
            pass

    def _feed(self) -> float:
        if not self._running:
            for board in self._boards:
                board.push()
            return 0.05
        now = time.monotonic()
        if now >= self._next:
            for board in self._boards:
                board.tick()
            self._next += self._boards[0].interval
        return max(0.0, self._next - time.monotonic())

    def _obey(self, pause: float) -> bool:
        if not select.select([0], [], [], pause)[0]:
            return True
        asked = self._commands.read()
        for each in asked or ():
            if each["do"] in ("start", "stop"):
                self._running = each["do"] == "start"
                self._next = time.monotonic()
            say(self._stats())
        return asked is not None

    def _stats(self) -> dict[str, Any]:
        return {
            "samples": [board.samples for board in self._boards],
            "skipped": sum(board.skipped for board in self._boards),
            "pending": sum(bool(board.pending) for board in self._boards),
        }


if __name__ == "__main__":
    WaveFeeder(**json.loads(sys.argv[1])).run()
