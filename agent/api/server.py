"""Serves the API on its Unix socket with uvicorn's HTTP/1.1 protocol, and nothing that wakes up by itself.

uvicorn's own Server ticks ten times a second for a Date header and its exit flag; here the event loop alone decides.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp

from agent.api import unix_socket
from agent.api.lean import without_init
from agent.api.live import Live
from agent.api.router import application
from agent.api.routes import ROUTES
from agent.api.wants import App

if not TYPE_CHECKING:
    without_init("uvicorn")

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

log = logging.getLogger(__name__)

CONNECTIONS = 32
PATIENCE = 10.0  # seconds in which a new connection must have asked something
KEEP_ALIVE = 15  # seconds that an idle connection is kept
HEAD_LIMIT = 32 * 1024  # octets of a request's head
STOP = 2.0  # seconds for running requests at the end

FULL_BODY = b'{"error": {"key": "unavailable", "message": "too many connections", "hint": "try again"}}'
FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(FULL_BODY), FULL_BODY)
)


class Protocol(H11Protocol):
    """Bounded: so many connections, and none that never asks."""

    def __init__(self, *args: Any, limit: int, patience: float, **options: Any) -> None:
        super().__init__(*args, **options)
        self._limit = limit
        self._patience = patience
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._limit:
            transport.write(FULL)
            transport.close()
            return
        self._deadline = self.loop.call_later(self._patience, transport.abort)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None:  # a whole head has come; bodies have a limit of their own
            self._relax()

    def connection_lost(self, exc: Exception | None) -> None:
        self._relax()
        super().connection_lost(exc)

    def _relax(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class ApiServer:
    """The API of one agent at one socket: `await serve()`, later `await stop()`; each once."""

    def __init__(self, app: App, path: Path, *, connections: int = CONNECTIONS, patience: float = PATIENCE) -> None:
        self.path = path
        self._connections = connections
        self._patience = patience
        self._closing = asyncio.Event()
        self._state = ServerState()
        self._config = _config(application(app, ROUTES, self._closing))
        self._on_stored = app.store.on_stored
        self._live = Live(app)
        self._server: asyncio.AbstractServer | None = None
        self._inode = 0

    async def serve(self) -> None:
        """Returns when clients can connect; raises SocketTaken, SocketWrong."""
        loop = asyncio.get_running_loop()
        listener = unix_socket.bind(self.path)
        self._inode = self.path.lstat().st_ino
        self._server = await loop.create_unix_server(self._protocol(loop), sock=listener)
        self._on_stored.append(self._live.stored)
        log.info("the API listens at %s", self.path)

    def _protocol(self, loop: asyncio.AbstractEventLoop) -> Callable[[], Protocol]:
        def make() -> Protocol:
            return Protocol(self._config, self._state, {}, _loop=loop, limit=self._connections, patience=self._patience)

        return make

    async def stop(self, timeout: float = STOP) -> None:
        """Takes no more connections, ends live streams, gives running requests `timeout` seconds, then ends them."""
        if self._server is None:
            return
        self._server.close()
        unix_socket.unlink(self.path, self._inode)
        self._on_stored.remove(self._live.stored)
        self._closing.set()
        for connection in list(self._state.connections):
            connection.shutdown()
        tasks = set(self._state.tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=timeout)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=timeout)
        for connection in list(self._state.connections):
            connection.transport.abort()
        self._server = None


def _config(application: ASGIApp) -> Config:
    """What H11Protocol reads of a Config; not `load`, since it imports what `without_init` keeps away."""
    config = Config(
        application,
        interface="asgi3",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE,
        h11_max_incomplete_event_size=HEAD_LIMIT,
    )
    config.loaded_app = application
    config.ws_protocol_class = None
    config.loaded = True
    return config
