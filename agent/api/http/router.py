"""Router: an ASGI application from the route table; decodes requests, calls handlers, shapes errors."""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec
import orjson

from gatepost.agent.api.agent_interface import AgentInterface
from gatepost.agent.api.asgi import ASGIApp, Receive, Scope, Send
from gatepost.agent.api.auth.authenticator import Authenticator, still_valid
from gatepost.agent.api.auth.principal import LOCAL, NOBODY, AccessGuard, Needed, Principal
from gatepost.agent.api.auth.sessions import SAFE
from gatepost.agent.api.http.errors import INTERNAL, body_of, status_of
from gatepost.agent.api.http.responses import JsonResponse, StreamingResponse
from gatepost.agent.api.schemas.requests import NoQuery
from gatepost.agent.core.errors import (
    BadInput,
    Forbidden,
    GatepostError,
    NoSuchMethod,
    NotFound,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
)

_PARAMETER = re.compile(r"\{(\w+)(:path)?\}")


class _Place(NamedTuple):
    pattern: re.Pattern[str]
    endpoint: ASGIApp


class PathMatcher:
    """`/devices/{id}`: one part of a path; `{topic:path}`: all that is left, slashes too. Tried in their order; the
    endpoint finds what they matched in `scope["path_params"]`."""

    def __init__(self, endpoints: Iterable[tuple[str, ASGIApp]], nothing_here: ASGIApp) -> None:
        self._places = [_Place(_compiled(path), endpoint) for path, endpoint in endpoints]
        self._nothing_here = nothing_here

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        for place in self._places:
            matched = place.pattern.fullmatch(path)
            if matched is not None:
                scope["path_params"] = matched.groupdict()
                await place.endpoint(scope, receive, send)
                return
        await self._nothing_here(scope, receive, send)


def _compiled(path: str) -> re.Pattern[str]:
    pattern, end = "", 0
    for found in _PARAMETER.finditer(path):
        pattern += re.escape(path[end : found.start()])
        pattern += f"(?P<{found[1]}>{'.+' if found[2] else '[^/]+'})"
        end = found.end()
    return re.compile(pattern + re.escape(path[end:]), re.DOTALL)


log = logging.getLogger(__name__)

BODY_LIMIT = 1 << 20
OPEN_BODY_LIMIT = 1 << 15  # of whoever asks without signing in: dozens may, at the same time
BODY_TIME = 10.0  # seconds in which a body must have arrived
TIME = 30.0  # seconds that a handler may take,
CHANGE_TIME = 60.0  # one that changes settings, which opens devices and brokers again


class ApiRequest(NamedTuple):
    """One request, decoded: `path` and `query` are validated, `raw` is the body as it came."""

    app: AgentInterface
    path: dict[str, str]
    query: Any
    body: Any
    raw: bytes
    source: str  # "cli" and "api" on the Unix socket, "api:<name>" of a token, session or JWT
    closing: asyncio.Event
    authenticator: Authenticator  # tokens and sessions
    scope: Scope
    principal: Principal = LOCAL
    headers: Mapping[bytes, bytes] = {}

    @property
    def validity(self) -> Callable[[], bool] | None:
        """Asks whether whoever asked still may, for answers without an end; None on the Unix socket."""
        return None if self.principal is LOCAL else partial(still_valid, self.authenticator, self.scope)

    def header(self, name: str) -> str | None:
        """A header of the request by its name in lower case."""
        value = self.headers.get(name.encode())
        return None if value is None else value.decode("latin-1")


class Route(NamedTuple):
    """One line of the route table. What the handler returns is the schema of a good answer; `answer` says in words what
    comes where that is no JSON. `time` None = endless.

    `role` is the least that a client needs; a route without one is not served. `statuses` are those of success, `other`
    is a second media type that a client may accept. `patient` = it shows data of patients: who read it is recorded.
    """

    method: str
    path: str
    handler: Callable[[ApiRequest], Awaitable[Any]]
    summary: str
    answer: str = ""
    query: type[msgspec.Struct] = NoQuery
    body: type[msgspec.Struct] | None = None
    time: float | None = TIME
    role: Needed | None = None
    patient: bool = False
    statuses: tuple[int, ...] = (200,)
    other: str | None = None
    tag: str = ""  # in the OpenAPI document, where the path does not say it


view = partial(Route, "GET", role="viewer")
operate = partial(Route, role="operator")
change = partial(Route, role="admin", time=CHANGE_TIME)


