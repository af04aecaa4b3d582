"""HTTP listener: its sockets, its connections, and how they end."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

from gatepost.agent.api.asgi import ASGIApp
from gatepost.agent.api.http.h11_protocol import BoundedH11Protocol, ConnectionLimits, config_of
from gatepost.agent.api.websocket.connection import WebSocketConnection

# isort: split
from uvicorn.server import ServerState  # only once h11_protocol has kept its __init__ away

HANDSHAKE = 5.0  # seconds for TLS
FAREWELL = 2.0


class HttpListener:
    """`serve` once, `close` to take no more connections, `drain` to end those that there are."""

    def __init__(self, application: ASGIApp, limits: ConnectionLimits, state: Mapping[str, Any] | None = None) -> None:
        self.state = ServerState()
        self._config = config_of(application)
        self._limits = limits
        self._app_state = dict(state or {})  # `scope["state"]` of every request
        self._servers: list[asyncio.AbstractServer] = []

    async def serve_unix(self, bound: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_unix_server(self._protocol, sock=bound))

    async def serve_tcp(self, bound: Sequence[socket.socket], tls: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        handshake, farewell = (None, None) if tls is None else (HANDSHAKE, FAREWELL)
        for each in bound:
            server = await loop.create_server(
                self._protocol, sock=each, ssl=tls, ssl_handshake_timeout=handshake, ssl_shutdown_timeout=farewell
            )
            self._servers.append(server)

    def _protocol(self) -> BoundedH11Protocol:
        return BoundedH11Protocol(
            self._config, self.state, self._app_state, _loop=asyncio.get_running_loop(), limits=self._limits
        )

    def close(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()

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
