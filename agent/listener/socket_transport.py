"""Transport of one connection without TLS: its socket, read when the watch of all sockets says so."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any, Protocol

from gatepost.agent.listener.socket_watch import SocketWatch

log = logging.getLogger(__name__)

READ_BUFFER = 16 * 1024
LAST_WORDS = 256 * 1024  # octets of a peer that are read off after the last one that it is sent


class ConnectionProtocol(Protocol):
    """The part of a connection that its transport calls."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None: ...

    def data_received(self, data: bytes) -> None: ...

    def connection_lost(self, exc: Exception | None) -> None: ...

    def pause_writing(self) -> None: ...


class SocketTransport(asyncio.Transport):
    """A transport as asyncio's, for a protocol that ends when its peer does, and whom `pause_writing` ends."""

    __slots__ = (
        "_broken", "_buffer", "_closing", "_descriptor", "_high", "_left", "_loop", "_protocol", "_reading", "_sent",
        "_socket", "_unsent", "_watch",
    )  # fmt: skip

    def __init__(
        self, accepted: socket.socket, protocol: ConnectionProtocol, watch: SocketWatch, buffer: bytearray
    ) -> None:
        """`buffer`: shared by all."""
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._socket = accepted
        self._descriptor = accepted.fileno()
        self._protocol: ConnectionProtocol | None = protocol
        self._watch = watch
        self._buffer = buffer
        self._unsent = b""
        self._high = 64 * 1024
        self._left = LAST_WORDS
        self._reading = False
        self._closing = False
        self._broken = False
        protocol.connection_made(self)
        self.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name != "peername":
            return default
        try:
            return self._socket.getpeername()
        except OSError:
            return default

    # --- reading

    def pause_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._watch.remove(self._descriptor)

    def resume_reading(self) -> None:
        if self._reading or self._closing:
            return
        try:
            self._watch.add(self._descriptor, self._read)
        except OSError as error:  # the process has no descriptor left, or the kernel no memory
            self._end(error)
        else:
            self._reading = True

    def is_reading(self) -> bool:
        return self._reading

    def _read(self) -> bool:
        """Whether there may be more."""
        try:
            count = self._socket.recv_into(self._buffer)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            self._end(error)
            return False
        if not count:
            self.close()
            return False
        assert self._protocol is not None
        try:
            self._protocol.data_received(bytes(memoryview(self._buffer)[:count]))
        except Exception as error:  # the others' connections go on
            log.exception("a connection failed")
            self._end(error)
        return count == len(self._buffer)

    # --- writing

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if high is not None:
            self._high = high

    def get_write_buffer_size(self) -> int:
        return len(self._unsent)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing or self._broken:
            return
        sent = 0
        if not self._unsent:
            try:
                sent = self._socket.send(data)
            except (BlockingIOError, InterruptedError):
                pass
            except OSError as error:
                self._cannot_send(error)
                return
            if sent == len(data):
                return
            self._loop.add_writer(self._descriptor, self._on_writable)
        self._unsent += bytes(data[sent:])
        if len(self._unsent) > self._high and self._protocol is not None:
            self._protocol.pause_writing()

    def _on_writable(self) -> None:
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._loop.remove_writer(self._descriptor)
            self._unsent = b""
            self._cannot_send(error)
            return
        if not self._unsent:
            self._loop.remove_writer(self._descriptor)
            if self._closing:
                self._part()

    def _cannot_send(self, error: OSError) -> None:
        """The peer has gone; what it said before is read first, and then its end."""
        self._broken = True
        if not self._reading:
            self._end(error)

    # --- the end

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        """Once what was written is on its way."""
        if not self._closing:
            self.pause_reading()
            self._closing = True
            if not self._unsent:
                self._part()

    def _part(self) -> None:
        """The peer reads to the end. A socket that is closed with unread octets resets its connection, and the peer may
        miss why; so these are read off first, until it stops or is cut off."""
        self._discard()
        if self._left == LAST_WORDS or self._descriptor < 0:
            self._end(None)
            return
        try:
            self._socket.shutdown(socket.SHUT_WR)
            self._watch.add(self._descriptor, self._discard)
            self._reading = True
        except OSError as error:
            self._end(error)

    def _discard(self) -> bool:
        """Whether there may be more."""
        try:
            count = self._socket.recv_into(self._buffer)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            count = 0
        self._left -= count
        if not count or self._left <= 0:
            self._end(None)
            return False
        return count == len(self._buffer)

    def abort(self) -> None:
        self._end(None)

    def _end(self, error: Exception | None) -> None:
        if self._descriptor < 0:
            return
        self.pause_reading()
        self._closing = True
        if self._unsent:
            self._loop.remove_writer(self._descriptor)
            self._unsent = b""
        self._descriptor = -1
        self._socket.close()
        self._loop.call_soon(self._lost, error)

    def _lost(self, error: Exception | None) -> None:
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            protocol.connection_lost(error)
