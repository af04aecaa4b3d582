"""Payload -> order: sans-I/O, bounded, never raises."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import orjson

from gatepost.agent.commands.expiry import parse_time
from gatepost.agent.commands.model import GATEWAY, CommandRequest, RefusedCommand

MAX_PAYLOAD = 64 * 1024
MAX_ID = 128
MAX_COMMAND = 64
RESERVED = frozenset({"id", "command", "parameters", "token", "issued_at", "expires_at", "signature"})
RESPONSE = frozenset({"device_id", "status", "error", "timestamp"})
EXAMPLE = 'Send a JSON object such as {"id": "1", "command": "status"}.'


class ParsedCommand(msgspec.Struct):
    """A command as it was understood; times in microseconds since 1970. Its repr shows no secrets."""

    id: str
    floating: bool = False  # the id is a digest of a payload that has no time of its own
    own_id: bool = False  # the payload itself says the id
    command: str | None = None
    parameters: dict[str, Any] = {}
    token: str | None = None
    signature: str | None = None
    issued: int | None = None
    expires: int | None = None
    canonical: bytes = b""  # what a signature is made over: sorted keys, no spaces, without `signature`

    def __repr__(self) -> str:
        return f"Order(id={self.id!r}, command={self.command!r})"


def understand(request: CommandRequest) -> tuple[ParsedCommand, RefusedCommand | None]:
    """What is asked, as far as it can be understood; there is always an id to answer with."""
    order = ParsedCommand(id=_fallback_id(request), floating=not request.correlation)
    if len(request.payload) > MAX_PAYLOAD:
        return order, RefusedCommand("malformed", f"The payload has more than {MAX_PAYLOAD} octets.", EXAMPLE)
    if not request.payload:  # what a subscriber sees when a retained message is cleared
        return order, RefusedCommand("malformed", "The payload is empty.", EXAMPLE, silent=True)
    try:
        body = orjson.loads(request.payload)
        if not isinstance(body, dict):
            return order, RefusedCommand("malformed", "The payload is JSON, but no object.", EXAMPLE)
        signed = {name: value for name, value in body.items() if name != "signature"}
        order.canonical = orjson.dumps(signed, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONDecodeError:
        return order, RefusedCommand("malformed", "The payload is no JSON in UTF-8.", EXAMPLE)
    except TypeError:  # the encoder's bound is lower than the decoder's
        return order, RefusedCommand("malformed", "The payload is nested too deeply.", EXAMPLE)
    return order, _fill(order, body)


def _fill(order: ParsedCommand, body: dict[str, Any]) -> RefusedCommand | None:
    given = body.get("id")
    if given is not None:
        if isinstance(given, bool) or not isinstance(given, str | int) or not _plain(str(given)):
            return RefusedCommand("malformed", f"id: expected 1 to {MAX_ID} printable characters.", EXAMPLE)
        order.id, order.own_id, order.floating = str(given), True, False
    command = body.get("command")
    if isinstance(command, str) and len(command) <= MAX_COMMAND and command.isprintable():
        order.command = command or None
    if body.keys() >= RESPONSE and "parameters" not in body:
        return RefusedCommand("malformed", "The payload is a response, no command.", "Check the topics.", silent=True)
    if order.command is None:
        return RefusedCommand("malformed", "command: expected the name of a command.", EXAMPLE)
    for name in ("issued_at", "expires_at"):
        value = body.get(name)
        if value is None:
            continue
        try:
            moment = parse_time(value if isinstance(value, str) else "")
        except ValueError as error:
            return RefusedCommand("malformed", f"{name}: {error}.", "Times are RFC 3339 in UTC.")
        order.floating = False
        if name == "issued_at":
            order.issued = moment
        else:
            order.expires = moment
    order.token, order.signature = _text(body.get("token")), _text(body.get("signature"))
    return _take_parameters(order, body)


def _take_parameters(order: ParsedCommand, body: dict[str, Any]) -> RefusedCommand | None:
    inner = body.get("parameters")
    if inner is not None and not isinstance(inner, dict):
        return RefusedCommand("malformed", "parameters: expected an object.", EXAMPLE)
    flat = {name: value for name, value in body.items() if name not in RESERVED}
    order.parameters = flat | (inner or {})
    if inner and flat.keys() & inner.keys():
        return RefusedCommand("malformed", "A parameter stands in `parameters` and beside it.", "Say each one once.")
    return None


def _fallback_id(request: CommandRequest) -> str:
    """The MQTT 5 correlation data, else a digest of target and payload (which holds `issued_at`)."""
    if request.correlation:
        plain = len(request.correlation) * 2 <= MAX_ID
        return request.correlation.hex() if plain else hashlib.sha256(request.correlation).hexdigest()
    target = GATEWAY if request.target is None else request.target
    return hashlib.sha256(target.encode("utf-8", "replace") + b"\n" + request.payload).hexdigest()


def _plain(text: str) -> bool:
    return 0 < len(text) <= MAX_ID and text.isprintable()


def _text(value: Any) -> str | None:
    """A secret as text; one of another type is there, and wrong."""
    return value if value is None or isinstance(value, str) else ""
