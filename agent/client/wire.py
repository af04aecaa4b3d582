"""HTTP/1.1 as far as the agent speaks it: a request's octets, an answer's head, its meaning. No I/O here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar, cast
from urllib.parse import quote, urlencode

import orjson

from gatepost.client.errors import GatewayError, refused

LARGEST = 64 << 20  # octets of an answer
LINE_LIMIT = 1 << 20  # octets of a head, and of its lines
LONGEST_LINE = 2 << 20  # octets of a streamed line
BAD = 400
V1 = "/api/v1"
CHANGE_TIME = 60.0  # seconds: a change of the settings is tried before it is kept

T = TypeVar("T")


class ApiCall(NamedTuple, Generic[T]):
    """One request whose good answer is a T; `timeout` None = the client's own."""

    method: str
    path: str
    query: Mapping[str, Any] = {}
    body: Any = None
    timeout: float | None = None
    headers: Mapping[str, str] = {}
    shape: Callable[[Any], T] | None = None  # what becomes of the answer's JSON
    text: bool = False  # the answer is text, not JSON

    @property
    def target(self) -> str:
        given = {name: _spelt(value) for name, value in self.query.items() if value is not None}
        return f"{self.path}?{urlencode(given)}" if given else self.path

    @property
    def content(self) -> bytes:
        return b"" if self.body is None else orjson.dumps(self.body)


class ResponseHead(NamedTuple):
    """Of an answer; `length` None = a stream, in chunks."""

    status: int
    length: int | None
    headers: Mapping[str, str]


def request_of(call: ApiCall[Any], headers: Mapping[str, str]) -> bytes:
    """What goes out for a call."""
    content = call.content
    told = {**headers, **call.headers, "Content-Length": str(len(content))}
    if content:
        told["Content-Type"] = "application/json"
    lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return f"{call.method} {call.target} HTTP/1.1\r\n{lines}\r\n".encode() + content


def head_of(raw: bytes) -> ResponseHead:
    """Raises ValueError when that is no HTTP."""
    first, *lines = raw.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    if not version.startswith("HTTP/"):
        raise ValueError("that is no HTTP")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = headers.get("content-length")
    return ResponseHead(int(rest[:3]), None if length is None else int(length), headers)


def checked(length: int | None) -> int:
    """How long an answer is that must be whole; raises ValueError."""
    if length is None or not 0 <= length <= LARGEST:
        raise ValueError("the answer has no length, or is too large")
    return length


def meaning(call: ApiCall[T], head: ResponseHead, content: bytes) -> T:
    """What a good answer says; raises what a bad one says."""
    if call.text and head.status < BAD:
        return cast(T, content.decode("utf-8", "replace"))
    try:
        answer = orjson.loads(content)
    except orjson.JSONDecodeError:
        message = f"the agent answered {head.status} without JSON"
        raise GatewayError("bad-answer", message, status=head.status) from None
    if head.status >= BAD:
        raise refused(head.status, answer, head.headers.get("retry-after"))
    return cast(T, answer) if call.shape is None else call.shape(answer)


def get(path: str, **query: Any) -> ApiCall[Any]:
    """A GET below /api/v1."""
    return ApiCall("GET", V1 + path, query)


def part(name: str) -> str:
    """A name as one part of a path."""
    return quote(name, safe="")


def _spelt(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime) else str(value)
