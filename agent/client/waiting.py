"""Client for asyncio, `AsyncGatewayClient`: the same methods as `GatewayClient`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, cast

from gatepost.client.answers import LiveEvent, ReadingDict
from gatepost.client.blocking import TIMEOUT
from gatepost.client.calls import GatewayCalls, history
from gatepost.client.errors import GatewayTimeout, broke
from gatepost.client.methods import AsyncCalls, StreamCall
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


class AsyncGatewayClient(GatewayCalls, AsyncCalls):
    """Talks to an agent; its methods are awaited."""

    def __init__(
        self,
        address: str | Path | None = None,
        timeout: float = TIMEOUT,
        agent: str = "gatepost-client/1",
        *,
        token: str | None = None,
        ca: str | Path | None = None,
    ) -> None:
        """As GatewayClient."""
        self.place = AgentAddress(address, token, ca, agent)
        self.path = self.place.name
        self.timeout = timeout

    def request(self, call: ApiCall[T]) -> Awaitable[T]:
        return self._request(call)

    async def _request(self, call: ApiCall[T]) -> T:
        seconds = call.timeout or self.timeout
        try:
            async with asyncio.timeout(seconds), self._opened(call) as (head, reader):
                content = await reader.readexactly(checked(head.length))
        except TimeoutError as error:
            raise GatewayTimeout(seconds) from error
        return meaning(call, head, content)

    async def history(
        self,
        device: str | None = None,
        *,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        metric: str | None = None,
        page: int = 1000,
    ) -> AsyncIterator[ReadingDict]:
        """As GatewayClient.history."""
        query = {"since": since, "until": until, "metric": metric}
        cursor = None
        while True:
            answer = await self.request(history(device, query, page, cursor))
            for reading in answer["readings"]:
                yield reading
            cursor = answer["cursor"]
            if cursor is None:
                return

    async def stream(self, call: StreamCall[T]) -> AsyncIterator[T]:
        if call.line is None:
            async for chunk in self._chunks(call.call):
                yield cast(T, chunk)
            return
        rest = b""
        async for chunk in self._chunks(call.call):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > LONGEST_LINE:
                raise broke(self.path, ValueError("a line is too long"))
            for line in lines:
                yield call.line(line)

    async def _chunks(self, call: ApiCall[Any]) -> AsyncIterator[bytes]:
        """The pieces of a chunked body (RFC 9112, section 7.1)."""
        async with self._opened(call) as (head, reader):
            if head.status >= BAD:
                async with asyncio.timeout(self.timeout):
                    meaning(call, head, await reader.readexactly(checked(head.length)))
            while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
                if not 0 <= size <= LARGEST:
                    raise ValueError("a part of the answer is too large")
                yield (await reader.readexactly(size + 2))[:-2]

    def events(
        self,
        events: Sequence[str] | None = None,
        *,
        devices: Sequence[str] | None = None,
        metrics: Sequence[str] | None = None,
        reconnect: bool = True,
    ) -> AsyncIterator[LiveEvent]:
        """As GatewayClient.events."""
        from gatepost.client.live import EventStream, waiting

        wanted = {"events": events, "devices": devices, "metrics": metrics}
        return waiting(EventStream(self.place, self.timeout, wanted), reconnect)

    @asynccontextmanager
    async def _opened(self, call: ApiCall[Any]) -> AsyncIterator[tuple[ResponseHead, asyncio.StreamReader]]:
        seconds = call.timeout or self.timeout
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(seconds):
                reader, writer = await self._connected()
                writer.write(request_of(call, self.place.headers))
                await writer.drain()
                head = head_of((await reader.readuntil(b"\r\n\r\n")).removesuffix(b"\r\n\r\n"))
            yield head, reader
        except TimeoutError as error:
            raise GatewayTimeout(seconds) from error
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            raise broke(self.path, error) from error
        finally:
            if writer is not None:
                writer.close()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        place = self.place
        if place.path is not None:
            return await asyncio.open_unix_connection(place.path, limit=LINE_LIMIT)
        return await asyncio.open_connection(place.host, place.port, ssl=place.tls(), limit=LINE_LIMIT)
