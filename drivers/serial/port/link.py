"""Serial link: one port, opened and closed off the event loop, read on it, lost exactly once.

Errors are LinkFailed with a reason. Restarting with backoff is the caller's part; a path
is opened anew every time, so a device under /dev/serial/by-id is found under whatever number it came back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from gatepost.drivers.driver import SerialSettings
from gatepost.drivers.link import LinkFailed, Reason
from gatepost.drivers.serial.port.blocking_call import bounded, in_thread
from gatepost.drivers.serial.port.link_errors import explain, lost, timed_out
from gatepost.drivers.serial.port.port_watch import PortWatch


class PortChannel(Protocol):
    """The open port: DescriptorChannel or ThreadChannel."""

    def pause(self) -> None: ...
    def resume(self) -> None: ...
    async def send(self, data: bytes, timeout: float) -> None: ...
    def stop(self) -> None: ...


class SerialLink:
    """`on_data(bytes)` for what arrives, `on_lost(exception)` once when the port goes by itself; neither after `close`.

    One object can be opened again after it was closed or lost; it never has two ports at a time. Links that share a
    `watch` are read together.
    """

    def __init__(
        self,
        port: str,
        line: SerialSettings,
        *,
        rts: bool | None = None,
        dtr: bool | None = None,
        on_data: Callable[[bytes], None],
        on_lost: Callable[[Exception | None], None],
        loop: asyncio.AbstractEventLoop | None = None,
        watch: PortWatch | None = None,
    ) -> None:
        self.port = port
        self.line = line
        self._rts = rts
        self._dtr = dtr
        self._on_data = on_data
        self._on_lost = on_lost
        self._loop = loop
        self._watch = watch or PortWatch()
        self._channel: PortChannel | None = None
        self._handle: Any = None
        self._pty = False
        self._closing: asyncio.Future[None] | None = None
        self._hangs = False
        self.read_errors = 0  # times the port went by itself

    @property
    def is_open(self) -> bool:
        return self._channel is not None

    @property
    def can_pause(self) -> bool:
        """Whether not reading slows the far end down; else the kernel drops what overflows its buffer."""
        return self._pty or "://" in self.port or self.line.flow != "none"

    async def open(self, timeout: float = 10.0) -> None:
        """Open exclusively; LinkFailed when that cannot be. A port that opens only after `timeout` is closed again."""
        if self._channel is not None:
            raise LinkFailed(Reason.BUSY, f"{self.port} is open already")
        if self._hangs:
            raise timed_out(self.port, "an earlier attempt to open it")
        from gatepost.drivers.serial.port.open_port import (  # pyserial only when used
            close_port,
            has_descriptor,
            is_pty,
            open_port,
        )

        loop = self._loop or asyncio.get_running_loop()
        if self._closing is not None:  # the last handle still has the lock
            await asyncio.wait([self._closing], timeout=timeout)

        def work() -> tuple[Any, bool]:
            try:
                return open_port(self.port, self.line, self._rts, self._dtr), is_pty(self.port)
            finally:
                self._hangs = False

        def undo(result: tuple[Any, bool]) -> None:
            close_port(result[0])

        self._hangs = True
        try:
            self._handle, self._pty = await bounded(in_thread(loop, work, undo), timeout, undo)
        except TimeoutError:
            if self._hangs:
                raise timed_out(self.port, "opening") from None
            raise explain(self.port, TimeoutError()) from None
        except Exception as exc:
            raise explain(self.port, exc) from exc
        if has_descriptor(self._handle):
            from gatepost.drivers.serial.port.descriptor_channel import DescriptorChannel

            descriptor = self._handle.fileno()
            self._channel = DescriptorChannel(self.port, descriptor, self._watch, self._on_data, self._ended, loop)
        else:
            from gatepost.drivers.serial.port.thread_channel import ThreadChannel

            self._channel = ThreadChannel(self.port, self._handle, self._on_data, self._ended, loop)

    def pause(self) -> None:
        """Stop reading; what the kernel can hold waits. A hang-up is noticed after `resume`."""
        if self._channel is not None:
            self._channel.pause()

    def resume(self) -> None:
        if self._channel is not None:
            self._channel.resume()

    async def send(self, data: bytes, timeout: float = 5.0) -> None:
        """Write all of it; LinkFailed TIMEOUT when the port does not take it, IO when it is gone."""
        if self._channel is None:
            raise lost(self.port, None)
        await self._channel.send(data, timeout)

    async def close(self, timeout: float = 2.0) -> None:
        """Give the port back. Waits for at most `timeout`; a close that hangs goes on in its thread."""
        if self._channel is not None:
            self._channel.stop()
            self._dispose()
        if self._closing is not None:
            await asyncio.wait([self._closing], timeout=timeout)

    async def usable_again(self) -> None:
        """Returns when the port is plugged in again; nobody tells of a port at another machine."""
        if "://" in self.port:
            await asyncio.Event().wait()
        from gatepost.drivers.serial.port.port_arrival import port_arrival

        await port_arrival(self.port)

    def counters(self) -> dict[str, int]:
        """`read-errors` since this object was made; the kernel's counts, where it counts, since the port exists."""
        from gatepost.drivers.serial.port.open_port import has_descriptor, line_errors

        counts = {"read-errors": self.read_errors}
        if self._channel is not None and not self._pty and has_descriptor(self._handle):
            counts |= line_errors(self._handle.fileno())
        return counts

    def _ended(self, exc: BaseException | None) -> None:
        self.read_errors += 1
        self._dispose()
        self._on_lost(lost(self.port, exc))

    def _dispose(self) -> None:
        from gatepost.drivers.serial.port.open_port import close_port

        handle, self._handle, self._channel = self._handle, None, None
        loop = self._loop or asyncio.get_running_loop()
        self._closing = in_thread(loop, lambda: close_port(handle))
