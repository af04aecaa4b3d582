"""Twin of a DS18B20, and the folder in which the kernel would show it."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

from gatepost.drivers.driver import Twin
from gatepost.drivers.onewire.scratchpad import encode_w1_slave

Sleep = Callable[[float], Awaitable[None]]


class Ds18b20Twin:
    """A temperature that wanders; each tick is the text of the file as it is read then."""

    interval = 1.0

    def __init__(self, seed: int = 0) -> None:
        self.temperature = 21.0
        self._random = random.Random(seed)  # noqa: S311  # a simulation

    def tick(self) -> bytes:
        self.temperature = min(40.0, max(-10.0, self.temperature + self._random.randint(-3, 3) / 16))
        return encode_w1_slave(self.temperature).encode("ascii")

    def hear(self, data: bytes) -> bytes:
        return b""


class W1Folder:
    """A sensor as a folder with a file `w1_slave`, like those under /sys/bus/w1/devices; `update` is a tick."""

    def __init__(self, twin: Twin, folder: Path) -> None:
        self.folder = folder
        self._twin = twin

    def update(self) -> None:
        """Also brings it back after `vanish`."""
        self.write(self._twin.tick())

    def write(self, text: bytes) -> None:
        """What the file holds; exchanged at once, so that no reader sees half of it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        fresh = self.folder / ".w1_slave.new"
        fresh.write_bytes(text)
        fresh.replace(self.folder / "w1_slave")

    async def run(self, speed: float = 1.0, sleep: Sleep = asyncio.sleep) -> None:
        """A tick now and then, until it is cancelled; the folder goes with it."""
        try:
            while True:
                self.update()
                await sleep(self._twin.interval / speed)
        finally:
            self.vanish()

    def vanish(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
