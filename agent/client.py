"""Talks to the running agent over its Unix socket: `GatewayClient`, `AsyncGatewayClient`; small, no HTTP library.

    with_agent = GatewayClient("/run/gatepost/api.sock")
    with_agent.send("oximeter-1", "set_interval", {"interval": "30s"})

Both have the same methods, declared once in `_Calls`; those of the async one are awaited. Answers are the JSON of the
API as dicts and lists.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import quote, urlencode

import orjson

DEFAULT_SOCKET = "/run/gatepost/api.sock"
TIMEOUT = 10.0  # seconds
LARGEST = 64 << 20  # octets of an answer
LINE_LIMIT = 1 << 20  # octets of one streamed line

Answer = TypeVar("Answer")


class GatewayError(Exception):
    """The agent said no: `key` is stable, `message` a sentence, `hint` what to do, `status` the HTTP status.

    `answer` is the whole answer: for a command that was rejected its response.
    """

    def __init__(self, key: str, message: str, hint: str = "", status: int = 0, answer: Any = None) -> None:
        super().__init__(message)
        self.key = key
        self.message = message
        self.hint = hint
        self.status = status
        self.answer = answer


class NoAgent(GatewayError):
    """Nothing answers at the socket; `why`: absent, permission."""

    def __init__(self, path: str, why: str) -> None:
        hint = (
            "is the service running? `systemctl status gatepost`; without systemd: `gatepost run` starts an agent, "
            "--socket or --config names another one"
        )
        if why == "permission":
            hint = "your user may not use this socket: use sudo, or join the group gatepost"
        super().__init__("no-agent", f"no agent answers at {path}", hint)
        self.why = why


class GatewayTimeout(GatewayError):
    """The agent is there and did not answer in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__("timeout", f"the agent did not answer within {seconds:g} s", "it may be busy: try again")


class Call(NamedTuple):
    """One request; `timeout` None = the client's own."""

    method: str
    path: str
    query: Mapping[str, Any] = {}
    body: Any = None
    timeout: float | None = None

    @property
    def target(self) -> str:
        given = {name: _spelt(value) for name, value in self.query.items() if value is not None}
        return f"{self.path}?{urlencode(given)}" if given else self.path

    @property
    def content(self) -> bytes:
        return b"" if self.body is None else orjson.dumps(self.body)


