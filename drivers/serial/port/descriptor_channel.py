"""Serial port with a descriptor on the event loop: pyserial-asyncio's transport, cheap to read and safe to lose."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from serial import SerialException
from serial_asyncio import SerialTransport

from gatepost.drivers.serial.port.link_errors import lost, timed_out

READ = 65536
FULL = 4095  # what a terminal's buffer gives at once: more is waiting
BUSY = 16384  # octets between two pauses from which a pause would slow the far end


class _Descriptor:
    """What SerialTransport asks of a port, without the calls that can block for seconds on a vanished one."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.timeout: float | None = 0
        self.write_timeout: float | None = 0

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: bytes) -> int:
        try:
            return os.write(self._descriptor, data)
        except (BlockingIOError, InterruptedError):
            raise
        except OSError as exc:
            raise SerialException(str(exc)) from exc


class BurstTransport(SerialTransport):  # type: ignore[misc]  # untyped base
    """After a read that emptied the port, leaves it alone until the next point of a time grid `linger` seconds wide.

    So a line that arrives octet by octet costs one wake-up, several ports wake the process together, and a silent
    port costs nothing: then only the descriptor is watched.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, protocol: asyncio.BaseProtocol, descriptor: int, linger: float
    ) -> None:
        super().__init__(loop, protocol, _Descriptor(descriptor))
        self._descriptor = descriptor
        self._linger = linger
        self._timer: asyncio.TimerHandle | None = None
        self._since_pause = 0
        self._held = False
        self._ended = False
        self.set_write_buffer_limits(high=0)

    def pause_reading(self) -> None:
        self._held = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._remove_reader()

    def resume_reading(self) -> None:
        self._held = False
        self._ensure_reader()

    def _ensure_reader(self) -> None:
        if not self._held and self._timer is None:
            super()._ensure_reader()

    def _read_ready(self) -> None:
        self._timer = None
        if self._closing:
            return
        try:
            data = os.read(self._descriptor, READ)
        except (BlockingIOError, InterruptedError):
            self._since_pause = 0
            self._ensure_reader()
            return
        except OSError as exc:
            self._abort(exc)
            return
        if not data:
            self._abort(EOFError("hang-up"))
            return
        self._since_pause += len(data)
        if len(data) >= FULL or self._linger <= 0:
            self._ensure_reader()
        else:
            self._remove_reader()
            self._timer = self._loop.call_at(self._next_look(), self._read_ready)
        self._protocol.data_received(data)

    def _next_look(self) -> float:
        step = self._linger if self._since_pause < BUSY else self._linger / 4
        self._since_pause = 0
        now: float = self._loop.time()
        return (int((now + 0.001) / step) + 1) * step  # the millisecond: timers are that coarse, and may come early

    def _abort(self, exc: BaseException | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        super()._abort(exc)

    def _fatal_error(self, exc: BaseException, message: str = "") -> None:
        self._abort(exc)  # a lost port is an ordinary event, not one for the loop's exception handler

    def _call_connection_lost(self, exc: BaseException | None) -> None:
        """The base class would drain and close here, on the loop; SerialLink closes in a thread."""
        if self._ended:
            return
        self._ended = True
        self._write_buffer.clear()
        self._protocol.connection_lost(exc)


class DescriptorChannel(asyncio.Protocol):
    """Octets from and to one descriptor; `on_end` is called at most once, and not after `stop`."""

    def __init__(
        self,
        name: str,
        descriptor: int,
        linger: float,
        on_data: Callable[[bytes], None],
        on_end: Callable[[BaseException | None], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._name = name
        self._on_end: Callable[[BaseException | None], None] | None = on_end
        self._drained = asyncio.Event()
        self._drained.set()
        self._turn = asyncio.Lock()
        self._ended = False
        self.data_received = on_data  # type: ignore[assignment,method-assign]  # no call in between
        self._transport = BurstTransport(loop, self, descriptor, linger)

    def pause(self) -> None:
        self._transport.pause_reading()

    def resume(self) -> None:
        self._transport.resume_reading()

    async def send(self, data: bytes, timeout: float) -> None:
        """Returns when the kernel has taken everything; LinkFailed when it does not, and then nothing is left over."""
        if not data:
            return
        try:
            async with asyncio.timeout(timeout), self._turn:
                try:
                    self._transport.write(data)
                    await self._drained.wait()
                except asyncio.CancelledError:
                    self._transport.flush()
                    raise
        except TimeoutError:
            raise timed_out(self._name, "writing") from None
        if self._ended:
            raise lost(self._name, None)

    def stop(self) -> None:
        self._on_end = None
        if not self._ended:
            self._transport.abort()
            self._end()

    def pause_writing(self) -> None:
        self._drained.clear()

    def resume_writing(self) -> None:
        self._drained.set()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._end()
        if self._on_end is not None:
            on_end, self._on_end = self._on_end, None
            on_end(exc)

    def _end(self) -> None:
        self._ended = True
        self._drained.set()
