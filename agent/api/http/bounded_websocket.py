"""uvicorn's WebSocket with bounds, for Socket.IO: a client that does not read is not read, and later cut off."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

STUCK = 10.0  # seconds that the buffer may stay full


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """Without this the answers to a client's pings, and a close that is never read, would wait in memory for ever."""

    _cut: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self.transport.pause_reading()
        self._cut = self.loop.call_later(STUCK, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._relax()
        if not self.read_paused:
            self.transport.resume_reading()

    def handle_ping(self) -> None:
        if self.writable.is_set():
            super().handle_ping()
        else:  # `receive` of uvicorn may read on meanwhile
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._relax()
        super().connection_lost(exc)

    def _relax(self) -> None:
        if self._cut is not None:
            self._cut.cancel()
            self._cut = None
