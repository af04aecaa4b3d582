"""Server of one agent's API on its Unix socket and, if set, on TCP; nothing wakes up by itself.

uvicorn's own Server ticks ten times a second for a Date header and its exit flag; here the event loop alone decides.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from gatepost.agent.api.agent_interface import AgentInterface
from gatepost.agent.api.auth.authenticator import Authenticator
from gatepost.agent.api.auth.principal import LocalGuard
from gatepost.agent.api.auth.sessions import SessionStore
from gatepost.agent.api.auth.tokens import TokenStore
from gatepost.agent.api.http import unix_socket
from gatepost.agent.api.http.on_first_connection import ListenerOnConnection
from gatepost.agent.api.jobs.service_jobs import ServiceJobs
from gatepost.agent.api.websocket.broadcaster import Broadcaster, LiveReadings
from gatepost.agent.api.websocket.event_filter import LOG
from gatepost.agent.core.certificates import valid_until
from gatepost.agent.core.errors import GatepostError, ListenWrong
from gatepost.agent.core.named_files import off_loop
from gatepost.agent.core.tcp_sockets import bind, certificate
from gatepost.agent.process.log_ring import LogLine
from gatepost.agent.settings import resolve_secret
from gatepost.agent.settings.model import ApiSettings, ApiTls, JwtSettings, Secret, split_address

if TYPE_CHECKING:
    from gatepost.agent.api.http.stack import HttpStack

log = logging.getLogger(__name__)

CONNECTIONS = 32
PATIENCE = 10.0  # seconds in which a connection must have asked something
STOP = 2.0  # seconds for running requests at the end


class ApiServer:
    """`await serve()`, `await apply(settings)` when they changed, later `await stop()`."""

    def __init__(
        self,
        app: AgentInterface,
        path: Path,
        *,
        connections: int = CONNECTIONS,
        patience: float = PATIENCE,
        resolve: Callable[[Secret | None], str | None] = lambda secret: resolve_secret(secret, os.environ),
        tokens: TokenStore | None = None,
    ) -> None:
        self.path = path
        self.tcp: str | None = None  # the address that is served
        self.trouble = ""  # why TCP or JWTs are not served as the settings say
        self.certificate_ends: float | None = None  # of the one in use, in seconds since 1970
        self._held: ApiSettings | None = None  # accepted last, served or not
        self._turn = asyncio.Lock()
        self._app = app
        self._patience = patience
        self._resolve = resolve
        self._closing = asyncio.Event()
        self.broadcaster = Broadcaster(app)
        self._jobs = ServiceJobs(app, path, resolve)
        self._tokens = tokens or TokenStore(app.store, app.clock)
        self._authenticator = Authenticator(
            app, self._tokens, SessionStore(app.clock, lambda token: self._tokens.get(token) is not None)
        )
        self._tokens.on_revoked += [self._authenticator.sessions.close_of, lambda _: self.broadcaster.check_validity()]
        self._authenticator.sessions.on_ended.append(self.broadcaster.check_validity)
        self._jwt: JwtSettings | None = None
        self._local = ListenerOnConnection(lambda: self._http.local(LocalGuard(), connections, patience))
        self._remote: ListenerOnConnection | None = None
        self._tls: ssl.SSLContext | None = None
        self._on_stored = app.store.on_stored
        self._live = LiveReadings(app)
        self._leaving: set[asyncio.Task[None]] = set()
        self._inode = 0
        self._serving = False

    @property
    def serving(self) -> bool:
        return self._serving

    @cached_property
    def _http(self) -> HttpStack:
        from gatepost.agent.api.http.stack import HttpStack  # imported by then, off the loop

        return HttpStack(self._app, self._closing, self._authenticator, self.broadcaster, self._jobs)

    async def serve(self) -> None:
        """Returns when clients can connect; raises SocketTaken, SocketWrong, StoreError."""
        await self._tokens.load()
        bound = unix_socket.bind(self.path)
        self._inode = self.path.lstat().st_ino
        self._local.serve_unix(bound)
        self._on_stored.append(self._live.stored)
        self._loop = asyncio.get_running_loop()
        self._app.log_ring.listeners.append(self._tell_log)
        self._serving = True
        log.info("the API listens at %s", self.path)
        await self.apply(self._app.settings.api)

    def _tell_log(self, line: LogLine) -> None:
        """In whatever thread the line was written."""
        if self._app.events.watched:
            self._loop.call_soon_threadsafe(self._app.events.emit, LOG, line.as_dict())

    async def apply(self, api: ApiSettings) -> None:
        """Serves where `api` says, with certificate and keys as their files are now. At the start, and where `api` is
        what holds, the agent goes on with what it has: `trouble` says why.

        Raises ListenWrong, JwtWrong, SettingsWrong.
        """
        async with self._turn:  # a client of the Unix socket may change them while TCP is served for the first time
            try:
                await self._apply(api)
                self.trouble = ""
            except GatepostError as error:
                if self._held is not None and api != self._held:
                    raise
                self.trouble = error.message
                log.error("%s; %s", error.message, error.hint)
            self._held = api

    async def _apply(self, api: ApiSettings) -> None:
        self._authenticator.jwt = None  # whatever fails below: no JWT is accepted by settings that no longer apply
        if api.jwt != self._jwt:
            self._authenticator.sessions.close_of_jwt()
        self._jwt = api.jwt
        try:
            await self._apply_tcp(api)
        except GatepostError:
            if api == self._held:  # TCP is served on with an earlier certificate
                await self._apply_jwt(api)
            raise
        await self._apply_jwt(api)

    async def _apply_jwt(self, api: ApiSettings) -> None:
        if self.tcp is not None and self.tcp == api.listen and api.jwt is not None:
            from gatepost.agent.api.auth.jwt import JwtJudge

            self._authenticator.jwt = await off_loop("api.jwt", partial(JwtJudge, api.jwt, self._resolve))

    async def _apply_tcp(self, api: ApiSettings) -> None:
        if api.listen is None or api.tls is None:
            self.certificate_ends = None
        if api.listen == self.tcp and (api.tls is None) == (self._tls is None):
            if api.tls is not None:
                await self._certificate(api.tls, self._tls)
            return
        if api.listen is None:
            await self._end_tcp()
            return
        context = None if api.tls is None else await self._certificate(api.tls)
        if api.listen == self.tcp:  # the port is needed again
            await self._end_tcp()
        bound = await bind(*split_address(api.listen), "api.listen")
        await self._end_tcp()
        remote = ListenerOnConnection(lambda: self._http.remote(self._authenticator, self._patience))
        remote.serve_tcp(bound, context)
        self._remote, self._tls, self.tcp = remote, context, api.listen
        log.info("the API listens at %s%s", api.listen, "" if context is None else " with TLS")

    async def _certificate(self, tls: ApiTls, into: ssl.SSLContext | None = None) -> ssl.SSLContext:
        try:
            context = await off_loop("api.tls", partial(certificate, tls.cert, tls.key, "api.tls", into=into))
            self.certificate_ends = await off_loop("api.tls", partial(valid_until, tls.cert))
            return context
        except OSError as error:
            raise ListenWrong(f"api.tls: {tls.cert} or {tls.key}: {error.strerror}", "a file of this machine") from None

    async def _end_tcp(self) -> None:
        """Takes no more connections there; what runs ends by itself: it may be what changed the settings."""
        remote, self._remote, self._tls, self.tcp = self._remote, None, None, None
        if remote is not None:
            remote.close()
            await remote.closed()
            task = asyncio.create_task(remote.drain(STOP))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def stop(self, timeout: float = STOP) -> None:
        """Takes no more connections, ends live streams, gives running requests `timeout` seconds, then ends them."""
        if not self._serving:
            return
        self._serving = False
        self._local.close()
        unix_socket.unlink(self.path, self._inode)
        self._on_stored.remove(self._live.stored)
        self._app.log_ring.listeners.remove(self._tell_log)
        self._closing.set()
        await self._jobs.stop()
        self._authenticator.access.close()
        ends = [self._local.drain(timeout), *self._leaving]
        if self._remote is not None:
            self._remote.close()
            ends.append(self._remote.drain(timeout))
            self._remote = None
        await asyncio.gather(*ends)
