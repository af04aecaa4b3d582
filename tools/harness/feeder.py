"""Simulated devices on real PTYs: each prints JSON lines, at a pace or as fast as the other side takes them.

The feeder keeps the far end of every PTY open too, so that a killed reader does not take the device away. What was
written while nobody read waits in the kernel (up to 68 KiB a port) and is thrown away by the next opening: such lines
were never taken. A paced device that finds its port full says nothing at that moment (`skipped`); a counter is used
up only by a line that was written whole.
"""

from __future__ import annotations

import fcntl
import heapq
import json
import select
import sys
import termios
import time
from pathlib import Path
from typing import Any

from tools.harness.commands import CommandLines, say
from tools.harness.pty_port import PtyPort

TIOCNXCL = getattr(termios, "TIOCNXCL", 0x540D)
CHUNK = 40  # lines to a write when feeding as fast as it goes


class Port(PtyPort):
    """One simulated device."""

    def __init__(self, link: Path) -> None:
        super().__init__(link)
        self.n = 0  # lines handed to the kernel whole, or about to be

    def line(self, urgent: int) -> bytes:
        self.n += 1
        hot = urgent and self.n % urgent == 0
        temperature = 99.5 if hot else 20 + self.n % 100 / 10
        return b'{"n":%d,"t":%.1f,"ts":%d}\n' % (self.n, temperature, time.time_ns())

    def trim(self) -> None:
        """Keeps only the rest of the line that was begun; the others count as never written."""
        if self.pending:
            kept, end, dropped = self.pending.partition(b"\n")
            self.pending = kept + end
            self.n -= dropped.count(b"\n")


class Feeder:
    """Feeds every port; `rate` is lines a second over all of them, None = as fast as it goes, 0 = silent."""

    def __init__(self, folder: str, devices: int, urgent: int = 0) -> None:
        self.ports = [Port(Path(folder) / f"tty-{index}") for index in range(devices)]
        self.urgent = urgent
        self.rate: float | None = 0.0
        self.limit: int | None = None  # lines a device, counted from 1
        self.skipped = 0
        self._due: list[tuple[float, int]] = []
        self._commands = CommandLines()

    def run(self) -> None:
        say({"ports": [port.path for port in self.ports]})
        while self._obey(self._feed()):
            pass

    def _feed(self) -> float:
        """One turn; returns how many seconds may pass until the next."""
        for port in self.ports:
            if port.pending and self.rate is not None:
                port.push()
        if self.rate is None:
            return self._flood()
        if not self.rate:
            return 0.05 if any(port.pending for port in self.ports) else 1.0
        now = time.monotonic()
        step = len(self.ports) / self.rate
        while self._due and self._due[0][0] <= now:
            due, index = heapq.heappop(self._due)
            port = self.ports[index]
            if self.limit is not None and port.n >= self.limit:
                continue
            if port.push():
                port.pending = port.line(self.urgent)
                port.push()
            else:
                self.skipped += 1
            heapq.heappush(self._due, (due + step if now - due < 1 else now + step, index))
        return max(0.0, self._due[0][0] - time.monotonic()) if self._due else 1.0

    def _flood(self) -> float:
        ready = {port.master: port for port in self.ports if port.pending or not self._done(port)}
        if not ready:
            return 1.0
        for master in select.select([], list(ready), [], 0.05)[1]:
            port = ready[master]
            if not port.pending:
                lines = CHUNK if self.limit is None else min(CHUNK, self.limit - port.n)
                port.pending = b"".join(port.line(self.urgent) for _ in range(lines))
            port.push()
        return 0.0

    def _done(self, port: Port) -> bool:
        return self.limit is not None and port.n >= self.limit

    def _obey(self, pause: float) -> bool:
        """Waits for the next turn or a command; False = end."""
        if not select.select([0], [], [], pause)[0]:
            return True
        asked = self._commands.read()
        for each in asked or ():
            say(self._command(each))
        return asked is not None

    def _command(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["do"] == "feed":
            self.rate, self.limit = asked.get("rate"), asked.get("limit")
            now = time.monotonic()
            count = len(self.ports)
            self._due = [(now + index / self.rate, index) for index in range(count)] if self.rate else []
        elif asked["do"] == "stop":
            self.rate = 0.0
            for port in self.ports:
                port.trim()
                port.push()
        elif asked["do"] == "release":  # a killed reader leaves its claim on a PTY that never quite closes
            for port in self.ports:
                fcntl.ioctl(port.slave, TIOCNXCL)
        return {
            "fed": [port.n for port in self.ports],
            "skipped": self.skipped,
            "pending": sum(bool(port.pending) for port in self.ports),
            "done": all(self._done(port) and not port.pending for port in self.ports),
        }


if __name__ == "__main__":
    Feeder(**json.loads(sys.argv[1])).run()
