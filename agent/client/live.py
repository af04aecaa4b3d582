"""Live events over /ws, for both clients: the query, reconnecting, and what may have been missed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from random import Random
from typing import Any
from urllib.parse import urlencode

import orjson

from gatepost.agent.core.backoff import Backoff
from gatepost.client.answers import LiveEvent
from gatepost.client.errors import GatewayError, GatewayTimeout, broke, refused
from gatepost.client.place import AgentAddress

FIRST_RETRY, LONGEST_RETRY = 0.5, 30.0  # seconds between attempts
WAITING = 64  # frames that wait here before the agent has to
FRAME = 4 << 20  # octets
GONE = "reconnected"
LASTING = frozenset({400, 401, 403, 404, 405, 422, 426})  # asking again would not help


class EventStream:
    """One way to the events: its address, and where it was when a connection was lost."""

    def __init__(self, place: AgentAddress, timeout: float, wanted: dict[str, Sequence[str] | None]) -> None:
        self.place = place
        self._timeout = timeout
        given = {name: ",".join(patterns) for name, patterns in wanted.items() if patterns is not None}
        query = f"?{urlencode(given)}" if given else ""
        host = place.headers["Host"]
        self.url = f"{'wss' if place.secure else 'ws'}://{host}/ws{query}"
        self._backoff = Backoff(Random(), FIRST_RETRY, LONGEST_RETRY)  # noqa: S311 - jitter, no secret
        self._last: str | None = None
        self._lost: GatewayError | None = None
        self._was_there = False

    def options(self) -> dict[str, Any]:
        """Of the connect functions of websockets. Raises NotTrusted."""
        place = self.place
        headers = {name: value for name, value in place.headers.items() if name == "Authorization"}
        found: dict[str, Any] = {
            "additional_headers": headers,
            "user_agent_header": place.headers["User-Agent"],
            "open_timeout": self._timeout,
            "close_timeout": 1,
            "max_size": FRAME,
            "max_queue": WAITING,
            "compression": None,
        }
        if place.path is None:
            found |= {"ssl": place.tls(), "proxy": None}
        return found

    def opened(self) -> LiveEvent | None:
        """To tell after a lost connection: from when until when events may be missing."""
        self._backoff.reset()
        self._was_there = True
        lost, self._lost = self._lost, None
        if lost is None:
            return None
        now = _now()
        return {"event": GONE, "at": now, "data": {"since": self._last, "until": now, "why": lost.message}}

    def heard(self, frame: str | bytes) -> LiveEvent:
        """Raises ValueError."""
        event: LiveEvent = orjson.loads(frame)
        self._last = event.get("at", self._last)
        return event

    def failed(self, error: Exception, reconnect: bool) -> float:
        """Seconds until the next attempt; raises GatewayError where there is none: also when the first one fails."""
        found = self._meaning(error)
        if not reconnect or not self._was_there or found.status in LASTING or found.key == "not-trusted":
            raise found from error
        self._lost = self._lost or found
        if self._last is None:
            self._last = _now()
        return self._backoff.next(getattr(found, "retry_after", 0.0))

    def _meaning(self, error: Exception) -> GatewayError:
        from websockets.exceptions import ConnectionClosed, InvalidStatus

        if isinstance(error, GatewayError):
            return error
        if isinstance(error, InvalidStatus):
            answer = None
            with suppress(orjson.JSONDecodeError):
                answer = orjson.loads(error.response.body or b"")
            return refused(error.response.status_code, answer, error.response.headers.get("Retry-After"))
        if isinstance(error, TimeoutError):
            return GatewayTimeout(self._timeout)
        if isinstance(error, ConnectionClosed):
            why = error.rcvd.reason if error.rcvd and error.rcvd.reason else "the connection ended"
            return GatewayError("connection-lost", f"the agent sends no more events: {why}")
        return broke(self.place.name, error)


async def waiting(stream: EventStream, reconnect: bool) -> AsyncIterator[LiveEvent]:
    """Events until you stop; raises GatewayError."""
    from websockets.asyncio.client import connect, unix_connect
    from websockets.exceptions import WebSocketException

    while True:
        try:
            path, options = stream.place.path, stream.options()
            opening = connect(stream.url, **options) if path is None else unix_connect(path, stream.url, **options)
            async with opening as socket:
                if missed := stream.opened():
                    yield missed
                while True:
                    yield stream.heard(await socket.recv())
        except (OSError, EOFError, ValueError, WebSocketException, GatewayError) as error:
            seconds = stream.failed(error, reconnect)
        await asyncio.sleep(seconds)


def blocking(stream: EventStream, reconnect: bool) -> Iterator[LiveEvent]:
    """As `waiting`."""
    from websockets.exceptions import WebSocketException
    from websockets.sync.client import connect, unix_connect

    while True:
        try:
            path, options = stream.place.path, stream.options()
            opening = connect(stream.url, **options) if path is None else unix_connect(path, stream.url, **options)
            with opening as socket:
                if missed := stream.opened():
                    yield missed
                while True:
                    yield stream.heard(socket.recv())
        except (OSError, EOFError, ValueError, WebSocketException, GatewayError) as error:
            seconds = stream.failed(error, reconnect)
        time.sleep(seconds)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
