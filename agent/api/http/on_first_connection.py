"""HTTP listener on first connection: until somebody connects, HTTP costs neither memory nor a part of the start."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatepost.agent.api.http.listener import HttpListener

log = logging.getLogger(__name__)

STACK = "gatepost.agent.api.http.stack"


class ListenerOnConnection:
    """Stands for an HttpListener that `build` makes, once STACK is imported in a thread. Clients wait meanwhile."""

    def __init__(self, build: Callable[[], HttpListener]) -> None:
        self._build = build
        self._listener: HttpListener | None = None
        self._bound: list[socket.socket] = []  # until they are handed over
        self._serve: Callable[[HttpListener], Awaitable[None]]
        self._loading: asyncio.Task[None] | None = None

    @property
    def state(self) -> Any:
        """uvicorn's ServerState; None before the first connection."""
        return None if self._listener is None else self._listener.state

    def serve_unix(self, bound: socket.socket) -> None:
        self._wait([bound], lambda listener: listener.serve_unix(bound))

    def serve_tcp(self, bound: Sequence[socket.socket], tls: ssl.SSLContext | None) -> None:
        self._wait(bound, lambda listener: listener.serve_tcp(bound, tls))

    def close(self) -> None:
        if self._loading is not None:
            self._loading.cancel()
        else:
            self._stop_waiting()
        self._close_bound()
        if self._listener is not None:
            self._listener.close()

    async def closed(self) -> None:
        """As that of HttpListener."""
        if self._listener is not None:
            await self._listener.closed()

    async def drain(self, timeout: float) -> None:
        """As that of HttpListener."""
        if self._listener is not None:
            await self._listener.drain(timeout)

    def _wait(self, bound: Sequence[socket.socket], serve: Callable[[HttpListener], Awaitable[None]]) -> None:
        self._loop = asyncio.get_running_loop()
        self._bound, self._serve = list(bound), serve
        for each in bound:
            self._loop.add_reader(each.fileno(), self._connected)

    def _stop_waiting(self) -> None:
        for each in self._bound:
            self._loop.remove_reader(each.fileno())

    def _connected(self) -> None:
        self._stop_waiting()
        self._loading = self._loop.create_task(self._load(), name="api.http")

    async def _load(self) -> None:
        try:
            await asyncio.to_thread(import_module, STACK)
            self._listener = self._build()
            await self._serve(self._listener)
            self._bound = []
        except Exception:
            log.exception("the API cannot be served")
            self._close_bound()

    def _close_bound(self) -> None:
        for each in self._bound:
            each.close()
        self._bound = []
