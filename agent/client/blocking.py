"""Blocking client `GatewayClient`, without asyncio and without an HTTP library."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from io import BufferedReader
from pathlib import Path
from typing import Any, TypeVar, cast

from gatepost.client.answers import LiveEvent, ReadingDict
from gatepost.client.calls import GatewayCalls, history
from gatepost.client.errors import GatewayTimeout, broke
from gatepost.client.methods import BlockingCalls, StreamCall
from gatepost.client.place import AgentAddress
from gatepost.client.wire import (
    BAD,
    LARGEST,
    LINE_LIMIT,
    LONGEST_LINE,
    ApiCall,
    ResponseHead,
    checked,
    head_of,
    meaning,
    request_of,
)

T = TypeVar("T")

TIMEOUT = 10.0  # seconds
HEAD_LINES = 100


class GatewayClient(GatewayCalls, BlockingCalls):
    """Talks to an agent; a connection for each call, so one client serves many threads."""

    def __init__(
        self,
        address: str | Path | None = None,
        timeout: float = TIMEOUT,
        agent: str = "gatepost-client/1",
        *,
        token: str | None = None,
        ca: str | Path | None = None,
    ) -> None:
        """`address`: the socket (default $GATEPOST_SOCKET, else the installed one), or http:// or https:// with a
        `token` and the PEM file `ca` that is trusted. `agent` is the User-Agent. Raises ValueError."""
        self.place = AgentAddress(address, token, ca, agent)
        self.path = self.place.name
        self.timeout = timeout

    def request(self, call: ApiCall[T]) -> T:
        with self._opened(call) as (head, stream):
            content = _exactly(stream, checked(head.length))
        return meaning(call, head, content)

    def history(
        self,
        device: str | None = None,
        *,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        metric: str | None = None,
        page: int = 1000,
    ) -> Iterator[ReadingDict]:
        """Every stored reading, newest first, of one device or of all; asks page by page as you go."""
        query = {"since": since, "until": until, "metric": metric}
        cursor = None
        while True:
            answer = self.request(history(device, query, page, cursor))
            yield from answer["readings"]
            cursor = answer["cursor"]
            if cursor is None:
                return

    def events(
        self,
        events: Sequence[str] | None = None,
        *,
        devices: Sequence[str] | None = None,
        metrics: Sequence[str] | None = None,
        reconnect: bool = True,
    ) -> Iterator[LiveEvent]:
        """Live events over /ws: names and patterns (`bp-*`), None = all of them.

        A lost connection is opened again, ever less often; then comes an event `reconnected` whose data says from
        `since` until `until` what may be missing (`history` has the readings). An event `lost` says how many this
        client was too slow for (`count`). Without `reconnect` a lost connection raises GatewayError.
        """
        from gatepost.client.live import EventStream, blocking

        wanted = {"events": events, "devices": devices, "metrics": metrics}
        return blocking(EventStream(self.place, self.timeout, wanted), reconnect)

    def stream(self, call: StreamCall[T]) -> Iterator[T]:
        if call.line is None:
            yield from cast(Iterator[T], self._chunks(call.call))
            return
        rest = b""
        for chunk in self._chunks(call.call):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > LONGEST_LINE:
                raise broke(self.path, ValueError("a line is too long"))
            yield from map(call.line, lines)

    def _chunks(self, call: ApiCall[Any]) -> Iterator[bytes]:
        with self._opened(call) as (head, stream):
            if head.status >= BAD:
                meaning(call, head, _exactly(stream, checked(head.length)))
            while chunk := _chunk(stream):
                yield chunk

    @contextmanager
    def _opened(self, call: ApiCall[Any]) -> Iterator[tuple[ResponseHead, BufferedReader]]:
        seconds = call.timeout or self.timeout
        connection: socket.socket | None = None
        try:
            connection = self._connected(seconds)
            connection.sendall(request_of(call, self.place.headers))
            with connection.makefile("rb") as stream:
                head = head_of(_head(stream))
                if head.length is None:
                    connection.settimeout(None)  # a stream: silence is no fault
                yield head, stream
        except TimeoutError as error:
            raise GatewayTimeout(seconds) from error
        except (OSError, EOFError, ValueError) as error:
            raise broke(self.path, error) from error
        finally:
            if connection is not None:
                connection.close()

    def _connected(self, seconds: float) -> socket.socket:
        place, context = self.place, self.place.tls()
        if place.path is None:
            plain = socket.create_connection((place.host, place.port), seconds)
        else:
            plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if place.path is not None:
                plain.settimeout(seconds)
                plain.connect(place.path)
            return plain if context is None else context.wrap_socket(plain, server_hostname=place.host)
        except BaseException:
            plain.close()
            raise


def _head(stream: BufferedReader) -> bytes:
    """Raises ValueError, EOFError."""
    lines: list[bytes] = []
    while (line := stream.readline(LINE_LIMIT)) != b"\r\n":
        if not line.endswith(b"\n"):
            raise EOFError("it ended in the head of an answer")
        lines.append(line)
        if len(lines) > HEAD_LINES:
            raise ValueError("the head of the answer has no end")
    return b"".join(lines)


def _exactly(stream: BufferedReader, length: int) -> bytes:
    content = stream.read(length)
    if len(content) != length:
        raise EOFError("it ended in the middle of an answer")
    return content


def _chunk(stream: BufferedReader) -> bytes:
    """The next chunk of a body (RFC 9112, section 7.1), nothing after the last. Raises ValueError, EOFError."""
    size = int(stream.readline(LINE_LIMIT).split(b";")[0], 16)
    if not 0 <= size <= LARGEST:
        raise ValueError("a part of the answer is too large")
    return _exactly(stream, size + 2)[:-2]