class _Calls(Generic[Answer]):
    """The verbs of the API, once for both clients."""

    def __init__(
        self, path: str | Path | None = None, timeout: float = TIMEOUT, agent: str = "gatepost-client/1"
    ) -> None:
        """`path` of the socket: default $GATEPOST_SOCKET, else DEFAULT_SOCKET; `agent` is the User-Agent."""
        self.path = str(path or os.environ.get("GATEPOST_SOCKET") or DEFAULT_SOCKET)
        self.timeout = timeout
        self._headers = {"Host": "gatepost", "User-Agent": agent, "Connection": "close"}

    def request(self, call: Call) -> Answer:
        """The decoded answer; raises GatewayError, NoAgent, GatewayTimeout."""
        raise NotImplementedError

    def _get(self, path: str, **query: Any) -> Answer:
        return self.request(Call("GET", path, query))

    def health(self) -> Answer:
        return self._get("/health")

    def health_detailed(self) -> Answer:
        return self._get("/health/detailed")

    def status(self) -> Answer:
        return self._get("/api/v1/status")

    def stats(self) -> Answer:
        return self._get("/api/v1/stats")

    def settings(self) -> Answer:
        return self._get("/api/v1/settings")

    def doctor(self) -> Answer:
        return self._get("/api/v1/doctor")

    def brokers(self) -> Answer:
        return self._get("/api/v1/brokers")

    def broker(self, name: str) -> Answer:
        return self._get(f"/api/v1/brokers/{_part(name)}")

    def connect_broker(self, name: str) -> Answer:
        return self.request(Call("POST", f"/api/v1/brokers/{_part(name)}/control", body={"action": "connect"}))

    def disconnect_broker(self, name: str) -> Answer:
        return self.request(Call("POST", f"/api/v1/brokers/{_part(name)}/control", body={"action": "disconnect"}))

    def devices(self) -> Answer:
        return self._get("/api/v1/devices")

    def device(self, device: str) -> Answer:
        return self._get(f"/api/v1/devices/{_part(device)}")

    def data(self, device: str, **query: Any) -> Answer:
        """Stored readings of a device, newest first: since, until (datetime or RFC 3339), metric, limit, cursor."""
        return self._get(f"/api/v1/devices/{_part(device)}/data", **query)

    def readings(self, **query: Any) -> Answer:
        """Stored readings, newest first: as `data`, and device."""
        return self._get("/api/v1/readings", **query)

    def send(
        self,
        device: str | None,
        command: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        **members: Any,
    ) -> Answer:
        """A command for a device, None = for the gateway; `members` such as id, token, expires_at go with it.

        The answer is the command's response; a rejected one raises GatewayError with the rejection's key.
        """
        path = "/api/v1/gateway/command" if device is None else f"/api/v1/devices/{_part(device)}/command"
        body = {"command": command, "parameters": dict(parameters or {}), **members}
        return self.request(Call("POST", path, body=body, timeout=timeout))

    def commands(self, device: str, limit: int = 100, cursor: int | None = None) -> Answer:
        """The ledger of a device's commands, newest first."""
        return self._get(f"/api/v1/devices/{_part(device)}/commands", limit=limit, cursor=cursor)

    def backlog(self) -> Answer:
        return self._get("/api/v1/backlog")

    def gaps(self, limit: int = 100) -> Answer:
        return self._get("/api/v1/gaps", limit=limit)

    def dead_letters(self, limit: int = 100, broker: str | None = None) -> Answer:
        return self._get("/api/v1/dead-letters", limit=limit, broker=broker)

    def audit(self, limit: int = 100, cursor: int | None = None, what: str | None = None) -> Answer:
        return self._get("/api/v1/audit", limit=limit, cursor=cursor, what=what)

    def reload(self) -> Answer:
        return self.request(Call("POST", "/api/v1/reload"))


class GatewayClient(_Calls[Any]):
    """Blocking; a connection for each call, so one client serves many threads."""

    def request(self, call: Call) -> Any:
        seconds = call.timeout or self.timeout
        with self._opened(call, seconds) as response:
            content = _whole(response)
        return _decoded(response.status, content)

    def follow(self, device: str | None = None, metric: str | None = None, last: int = 0) -> Iterator[dict[str, Any]]:
        """Live readings after the `last` stored ones, until you stop or the agent does; `{"lost": n}` where this
        client was too slow."""
        call = _follow(device, metric, last)
        with self._opened(call, self.timeout) as response:
            if response.status != http.HTTPStatus.OK:
                _decoded(response.status, _whole(response))
            while line := response.readline(LINE_LIMIT):
                yield orjson.loads(line)

    def raw(self, device: str) -> Iterator[bytes]:
        """A recording of a device, line by line (drivers/recording.py), until you stop or the agent does."""
        with self._opened(Call("GET", f"/api/v1/devices/{_part(device)}/raw"), self.timeout) as response:
            if response.status != http.HTTPStatus.OK:
                _decoded(response.status, _whole(response))
            while line := response.readline(2 * LINE_LIMIT):
                yield line

    @contextmanager
    def _opened(self, call: Call, seconds: float) -> Iterator[http.client.HTTPResponse]:
        connection = _UnixConnection(self.path, seconds)
        try:
            headers = self._headers | ({"Content-Type": "application/json"} if call.content else {})
            connection.request(call.method, call.target, body=call.content or None, headers=headers)
            response = connection.getresponse()
            if response.getheader("Content-Length") is None and connection.sock is not None:
                connection.sock.settimeout(None)  # a stream: silence is no fault
            with closing(response):  # it holds the socket too
                yield response
        except TimeoutError as error:
            raise GatewayTimeout(seconds) from error
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NoAgent(self.path, "absent") from error
        except PermissionError as error:
            raise NoAgent(self.path, "permission") from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise GatewayError("connection-lost", f"the connection to the agent broke: {error}") from error
        finally:
            connection.close()


