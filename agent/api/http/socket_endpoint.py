"""Endpoint of `/socket.io/`: empty until somebody asks, and only where the extra `socketio` is installed."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec

from gatepost.agent.api.agent_interface import AgentInterface
from gatepost.agent.api.asgi import ASGIApp, Receive, Scope, Send
from gatepost.agent.api.auth.principal import AccessGuard
from gatepost.agent.api.http.h11_protocol import SOCKET_IO
from gatepost.agent.api.http.router import refusal
from gatepost.agent.core.errors import NotFound
from gatepost.drivers.extras import install_extra


class SocketEndpoint:
    """ASGI application that stands before `api` and takes what is below SOCKET_IO."""

    def __init__(self, app: AgentInterface, closing: asyncio.Event, guard: AccessGuard, api: ASGIApp) -> None:
        self._parts = app, closing, guard, api
        self._api = api
        self._service: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].startswith(SOCKET_IO):
            await self._api(scope, receive, send)
            return
        if self._service is None:
            if find_spec("socketio") is None:
                error = NotFound("Socket.IO is not installed on this gateway", install_extra("socketio"))
                await refusal(error)(scope, receive, send)
                return
            from gatepost.agent.api.documents.socket_service import SocketService

            self._service = SocketService(*self._parts)
        await self._service(scope, receive, send)
