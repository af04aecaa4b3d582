"""Serial port without a descriptor (rfc2217://, loop://): one thread reads it, one chunk at a time."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

from gatepost.drivers.serial.port.blocking_call import bounded, in_thread
from gatepost.drivers.serial.port.link_errors import lost, timed_out
from gatepost.drivers.serial.port.open_port import bound_buffer

CHUNK = 4096


class ThreadChannel:
    """Like DescriptorChannel. At most one chunk waits for the loop, so a slow reader slows the thread."""

    def __init__(
        self,
        name: str,
        port: Any,
        on_data: Callable[[bytes], None],
        on_end: Callable[[BaseException | None], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._name = name
        self._port = port
        self._on_data = on_data
        self._on_end: Callable[[BaseException | None], None] | None = on_end
        self._loop = loop
        self._stopped = False
        self._paused = False
        self._kept: bytes | None = None
        self._taken = threading.Event()
        self._turn = asyncio.Lock()
        bound_buffer(port)
        threading.Thread(target=self._read, daemon=True, name="gatepost-reader").start()

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        if self._kept is not None:
            data, self._kept = self._kept, None
            self._arrived(data)

    async def send(self, data: bytes, timeout: float) -> None:
        """Returns when the port has taken everything; LinkFailed when it does not."""
        try:
            async with asyncio.timeout(timeout), self._turn:
                if self._stopped:
                    raise lost(self._name, None)
                await bounded(in_thread(self._loop, lambda: self._port.write(data)), timeout)
        except TimeoutError:
            raise timed_out(self._name, "writing") from None
        except OSError as exc:
            raise lost(self._name, exc) from exc

    def stop(self) -> None:
        self._on_end = None
        self._stopped = True
        self._taken.set()
        with contextlib.suppress(Exception):
            self._port.cancel_read()

    def _read(self) -> None:
        error: BaseException | None = None
        try:
            while not self._stopped:
                data = self._port.read(1)
                if data:
                    data += self._port.read(min(CHUNK, self._port.in_waiting))
                    self._taken.clear()
                    self._loop.call_soon_threadsafe(self._arrived, data)
                    self._taken.wait()
        except Exception as exc:
            error = exc
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._finished, error)

    def _arrived(self, data: bytes) -> None:
        if self._stopped:
            self._taken.set()
            return
        if self._paused:
            self._kept = data
            return
        self._on_data(data)
        self._taken.set()

    def _finished(self, error: BaseException | None) -> None:
        self._stopped = True
        if self._on_end is not None:
            on_end, self._on_end = self._on_end, None
            on_end(error)
