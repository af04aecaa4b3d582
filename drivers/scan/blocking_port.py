"""Serial port that a scan listens at. Everything here blocks, for a bounded time: it runs in a thread."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from typing import Any, Self

from gatepost.drivers.driver import SerialSettings
from gatepost.drivers.link import LinkFailed
from gatepost.drivers.serial.port.link_errors import explain, lost
from gatepost.drivers.serial.port.open_port import change_line, close_port, has_descriptor, is_pty, open_port

STEP = 0.1  # seconds between two looks whether it is over
READ = 4096
MAX_RECEIVED = 1 << 18  # octets of one hearing: a line at 921600 baud says less in two seconds


class BlockingPort:
    """`with BlockingPort(port, line)`: opened exclusively, always closed. LinkFailed when it does not open, is lost or
    does not take what is said. `plain`: it has no speed, so one hearing is all there is."""

    def __init__(self, port: str, line: SerialSettings, over: Callable[[], bool]) -> None:
        self.port = port
        self.line = line
        self.plain = "://" in port or is_pty(port)
        self._over = over
        self._handle: Any = None

    def __enter__(self) -> Self:
        try:
            self._handle = open_port(self.port, self.line, None, None)
        except Exception as exc:
            raise explain(self.port, exc) from exc
        if not has_descriptor(self._handle):
            self._handle.timeout = STEP
        return self

    def __exit__(self, *exc: object) -> None:
        handle, self._handle = self._handle, None
        close_port(handle)

    def tune(self, line: SerialSettings) -> None:
        """Listen with these settings from now on."""
        if self.plain:
            return
        try:
            change_line(self._handle, line)
        except Exception as exc:
            raise explain(self.port, exc) from exc
        self.line = line

    def hear(self, seconds: float, take: Callable[[bytes], None], enough: Callable[[], bool]) -> None:
        """Give `take` what is said within this time, until it is `enough`."""
        end, octets = time.monotonic() + seconds, 0
        while octets < MAX_RECEIVED and not self._over():
            left = end - time.monotonic()
            if left <= 0:
                return
            data = self._read(min(left, STEP))
            if data:
                octets += len(data)
                take(data)
                if enough():
                    return

    def say(self, data: bytes) -> None:
        try:
            self._handle.write_timeout = 1.0
            self._handle.write(data)
        except Exception as exc:
            raise explain(self.port, exc) from exc

    def _read(self, seconds: float) -> bytes:
        try:
            if not has_descriptor(self._handle):
                return bytes(self._handle.read(max(1, min(READ, self._handle.in_waiting))))
            descriptor = self._handle.fileno()
            if not select.select([descriptor], [], [], seconds)[0]:
                return b""
            data = os.read(descriptor, READ)
        except (BlockingIOError, InterruptedError):
            return b""
        except LinkFailed:
            raise
        except Exception as exc:
            raise lost(self.port, exc) from exc
        if not data:
            raise lost(self.port, EOFError("hang-up"))
        return data