class LateRoutes(NamedTuple):
    """Routes that are loaded with the first request whose path begins like one of theirs."""

    prefixes: tuple[str, ...]
    load: Callable[[], Iterable[Route]]


def application(
    app: AgentInterface,
    routes: Iterable[Route],
    closing: asyncio.Event,
    authenticator: Authenticator,
    guard: AccessGuard,
    late: LateRoutes | None = None,
) -> ASGIApp:
    """Paths are tried in the order of the table; `closing` ends the endless answers, `guard` says who asks."""

    endpoint = partial(_Endpoint, app, closing=closing, authenticator=authenticator, guard=guard)

    def matcher(table: Iterable[Route], otherwise: ASGIApp) -> PathMatcher:
        return PathMatcher([(path, endpoint(methods)) for path, methods in _by_path(table).items()], otherwise)

    if late is None:
        return matcher(routes, _nothing_here)
    loaded: list[PathMatcher] = []

    async def other(scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].startswith(late.prefixes):
            await _nothing_here(scope, receive, send)
            return
        if not loaded:
            loaded.append(matcher(late.load(), _nothing_here))
        await loaded[0](scope, receive, send)

    return matcher(routes, other)


def _by_path(routes: Iterable[Route]) -> dict[str, dict[str, Route]]:
    paths: dict[str, dict[str, Route]] = {}
    for route in routes:
        if route.role is None:
            log.error("%s %s names no role and is not served", route.method, route.path)
            continue
        paths.setdefault(route.path, {})[route.method] = route
    return paths


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    error = NotFound(f"there is nothing at {scope['path']}", "see the routes in the documentation")
    await JsonResponse(body_of(error), 404)(scope, receive, send)


class _Endpoint:
    """All methods of one path."""

    def __init__(
        self,
        app: AgentInterface,
        methods: dict[str, Route],
        closing: asyncio.Event,
        authenticator: Authenticator,
        guard: AccessGuard,
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._methods = methods
        self._closing = closing
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._answer(scope, receive)
        except GatepostError as error:
            answer = refusal(error)
        except TimeoutError:
            answer = refusal(Unavailable("the agent took too long to answer", "try again"))
        except asyncio.CancelledError:  # the server stops and waits no longer
            answer = refusal(Unavailable("the agent is stopping"))
        except Exception:
            log.exception("the API could not answer %s %s", scope["method"], scope["path"])
            answer = refusal(INTERNAL)
        await answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> JsonResponse[Any] | StreamingResponse:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        route = self._methods.get(method)
        if route is None:
            raise NoSuchMethod(method, sorted(self._methods))
        principal = await self._guard.admit(scope, route.role or "admin") or NOBODY
        try:
            check_role(principal, route)
            found = await self._handled(route, principal, scope, receive)
        except GatepostError as error:
            if method not in SAFE and principal is not NOBODY:
                self._authenticator.access.note(
                    "api-refused", by=principal.name, method=method, path=scope["path"], reason=error.kind
                )
            raise
        if method not in SAFE and principal is not LOCAL and principal is not NOBODY:  # signing in says so itself
            self._app.audit.record("api", by=principal.name, method=method, path=scope["path"])
        return found if isinstance(found, JsonResponse | StreamingResponse) else JsonResponse(found)

    async def _handled(self, route: Route, principal: Principal, scope: Scope, receive: Receive) -> Any:
        headers = dict(scope["headers"])
        most = OPEN_BODY_LIMIT if principal is NOBODY else BODY_LIMIT
        raw = b"" if route.body is None else await read_body(headers, receive, most)
        request = ApiRequest(
            app=self._app,
            path=scope["path_params"],
            query=decode_query(scope["query_string"], route.query),
            body=None if route.body is None else decode_body(raw, route.body),
            raw=raw,
            source=_source(principal, headers),
            closing=self._closing,
            authenticator=self._authenticator,
            scope=scope,
            principal=principal,
            headers=headers,
        )
        if route.patient:
            device = request.path.get("id") or getattr(request.query, "device", None)
            self._authenticator.access.note("api-read", by=principal.name, path=route.path, device=device)
        async with asyncio.timeout(route.time):
            return await route.handler(request)


def check_role(principal: Principal, route: Route) -> None:
    """The one place where it is decided whether they may who ask. Raises Forbidden."""
    assert route.role is not None  # else it is not in the table
    if route.role != "open" and (principal is NOBODY or not principal.may(route.role)):
        raise Forbidden(f"this needs the role {route.role}", "use a token with that role")


def _source(principal: Principal, headers: Mapping[bytes, bytes]) -> str:
    """Who a change or a command is from, as ledger and audit log name it; only the socket tells the command line."""
    if principal is not LOCAL:
        return f"api:{principal.name}"
    return "cli" if headers.get(b"user-agent", b"").startswith(b"gatepost-cli/") else "api"


def refusal(error: GatepostError) -> JsonResponse[Any]:
    headers = {}
    if isinstance(error, NoSuchMethod):
        headers["allow"] = ", ".join(error.allowed)
    if isinstance(error, TooLarge | Unavailable):
        headers["connection"] = "close"  # what is left of the body is not read
    if isinstance(error, TooMany):
        headers["retry-after"] = str(math.ceil(error.wait))
    if isinstance(error, Unauthenticated):
        headers["www-authenticate"] = "Bearer"
    return JsonResponse(body_of(error), status_of(error), headers)


def decode_query(query: bytes, kind: type[msgspec.Struct]) -> msgspec.Struct:
    """Raises BadInput naming the parameter for an unknown, repeated or wrong one."""
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, strict_parsing=bool(query), max_num_fields=50)
    except ValueError as error:
        raise BadInput(f"query: {error}", "name=value&name=value, percent-encoded") from None
    values = dict(pairs)
    known = kind.__struct_fields__
    for name, _ in pairs:
        if name not in known:
            takes = f"this route takes {', '.join(known)}" if known else "this route takes no query parameters"
            raise BadInput(f"query: unknown parameter {name[:64]!r}", takes)
    if len(values) != len(pairs):
        raise BadInput("query: a parameter is given twice")
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise BadInput(*_plain(error, values, kind)) from None


