"""HTTP listener: its sockets, its connections, and how they end."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from gatepost.agent.api.asgi import ASGIApp
from gatepost.agent.api.http.h11_protocol import BoundedH11Protocol, ConnectionLimits, config_of
from gatepost.agent.api.websocket.connection import WebSocketConnection
from gatepost.agent.core.tcp_sockets import accept_each

# isort: split
from uvicorn.server import ServerState  # only once h11_protocol has kept its __init__ away

log = logging.getLogger(__name__)

HANDSHAKE = 5.0  # seconds for TLS
HANDSHAKES = 32  # at once: before it is over nothing is known of a client, and each keeps a descriptor and 50 kB
FAREWELL = 2.0


class HttpListener:
    """`serve` once, `close` to take no more connections, `drain` to end those that there are."""

    def __init__(self, application: ASGIApp, limits: ConnectionLimits, state: Mapping[str, Any] | None = None) -> None:
        self.state = ServerState()
        self._config = config_of(application)
        self._limits = limits
        self._app_state = dict(state or {})  # `scope["state"]` of every request
        self._servers: list[asyncio.AbstractServer] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._handshakes: dict[asyncio.Task[None], None] = {}

    async def serve_unix(self, bound: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_unix_server(self._protocol, sock=bound))

    async def serve_tcp(self, bound: Sequence[socket.socket], tls: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        for each in bound:
            if tls is None:
                self._servers.append(await loop.create_server(self._protocol, sock=each))
            else:
                self._accepting.append(loop.create_task(self._accept(each, tls)))

    async def _accept(self, bound: socket.socket, tls: ssl.SSLContext) -> None:
        def begin(accepted: socket.socket) -> None:
            """Who begins makes the one go that has taken longest."""
            if len(self._handshakes) >= HANDSHAKES:
                oldest = next(iter(self._handshakes))
                del self._handshakes[oldest]
                oldest.cancel()
            task = asyncio.get_running_loop().create_task(self._shake_hands(accepted, tls))
            self._handshakes[task] = None
            task.add_done_callback(lambda task: self._handshakes.pop(task, None))

        def tell(error: OSError) -> None:
            log.warning("a connection could not be taken: %s", error.strerror)

        with bound:
            await accept_each(bound, begin, tell)

    async def _shake_hands(self, accepted: socket.socket, tls: ssl.SSLContext) -> None:
        limits = {"ssl_handshake_timeout": HANDSHAKE, "ssl_shutdown_timeout": FAREWELL}
        with suppress(OSError):
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, accepted, ssl=tls, **limits)

    def _protocol(self) -> BoundedH11Protocol:
        return BoundedH11Protocol(
            self._config, self.state, self._app_state, _loop=asyncio.get_running_loop(), limits=self._limits
        )

    def close(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
        for task in (*self._accepting, *self._handshakes):
            task.cancel()

    async def closed(self) -> None:
        """Once the addresses are free again, after `close`."""
        if self._accepting:
            await asyncio.wait(self._accepting)

    async def drain(self, timeout: float) -> None:
        """Gives running requests `timeout` seconds, then ends them."""
        for connection in list(self.state.connections):
            connection.shutdown()
        connections: set[Any] = set(self.state.connections)
        tasks: set[asyncio.Future[None]] = {each.ended for each in connections if isinstance(each, WebSocketConnection)}
        tasks |= self.state.tasks
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=timeout)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=timeout)
        for connection in list(self.state.connections):
            connection.transport.abort()
