"""uvicorn's HTTP/1.1 protocol with bounds: so many connections, and none that keeps one without asking or reading."""

from __future__ import annotations

import asyncio
import logging
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from gatepost.agent.api.asgi import ASGIApp
from gatepost.agent.core.lazy_modules import import_lazily
from gatepost.agent.core.tcp_sockets import client_group

if not TYPE_CHECKING:
    import_lazily("uvicorn")  # its submodules are enough
    import_lazily("logging.config")  # 0.6 MiB that uvicorn.config takes for a setting that is not used

from h11._state import MIGHT_SWITCH_PROTOCOL
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol

log = logging.getLogger(__name__)

SOCKET_IO = "/socket.io/"
KEEP_ALIVE = 15  # seconds that an idle connection is kept
HEAD_LIMIT = 32 * 1024  # octets of a request's head

FULL_BODY = b'{"error": {"key": "unavailable", "message": "too many connections", "hint": "try again"}}'
FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(FULL_BODY), FULL_BODY)
)


class ConnectionLimits:
    """Of one listener: `connections` in all and of one `address`; `patience` seconds for a request's head."""

    def __init__(self, connections: int, address: int, patience: float) -> None:
        self.connections = connections
        self.address = address
        self.patience = patience


class BoundedH11Protocol(H11Protocol):
    def __init__(self, *args: Any, limits: ConnectionLimits, **options: Any) -> None:
        super().__init__(*args, **options)
        self._limits = limits
        self._deadline: asyncio.TimerHandle | None = None
        self._unread = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self._too_many():
            transport.write(FULL)
            transport.close()
        self._wait(self._limits.patience)  # also for whoever does not read that there are too many

    def data_received(self, data: bytes) -> None:
        asked = self.cycle
        super().data_received(data)
        if self.cycle is not asked:  # a whole head has come; bodies have a limit of their own
            self._relax()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete:  # else the next request was waiting already
            self._wait(KEEP_ALIVE + self._limits.patience)

    def _should_upgrade(self) -> bool:
        """A WebSocket begins as a request like every other: whoever answers it may take the connection."""
        if self._get_upgrade() == b"websocket":
            if self.scope["path"].startswith(SOCKET_IO) and find_spec("socketio") is not None:
                self._relax()
                self._load_websockets()
                return True
            extensions: dict[str, Any] = {"gatepost.websocket": self._hand_over}
            self.scope["extensions"] = extensions
        return False

    def _load_websockets(self) -> None:
        """Those of uvicorn, for an application of ASGI: Socket.IO brings one."""
        from gatepost.agent.api.http.bounded_websocket import BoundedWebSocket

        self.ws_protocol_class = BoundedWebSocket

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP: it is not logged, since it may hold anything."""
        host, port = self.client or ("the Unix socket", 0)
        # The port as a number: who sends nonsense again and again fills no log.
        log.warning("a connection from %s port %d was closed: what it sent is not HTTP/1.1", host, port)
        super().send_400_response(msg)

    def _hand_over(self) -> tuple[asyncio.Transport, set[Any], bytes] | None:
        """The connection, those of this listener, and what came behind the request; None when it is gone."""
        if self.transport.is_closing() or self.cycle.disconnected:
            return None
        if self.conn.their_state is not MIGHT_SWITCH_PROTOCOL:  # a body still comes
            self.transport.abort()
            self.cycle.disconnected = True
            return None
        self._relax()
        self._unset_keepalive_if_required()
        self.connections.discard(self)
        self.cycle.response_started = self.cycle.response_complete = True
        return self.transport, self.connections, self.conn.trailing_data[0]

    def connection_lost(self, exc: Exception | None) -> None:
        self._relax()
        super().connection_lost(exc)

    def _too_many(self) -> bool:
        held = [other for other in self.connections if isinstance(other, BoundedH11Protocol)]
        if len(held) > self._limits.connections:
            return True
        if self.client is None:
            return False
        mine = client_group(self.client[0])
        same = sum(other.client is not None and client_group(other.client[0]) == mine for other in held)
        return same > self._limits.address

    def _wait(self, seconds: float) -> None:
        self._relax()
        self._unread = self.transport.get_write_buffer_size()
        self._deadline = self.loop.call_later(seconds, self._late)

    def _late(self) -> None:
        """Nothing was asked in time; who still reads what was answered before is waited for."""
        unread = self.transport.get_write_buffer_size()
        if 0 < unread < self._unread:
            self._wait(self._limits.patience)
        else:
            self.transport.abort()

    def _relax(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def config_of(application: ASGIApp) -> Config:
    """What H11Protocol reads of a Config; not `load`, since it imports what `import_lazily` keeps away."""
    config = Config(
        application,
        interface="asgi3",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE,
        h11_max_incomplete_event_size=HEAD_LIMIT,
        ws_max_size=HEAD_LIMIT * 16,
    )
    config.loaded_app = application
    config.ws_protocol_class = None
    config.loaded = True
    return config