def _plain(error: msgspec.ValidationError, values: dict[str, str], kind: type[msgspec.Struct]) -> tuple[str, str]:
    """Message and hint: which parameter is wrong, and what it takes."""
    name, what = _place(error)
    info: Any = msgspec.inspect.type_info(kind)
    for field in info.fields:
        if field.encode_name == name:
            wants = _description(field.type)
            value = values.get(name, "")[:64]
            return f"{name}: {value!r} is not {wants}" if wants else f"{name}: {what}", ""
    return f"query: {what}", ""


def _description(kind: Any) -> str:
    """Of a type, or of one part of a union."""
    description = (getattr(kind, "extra_json_schema", None) or {}).get("description", "")
    if description:
        return str(description)
    parts = getattr(getattr(kind, "type", kind), "types", ())
    return next((text for part in parts if (text := _description(part))), "")


def _place(error: msgspec.DecodeError | UnicodeDecodeError) -> tuple[str, str]:
    """("action", "invalid enum value 'explode'") of msgspec's sentence; no name where it is about the whole."""
    what, _, path = str(error).partition(" - at `$")
    if not what[:2].isupper():  # JSON stays JSON
        what = what[:1].lower() + what[1:]
    return path.removeprefix(".").removesuffix("`"), what


async def read_body(headers: dict[bytes, bytes], receive: Receive, most: int) -> bytes:
    """At most so many octets in BODY_TIME seconds; raises TooLarge, BadInput."""
    too_large = TooLarge(f"the body is larger than {most} octets")
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > most:
        raise too_large
    body = bytearray()
    async with asyncio.timeout(BODY_TIME):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise BadInput("the client left before its body was complete")
            body += message.get("body", b"")
            if len(body) > most:
                raise too_large
            if not message.get("more_body", False):
                return bytes(body)


def decode_body(body: bytes, kind: type[msgspec.Struct]) -> msgspec.Struct:
    """Raises BadInput, also for JSON that no answer could repeat: too deep, or numbers beyond 64 bits; an empty body is
    `{}`."""
    try:
        decoded = msgspec.json.decode(body or b"{}", type=kind)
        orjson.dumps(msgspec.json.decode(body or b"{}"))
        return decoded
    except TypeError as error:
        raise BadInput(f"body: {error}", "a JSON object as the documentation of this route says") from None
    except RecursionError:
        raise BadInput("body: too deeply nested", "a JSON object as the documentation of this route says") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # ValidationError is a DecodeError
        name, what = _place(error)
        raise BadInput(f"{name or 'body'}: {what}", "a JSON object as the documentation of this route says") from None
