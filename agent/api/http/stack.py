"""HTTP of the API in one piece, routes, router and listener: loaded with the first connection."""

from __future__ import annotations

import asyncio

from gatepost.agent.api.agent_interface import AgentInterface
from gatepost.agent.api.asgi import ASGIApp
from gatepost.agent.api.auth.authenticator import Authenticator
from gatepost.agent.api.auth.principal import AccessGuard
from gatepost.agent.api.http.cors import CorsPolicy
from gatepost.agent.api.http.h11_protocol import ConnectionLimits
from gatepost.agent.api.http.listener import HttpListener
from gatepost.agent.api.http.refusal_delay import RefusalDelay
from gatepost.agent.api.http.router import application
from gatepost.agent.api.http.socket_endpoint import SocketEndpoint
from gatepost.agent.api.jobs.service_jobs import JOBS, ServiceJobs
from gatepost.agent.api.routes import DOCUMENTS, ROUTES
from gatepost.agent.api.websocket.broadcaster import BROADCASTER, Broadcaster

TCP_CONNECTIONS = 64
PER_ADDRESS = 32


class HttpStack:
    """Makes the listeners of one agent; they share its routes' state."""

    def __init__(
        self,
        app: AgentInterface,
        closing: asyncio.Event,
        authenticator: Authenticator,
        broadcaster: Broadcaster,
        jobs: ServiceJobs,
    ) -> None:
        self._app = app
        self._closing = closing
        self._authenticator = authenticator
        self._state = {BROADCASTER: broadcaster, JOBS: jobs}

    def local(self, guard: AccessGuard, connections: int, patience: float) -> HttpListener:
        return HttpListener(self._served(guard), ConnectionLimits(connections, connections, patience), self._state)

    def remote(self, guard: AccessGuard, patience: float) -> HttpListener:
        served = RefusalDelay(CorsPolicy(self._served(guard), self._app))
        return HttpListener(served, ConnectionLimits(TCP_CONNECTIONS, PER_ADDRESS, patience), self._state)

    def _served(self, guard: AccessGuard) -> ASGIApp:
        routes = application(self._app, ROUTES, self._closing, self._authenticator, guard, DOCUMENTS)
        return SocketEndpoint(self._app, self._closing, guard, routes)