class AsyncGatewayClient(_Calls[Awaitable[Any]]):
    """The same for asyncio."""

    async def _request(self, call: Call) -> Any:
        seconds = call.timeout or self.timeout
        try:
            async with asyncio.timeout(seconds), self._opened(call) as (status, length, reader):
                if length is None:
                    raise GatewayError("bad-answer", "the agent answered with a stream")
                content = await _exactly(reader, length)
        except TimeoutError as error:
            raise GatewayTimeout(seconds) from error
        return _decoded(status, content)

    def request(self, call: Call) -> Awaitable[Any]:
        return self._request(call)

    async def follow(
        self, device: str | None = None, metric: str | None = None, last: int = 0
    ) -> AsyncIterator[dict[str, Any]]:
        """As GatewayClient.follow."""
        async with self._opened(_follow(device, metric, last)) as (status, length, reader):
            if length is not None:
                _decoded(status, await _exactly(reader, length))
            async for line in _lines(reader):
                yield orjson.loads(line)

    @asynccontextmanager
    async def _opened(self, call: Call) -> AsyncIterator[tuple[int, int | None, asyncio.StreamReader]]:
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(call.timeout or self.timeout):
                reader, writer = await asyncio.open_unix_connection(self.path, limit=LINE_LIMIT)
                headers = self._headers | {"Content-Type": "application/json", "Content-Length": str(len(call.content))}
                head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                writer.write(f"{call.method} {call.target} HTTP/1.1\r\n{head}\r\n".encode() + call.content)
                await writer.drain()
                status, length = _head(await reader.readuntil(b"\r\n\r\n"))
            yield status, length, reader
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NoAgent(self.path, "absent") from error
        except PermissionError as error:
            raise NoAgent(self.path, "permission") from error
        except TimeoutError as error:
            raise GatewayTimeout(call.timeout or self.timeout) from error
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            raise GatewayError("connection-lost", f"the connection to the agent broke: {error}") from error
        finally:
            if writer is not None:
                writer.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("gatepost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _whole(response: http.client.HTTPResponse) -> bytes:
    """The body; raises HTTPException when it is cut off, ValueError beyond LARGEST."""
    if response.length is None or response.length > LARGEST:
        raise ValueError("the answer has no length, or is too large")
    return response.read()


def _follow(device: str | None, metric: str | None, last: int) -> Call:
    return Call("GET", "/api/v1/readings/follow", {"device": device, "metric": metric, "last": last})


def _head(head: bytes) -> tuple[int, int | None]:
    """Status and content length of a response's head; no length = chunked. Raises ValueError."""
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    if not version.startswith("HTTP/"):
        raise ValueError("that is no HTTP")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = headers.get("content-length")
    return int(rest[:3]), None if length is None else int(length)


async def _exactly(reader: asyncio.StreamReader, length: int) -> bytes:
    if not 0 <= length <= LARGEST:
        raise ValueError("the answer is too large")
    return await reader.readexactly(length)


async def _lines(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The lines of a chunked body (RFC 9112, section 7.1)."""
    rest = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        *lines, rest = (rest + (await reader.readexactly(size + 2))[:-2]).split(b"\n")
        for line in lines:
            yield line


def _decoded(status: int, content: bytes) -> Any:
    """The JSON of a good answer; raises what a bad one says."""
    try:
        answer = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise GatewayError("bad-answer", f"the agent answered {status} without JSON", status=status) from None
    if status < http.HTTPStatus.BAD_REQUEST:
        return answer
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        raise GatewayError("bad-answer", f"the agent answered {status}", status=status)
    raise GatewayError(str(error.get("key")), str(error.get("message")), str(error.get("hint") or ""), status, answer)


def _part(name: str) -> str:
    """A name as one part of a path."""
    return quote(name, safe="")


def _spelt(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
