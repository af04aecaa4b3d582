"""Twin on a real PTY: for the demo, `gatepost simulate` and tests. It can vanish and come back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import tty
from collections.abc import Awaitable, Callable
from pathlib import Path

from gatepost.drivers.driver import Twin

Sleep = Callable[[float], Awaitable[None]]
READ = 4096
RETRY_PAUSE = 0.05  # seconds between two looks whether a full PTY takes octets again


class PtyTwin:
    """Runs `twin` behind a PTY whose slave is linked at `path`, until `close`.

    `sleep` paces it (seconds between ticks are the twin's, divided by `speed`). When nobody reads and the PTY is
    full, a tick is lost and counted in `dropped`, as on a real line; with `patient` the twin waits instead.
    """

    def __init__(
        self, twin: Twin, path: Path, *, speed: float = 1.0, patient: bool = False, sleep: Sleep = asyncio.sleep
    ) -> None:
        self.path = path
        self.sent = 0  # ticks that went out whole
        self.dropped = 0  # ticks that did not
        self._twin = twin
        self._speed = speed
        self._patient = patient
        self._sleep = sleep
        self._master = -1
        self._slave = -1
        self._spare: tuple[int, int] | None = None
        self._ticking: asyncio.Task[None] | None = None

    @property
    def present(self) -> bool:
        return self._master >= 0

    @property
    def device(self) -> str:
        """The number under which it is there now, /dev/pts/N."""
        return os.ttyname(self._slave)

    async def __aenter__(self) -> PtyTwin:
        await self.appear()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def appear(self) -> None:
        """Plug it in; after `vanish` under another number."""
        if self.present:
            return
        self._master, self._slave = self._spare or pty.openpty()
        self._spare = None
        tty.setraw(self._slave)  # the slave stays open here: a PTY without one hangs up on its master
        os.set_blocking(self._master, False)
        fresh = self.path.with_name(f".{self.path.name}.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.ttyname(self._slave))
        fresh.replace(self.path)
        asyncio.get_running_loop().add_reader(self._master, self._hear)
        self._ticking = asyncio.create_task(self._tick())

    async def vanish(self) -> None:
        """Unplug it: the link goes, whoever has it open gets a hang-up."""
        if not self.present:
            return
        self._spare = pty.openpty()  # taken before the old one goes, so that the next number differs
        await self._unplug()

    async def close(self) -> None:
        if self.present:
            await self._unplug()
        if self._spare is not None:
            for descriptor in self._spare:
                os.close(descriptor)
            self._spare = None

    async def _unplug(self) -> None:
        task, self._ticking = self._ticking, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        with contextlib.suppress(OSError):
            if os.readlink(self.path) == os.ttyname(self._slave):  # else somebody else's by now
                self.path.unlink()
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._slave)
        os.close(self._master)
        self._master = self._slave = -1

    async def _tick(self) -> None:
        while True:
            await self._say(self._twin.tick())
            await self._sleep(self._twin.interval / self._speed)

    async def _say(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._master, data) :]
            except BlockingIOError:
                if not self._patient:
                    self.dropped += 1
                    return
                await asyncio.sleep(RETRY_PAUSE)
        self.sent += 1

    def _hear(self) -> None:
        try:
            heard = os.read(self._master, READ)
        except (BlockingIOError, InterruptedError):
            return
        answer = self._twin.hear(heard)
        if answer:
            with contextlib.suppress(BlockingIOError):  # nobody reads: an answer is lost like any octet
                os.write(self._master, answer)
