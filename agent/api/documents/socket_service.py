"""Document of the socket service: Socket.IO at `/socket.io`, namespace `/mqtt`; each event is a request of `/mqtt`.

python-socketio is loaded with the first request there: the extra `socketio`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import orjson

from gatepost.agent.api.agent_interface import AgentInterface
from gatepost.agent.api.asgi import ASGIApp, Message, Receive, Scope, Send
from gatepost.agent.api.auth.authenticator import bearer
from gatepost.agent.api.auth.principal import AccessGuard
from gatepost.agent.api.http.errors import body_of
from gatepost.agent.api.http.router import refusal
from gatepost.agent.core.errors import BadInput, GatepostError, Unavailable
from gatepost.agent.core.events import Event
from gatepost.agent.core.topic_filter import TopicFilter
from gatepost.agent.uplink.message_log import MESSAGE

log = logging.getLogger(__name__)

NAMESPACE = "/mqtt"
OK, UNAUTHENTICATED = 200, 401
WHO = "GET", "/api/v1/session"
EVENTS = {  # as which request each is answered
    "mqtt:status": ("GET", "/mqtt/status"),
    "mqtt:publish": ("POST", "/mqtt/publish"),
    "mqtt:subscribe": ("POST", "/mqtt/subscribe"),
    "mqtt:unsubscribe": ("DELETE", "/mqtt/unsubscribe/"),
    "mqtt:subscriptions": ("GET", "/mqtt/subscriptions"),
}
MAX_SOCKETS = 64
MAX_WAITING = 500  # packets for one client, which is ended beyond that
MAX_OCTETS = 400_000  # of a packet
REQUEST_TIME = 60.0  # seconds; a poll waits for 45 at most
SWEEP = 10.0  # seconds: who has not signed in within two of them is ended, and tokens are looked at again
_SILENT = logging.Logger("socketio", logging.CRITICAL + 1)  # it would show payloads and tokens


class SocketClient(NamedTuple):
    """Client that signed in: `scope` carries its token, `topics` are those that it subscribed."""

    connection: str  # Engine.IO's name of it
    name: str
    scope: Scope
    topics: dict[str, TopicFilter]


class SocketService:
    """Socket.IO server of one listener, an ASGI application; `api` answers the requests that events stand for."""

    def __init__(self, app: AgentInterface, closing: asyncio.Event, guard: AccessGuard, api: ASGIApp) -> None:
        import socketio

        self._app = app
        self._closing = closing
        self._guard = guard
        self._api = api
        self._refused = socketio.exceptions.ConnectionRefusedError
        self._clients: dict[str, SocketClient] = {}
        self._task: asyncio.Task[None] | None = None
        self._server: Any = socketio.AsyncServer(
            async_mode="asgi",
            async_handlers=False,  # one after the other: a client waits for its own
            cors_allowed_origins=[],  # CorsPolicy decides; no cookie counts here
            max_http_buffer_size=MAX_OCTETS,
            logger=_SILENT,
            engineio_logger=_SILENT,
        )
        self._server.on("connect", self._connect, namespace=NAMESPACE)
        self._server.on("disconnect", self._disconnect, namespace=NAMESPACE)
        for event in EVENTS:
            self._server.on(event, self._handler(event), namespace=NAMESPACE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        engine, is_http = self._server.eio, scope["type"] == "http"
        try:
            await self._guard.admit(scope, "open")
            known = "sid" in parse_qs(scope["query_string"].decode("latin-1"))  # as Engine.IO looks
            if not known and len(engine.sockets) >= MAX_SOCKETS:
                raise Unavailable(f"there are {MAX_SOCKETS} Socket.IO clients already", "try again later")
        except GatepostError as error:
            if is_http:
                await refusal(error)(scope, receive, send)
            else:
                await send({"type": "websocket.close"})
            return
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch())
        try:
            async with asyncio.timeout(REQUEST_TIME if is_http else None):
                await engine.handle_request(scope, receive, send)
        except (TimeoutError, ValueError, LookupError, TypeError, AttributeError) as error:  # of packets that are none
            log.info("a Socket.IO client is ended: %s", type(error).__name__)

    # --- events of clients

    async def _connect(self, sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        scope = environ["asgi.scope"]
        token = auth.get("token") if isinstance(auth, dict) else None
        try:
            token = token if isinstance(token, str) and token else bearer(dict(scope["headers"]))
        except GatepostError:
            token = None
        headers = [] if token is None else [(b"authorization", f"Bearer {token}".encode("utf-8", "replace"))]
        scope = {**scope, "type": "http", "query_string": b"", "headers": headers}
        status, answer = await self._request(scope, *WHO)
        if status != OK:
            raise self._refused(answer["error"]["message"], answer["error"])
        connection = self._server.manager.eio_sid_from_sid(sid, NAMESPACE)
        self._clients[sid] = SocketClient(connection, answer["name"], scope, {})

    async def _disconnect(self, sid: str, reason: str = "") -> None:
        self._clients.pop(sid, None)

    def _handler(self, event: str) -> Callable[..., Awaitable[None]]:
        async def handle(sid: str, data: Any = None, *more: Any) -> None:
            await self._heed(event, sid, data)

        return handle

    async def _heed(self, event: str, sid: str, data: Any) -> None:
        """As the request is answered that the event stands for."""
        client = self._clients.get(sid)
        if client is None:
            return
        method, path = EVENTS[event]
        data = {} if data is None else data
        topic = data.get("topic", "") if isinstance(data, dict) else ""
        if method == "DELETE":
            if not isinstance(topic, str) or not topic:
                hint = "the topic of the subscription"
                await self._emit(sid, f"{event}:error", body_of(BadInput("topic: is missing", hint)))
                return
            client.topics.pop(topic, None)
            if any(topic in other.topics for other in self._clients.values()):  # still wanted by somebody here
                await self._emit(sid, f"{event}:success", {"status": "unsubscribed", "topic": topic})
                return
            path += topic
        status, answer = await self._request(client.scope, method, path, data if method == "POST" else None)
        if status != OK:
            await self._emit(sid, f"{event}:error", answer)
            return
        if event == "mqtt:subscribe" and answer["status"] != "refused":
            client.topics[topic] = TopicFilter(topic)
        await self._emit(sid, event if event == "mqtt:status" else f"{event}:success", answer)

    async def _request(self, scope: Scope, method: str, path: str, data: Any = None) -> tuple[int, Any]:
        """Status and JSON that the API answers."""
        status, body = 0, b""

        async def receive() -> Message:
            return {"type": "http.request", "body": b"" if data is None else orjson.dumps(data), "more_body": False}

        async def send(message: Message) -> None:
            nonlocal status, body
            status = message.get("status", status)
            body += message.get("body", b"")

        await self._api({**scope, "method": method, "path": path}, receive, send)
        return status, orjson.loads(body)

    # --- what clients are told

    async def _watch(self) -> None:
        """While there are clients: tells messages, and ends those whose token holds no more; in the end all."""
        loop, nameless = asyncio.get_running_loop(), frozenset[str]()
        due, end = loop.time() + SWEEP, asyncio.create_task(self._closing.wait())
        try:
            with self._app.events.listen() as heard:
                while not self._closing.is_set():
                    event = asyncio.ensure_future(heard.get())
                    await asyncio.wait({event, end}, timeout=due - loop.time(), return_when=asyncio.FIRST_COMPLETED)
                    if event.done():
                        await self._tell(event.result())
                    else:
                        event.cancel()
                    if loop.time() >= due:
                        if not self._server.eio.sockets:
                            return
                        nameless, due = await self._sweep(nameless), loop.time() + SWEEP
            for connection in tuple(self._server.eio.sockets):
                await self._server.eio.disconnect(connection)
            await self._server.shutdown()
        finally:
            end.cancel()

    async def _tell(self, event: Event) -> None:
        message = event.data
        if event.kind != MESSAGE or message["direction"] != "in":
            return
        told = {key: message[key] for key in ("topic", "payload", "qos")} | {"timestamp": message["at"]}
        for sid, client in tuple(self._clients.items()):
            if any(pattern.matches(told["topic"]) for pattern in client.topics.values()):
                await self._emit(sid, "mqtt:message", told)

    async def _emit(self, sid: str, event: str, data: Any) -> None:
        client = self._clients.get(sid)
        socket = None if client is None else self._server.eio.sockets.get(client.connection)
        if client is None or socket is None:
            return
        if socket.queue.qsize() > MAX_WAITING:
            log.warning("a Socket.IO client of %s is too slow and is ended", client.name)
            await self._end(client.connection)
        else:
            await self._server.emit(event, data, to=sid, namespace=NAMESPACE)

    async def _sweep(self, nameless: frozenset[str]) -> frozenset[str]:
        """Ends who had no name at the last sweep either, and whose token holds no more; who has no name now."""
        for client in tuple(self._clients.values()):
            status, _ = await self._request(client.scope, *WHO)
            if status == UNAUTHENTICATED:
                await self._end(client.connection)
        still = set(self._server.eio.sockets) - {client.connection for client in self._clients.values()}
        for connection in still & nameless:
            await self._end(connection)
        return frozenset(still - nameless)

    async def _end(self, connection: str) -> None:
        with suppress(Exception):  # whatever is the matter with it: it is forgotten
            async with asyncio.timeout(1.0):
                await self._server.eio.disconnect(connection)
        self._server.eio.sockets.pop(connection, None)
