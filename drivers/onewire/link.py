"""Link to a sensor of the Linux kernel's 1-wire driver: its file is read at an interval, off the event loop.

Reading `w1_slave` makes the sensor measure and takes up to a second, longer on a bad bus; no read is waited for beyond
a limit. Errors are LinkFailed, as those of the serial link.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from pathlib import Path

from gatepost.drivers.link import LinkFailed, Reason
from gatepost.drivers.serial.port.blocking_call import bounded, in_thread
from gatepost.drivers.serial.port.link_errors import explain, lost, timed_out

ROOT = Path("/sys/bus/w1/devices")
FILE = "w1_slave"
MAX_FILE_SIZE = 1024  # octets of the file that are read
READ_TIMEOUT = 10.0  # seconds that one read may take
MAX_FAILED_READS = 3  # reads in a row that may fail before the sensor counts as lost
_SENSOR = re.compile(r"[0-9A-Fa-f]{2}-[0-9A-Fa-f]{12}")
_HINT = "is it wired, and is `dtoverlay=w1-gpio` set? see `ls /sys/bus/w1/devices`"


class W1Link:
    """`on_data(text of the file)` every `interval` seconds from `open` on; `on_lost` once when the sensor goes.

    `port`: the sensor (28-00000a1b2c3d), its folder or its file. An object can be opened again after it was closed or
    lost.
    """

    def __init__(
        self,
        port: str,
        interval: float,
        *,
        on_data: Callable[[bytes], None],
        on_lost: Callable[[Exception | None], None],
        root: Path = ROOT,
        limit: float = READ_TIMEOUT,
    ) -> None:
        self.port = port
        self.path = sensor_file(port, root)
        self._interval = interval
        self._on_data = on_data
        self._on_lost = on_lost
        self._limit = limit
        self._task: asyncio.Task[None] | None = None
        self._reading = False  # a thread is in the kernel; it may hang there
        self._resumed = asyncio.Event()
        self._resumed.set()
        self._asked = asyncio.Event()
        self.read_errors = 0
        self.timeouts = 0

    @property
    def can_pause(self) -> bool:
        """What is not read is not lost: the sensor measures when it is asked."""
        return True

    async def open(self, timeout: float = 10.0) -> None:
        if self._task is not None:
            raise LinkFailed(Reason.BUSY, f"{self.port} is open already")
        if self._reading:
            raise timed_out(self.port, "an earlier attempt to read it")
        loop = asyncio.get_running_loop()
        try:
            there = await bounded(in_thread(loop, self.path.is_file), timeout)
        except TimeoutError:
            raise timed_out(self.port, "looking for it") from None
        except OSError as exc:
            raise explain(self.port, exc) from exc
        if not there:
            raise LinkFailed(Reason.MISSING, f"there is no sensor {self.port}", _HINT)
        self._resumed.set()
        self._asked.clear()
        self._task = loop.create_task(self._read_on(loop), name=f"w1 {self.port}")

    def pause(self) -> None:
        self._resumed.clear()

    def resume(self) -> None:
        self._resumed.set()

    async def send(self, data: bytes, timeout: float = 5.0) -> None:
        """Whatever is said, it is read now: the only thing that a sensor can be asked for."""
        if self._task is None:
            raise lost(self.port, None)
        self._asked.set()

    async def close(self, timeout: float = 2.0) -> None:
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.wait([task], timeout=timeout)

    async def usable_again(self) -> None:
        """Nobody tells."""
        await asyncio.Event().wait()

    def counters(self) -> dict[str, int]:
        return {"read-errors": self.read_errors, "timeouts": self.timeouts}

    async def _read_on(self, loop: asyncio.AbstractEventLoop) -> None:
        failed = 0
        due = loop.time()
        while True:
            await self._resumed.wait()
            try:
                text = await self._read(loop)
            except TimeoutError:
                self.timeouts += 1
                return self._end(timed_out(self.port, "reading"))
            except FileNotFoundError as exc:
                return self._end(lost(self.port, exc))
            except OSError as exc:  # the sensor did not answer; one may be disturbed now and then
                self.read_errors += 1
                failed += 1
                if failed >= MAX_FAILED_READS:
                    return self._end(lost(self.port, exc))
            else:
                failed = 0
                if not text.endswith(b"\n"):
                    text += b"\n"
                await self._resumed.wait()
                self._on_data(text)
            due = max(due + self._interval, loop.time())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._asked.wait()
                due = loop.time()
            self._asked.clear()

    async def _read(self, loop: asyncio.AbstractEventLoop) -> bytes:
        self._reading = True

        def work() -> bytes:
            try:
                with self.path.open("rb") as file:
                    return file.read(MAX_FILE_SIZE)
            finally:
                self._reading = False

        return await bounded(in_thread(loop, work), self._limit)

    def _end(self, error: Exception) -> None:
        if self._task is not None:
            self._task = None
            self._on_lost(error)


def sensor_file(port: str, root: Path = ROOT) -> Path:
    """The file of a sensor that is named by its id, its folder or its file."""
    if _SENSOR.fullmatch(port):
        return root / port.lower() / FILE
    path = Path(port)
    return path if path.name == FILE else path / FILE
