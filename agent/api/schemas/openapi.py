"""OpenAPI 3.1 document of a route table. Loaded, made and forgotten when it is asked for: nobody else pays."""

from __future__ import annotations

import re
from collections.abc import Iterable
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from gatepost.agent.api.http.responses import FileDownload, JsonResponse, StreamingResponse, TextResponse
from gatepost.agent.api.http.router import Route
from gatepost.agent.api.schemas import responses, service_responses
from gatepost.agent.api.schemas.responses import ErrorBody
from gatepost.drivers.installed import version

NAMES = {**vars(responses), **vars(service_responses)}
JSON = "application/json"
LINES = "application/x-ndjson"
REF = "#/components/schemas/{name}"
PARAMETER = re.compile(r"\{(\w+)(?::path)?\}")
WITHOUT = (
    "/",
    "/static/{file:path}",
    "/docs",
    "/ws",
    "/ws/mqtt",
)  # pages for people, and what OpenAPI has no words for
COMMON = {
    401: "no token, or an invalid one",
    403: "the token's role or topics do not allow it",
    404: "not found",
    405: "method not allowed",
    409: "not in this state",
    412: "somebody else changed it: If-Match names another state",
    413: "the body is too large",
    422: "the request is wrong; the message says where",
    429: "too many requests, or too many failed attempts; Retry-After says how long to wait",
    500: "an error of the agent",
    503: "a broker, a device or the store cannot be reached now",
}
TAGS = {
    "brokers": "Brokers",
    "devices": "Devices",
    "drivers": "Devices",
    "readings": "Readings",
    "tokens": "Access",
    "session": "Access",
    "publish": "Messages",
    "broadcast": "Messages",
    "subscriptions": "Messages",
    "messages": "Messages",
    "topics": "Messages",
}


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """Of every route that is served, except pages for people."""
    served = [route for route in routes if route.role is not None and route.path not in WITHOUT]
    kinds: list[Any] = [ErrorBody]
    for route in served:
        kinds += [kind for kind in (route.query, route.body, *reply_types(route)) if kind is not None]
    unique = list({str(kind): kind for kind in kinds}.values())
    schemas, components = msgspec.json.schema_components(unique, ref_template=REF)
    by_kind = dict(zip(map(str, unique), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in served:
        path = PARAMETER.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, by_kind, components)
    for name in {route.query.__name__ for route in served} - {route.body.__name__ for route in served if route.body}:
        components.pop(name, None)  # they stand as parameters
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Gatepost",
            "version": version("gatepost"),
            "summary": "The local API of an edge gateway for medical and sensor devices",
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}, {"key": []}, {"session": []}],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _SCHEMES},
    }


_SCHEMES = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "`gatepost token create`, or a JWT where api.jwt allows it",
    },
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "the same token"},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "gatepost_session",
        "description": "of POST /api/v1/session; what changes something also takes X-CSRF-Token",
    },
}


def reply_types(route: Route) -> list[Any]:
    """Of the JSON that a route answers, as its handler declares it; none where that is no JSON."""
    declared = get_type_hints(route.handler, localns=NAMES)["return"]
    arms = get_args(declared) if isinstance(declared, UnionType) else (declared,)
    kinds = [get_args(arm)[0] if get_origin(arm) is JsonResponse else arm for arm in arms]
    return [kind for kind in kinds if kind not in (StreamingResponse, FileDownload, TextResponse)]


def _media(route: Route) -> str:
    declared = get_type_hints(route.handler, localns=NAMES)["return"]
    return {StreamingResponse: LINES, FileDownload: "application/gzip", TextResponse: "text/plain"}.get(declared, JSON)


def _operation(route: Route, by_kind: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": _name(route),
        "summary": route.summary,
        "description": "Open to everybody." if route.role == "open" else f"Takes the role `{route.role}`.",
        "tags": [route.tag or TAGS.get(route.path.removeprefix("/api/v1/").partition("/")[0], "Gateway")],
        "parameters": _parameters(route, by_kind, components),
        "responses": _responses(route, by_kind),
    }
    if route.role == "open":
        found["security"] = []
    if route.body is not None:
        found["requestBody"] = {
            "required": bool(_resolved(by_kind[str(route.body)], components).get("required")),
            "content": {JSON: {"schema": by_kind[str(route.body)]}},
        }
    return found


def _parameters(route: Route, by_kind: dict[str, Any], components: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in PARAMETER.findall(route.path)
    ]
    query = _resolved(by_kind[str(route.query)], components)
    for name, described in query.get("properties", {}).items():
        schema = _without_null(described)
        parameter = {"name": name, "in": "query", "required": name in query.get("required", []), "schema": schema}
        if description := _description(schema):
            parameter["description"] = description
        found.append(parameter)
    return found


def _responses(route: Route, by_kind: dict[str, Any]) -> dict[str, Any]:
    error = {JSON: {"schema": by_kind[str(ErrorBody)]}}
    schemas = [by_kind[str(kind)] for kind in reply_types(route)]
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    good: dict[str, Any] = {"schema": schema} if schemas else {}
    content = {_media(route): good}
    if route.other is not None:
        content[route.other] = {"schema": {"type": "string"}}
    described: dict[str, Any] = {
        str(status): {"description": route.answer or route.summary, "content": content} for status in route.statuses
    }
    for status, description in COMMON.items():
        described[str(status)] = {"description": description, "content": error}
    return described


def _resolved(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    return schema if reference is None else components[reference.rpartition("/")[2]]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Of a query parameter, which is there or not."""
    parts = [part for part in schema.get("anyOf", ()) if part != {"type": "null"}]
    if not parts:
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf" and (key, value) != ("default", None)}
    return {**rest, **(parts[0] if len(parts) == 1 else {"anyOf": parts})}


def _description(schema: dict[str, Any]) -> str:
    if "description" in schema:
        return str(schema["description"])
    return next((text for part in schema.get("anyOf", ()) if (text := _description(part))), "")


def _name(route: Route) -> str:
    """get_brokers_name of GET /api/v1/brokers/{name}."""
    words = re.findall(r"\w+", PARAMETER.sub(r"\1", route.path.removeprefix("/api/v1").replace("-", "_")))
    return "_".join([route.method.lower(), *([route.tag] if route.tag else ()), *words])
