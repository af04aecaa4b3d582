"""Responses: a handler returns a value for JSON, a `JsonResponse` with its own status, or a `StreamingResponse`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Generic, TypeVar

import msgspec
import orjson

from gatepost.agent.api.asgi import Receive, Scope, Send

T = TypeVar("T")

JSON = b"application/json"
NDJSON = b"application/x-ndjson"
GZIP = b"application/gzip"
PLAIN = {"cache-control": "no-store", "x-content-type-options": "nosniff"}  # readings stay in no cache
VALID_EACH = 1.0  # seconds between two looks whether a client still may read what it is sent
FAREWELL = 1.0  # seconds that the end of a stream may take to leave


class JsonResponse(Generic[T]):
    """A JSON body with its status; NaN and infinity become null."""

    kind = JSON

    def __init__(self, body: T, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.status = status
        self.body = orjson.dumps(body, default=_encode, option=orjson.OPT_NON_STR_KEYS)
        self.headers = headers or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", self.kind), (b"content-length", str(len(self.body)).encode())]
        headers += [(name.lower().encode(), value.encode()) for name, value in {**PLAIN, **self.headers}.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


class TextResponse(JsonResponse[str]):
    """A body that is not JSON."""

    def __init__(self, body: str, kind: str) -> None:
        self.status = 200
        self.body = body.encode()
        self.headers = {}
        self.kind = kind.encode()


class StreamingResponse:
    """JSON lines, or text of another kind, until `chunks` ends, the client leaves, may not read any more or the agent
    stops. The first chunk is made before the headers go out, so a client that has them misses nothing that follows."""

    def __init__(
        self,
        chunks: AsyncGenerator[bytes, None],
        closing: asyncio.Event,
        kind: bytes = NDJSON,
        still_valid: Callable[[], bool] | None = None,
    ) -> None:
        self._chunks = chunks
        self._headers = [(b"content-type", kind), *((name.encode(), value.encode()) for name, value in PLAIN.items())]
        self._closing = closing
        self._still_valid = still_valid

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._chunks):
            first = await anext(self._chunks, b"")
            await send({"type": "http.response.start", "status": 200, "headers": self._headers})
            tasks = [
                asyncio.create_task(self._pump(first, send)),
                asyncio.create_task(_left(receive)),
                asyncio.create_task(self._closing.wait()),
            ]
            if self._still_valid is not None:
                tasks.append(asyncio.create_task(_until_not(self._still_valid)))
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        if isinstance(outcomes[0], Exception):
            raise outcomes[0]
        async with asyncio.timeout(FAREWELL):
            await send({"type": "http.response.body", "body": b""})

    async def _pump(self, first: bytes, send: Send) -> None:
        await send({"type": "http.response.body", "body": first, "more_body": True})
        async for chunk in self._chunks:  # send() waits while the client does not read
            await send({"type": "http.response.body", "body": chunk, "more_body": True})


class FileDownload(StreamingResponse):
    """A compressed file that a browser keeps under a name."""

    def __init__(
        self,
        chunks: AsyncGenerator[bytes, None],
        closing: asyncio.Event,
        name: str,
        still_valid: Callable[[], bool] | None = None,
    ) -> None:
        super().__init__(chunks, closing, GZIP, still_valid)
        self._headers.append((b"content-disposition", f'attachment; filename="{name}"'.encode()))


async def _until_not(valid: Callable[[], bool]) -> None:
    while valid():  # noqa: ASYNC110 - time itself ends it as well
        await asyncio.sleep(VALID_EACH)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _encode(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
