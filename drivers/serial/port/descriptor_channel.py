"""Serial port with a descriptor on the event loop: pyserial-asyncio's transport, cheap to read and safe to lose."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable

from serial import SerialException
from serial_asyncio import SerialTransport

from gatepost.drivers.serial.port.link_errors import lost, timed_out
from gatepost.drivers.serial.port.port_watch import PortWatch

log = logging.getLogger(__name__)

READ = 65536


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


class WatchedTransport(SerialTransport):  # type: ignore[misc]  # untyped base
    """Transport whose port is read when the watch over all ports says so."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, protocol: asyncio.BaseProtocol, descriptor: int, watch: PortWatch
    ) -> None:
        super().__init__(loop, protocol, _Descriptor(descriptor))
        self._descriptor = descriptor
        self._watch = watch
        self._held = self._ended = self._has_reader = False
        self.set_write_buffer_limits(high=0)

    def pause_reading(self) -> None:
        self._held = True
        self._remove_reader()

    def resume_reading(self) -> None:
        self._held = False
        self._ensure_reader()

    def _ensure_reader(self) -> None:
        if not (self._held or self._has_reader or self._closing):
            try:
                self._watch.add(self._loop, self._descriptor, self._read)
            except OSError as exc:  # the process has no descriptor left
                self._abort(exc)
            else:
                self._has_reader = True

    def _remove_reader(self) -> None:
        if self._has_reader:
            self._watch.remove(self._descriptor)
            self._has_reader = False

    def _read(self) -> int:
        """How many octets were there; none once nobody wants to read."""
        if not self._has_reader:
            return 0
        try:
            data = os.read(self._descriptor, READ)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as exc:
            self._abort(exc)
            return 0
        if not data:
            self._abort(EOFError("hang-up"))
            return 0
        try:
            self._protocol.data_received(data)
        except Exception:  # all ports are read together: the others go on
            log.exception("what a port said could not be taken")
            self._abort(RuntimeError("what it said could not be taken"))
        return len(data)

    def write(self, data: bytes) -> None:
        self._watch.expect()
        super().write(data)

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
        watch: PortWatch,
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
        self._transport = WatchedTransport(loop, self, descriptor, watch)

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
