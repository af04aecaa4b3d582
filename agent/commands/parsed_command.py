"""Parser of commands: payload -> ParsedCommand; sans-I/O, bounded, never raises."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import orjson

from gatepost.agent.commands.expiry import parse_time
from gatepost.agent.commands.model import GATEWAY, CommandRequest, RefusedCommand
from gatepost.drivers.exact_json import load_json

MAX_PAYLOAD = 64 * 1024
MAX_ID = 128
MAX_COMMAND = 64
RESERVED = frozenset({"id", "command", "parameters", "token", "issued_at", "expires_at", "signature"})
RESPONSE = frozenset({"device_id", "status", "error", "timestamp"})
RETAINED = RefusedCommand(
    "retained",
    "Retained commands are refused: they would come again at every connection.",
    "Publish without the retain flag, and clear the retained message with an empty one.",
)
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
        return f"ParsedCommand(id={self.id!r}, command={self.command!r})"


def parse(request: CommandRequest) -> tuple[ParsedCommand, RefusedCommand | None]:
    """The command as far as it can be read, and why it is refused; there is always an id to respond with."""
    command = ParsedCommand(id=_fallback_id(request), floating=not request.correlation)
    refusal = _read(command, request)
    return command, RETAINED._replace(silent=not request.payload) if request.retained else refusal


def _read(command: ParsedCommand, request: CommandRequest) -> RefusedCommand | None:
    if len(request.payload) > MAX_PAYLOAD:
        return RefusedCommand("malformed", f"The payload has more than {MAX_PAYLOAD} octets.", EXAMPLE)
    if not request.payload:  # what a subscriber sees when a retained message is cleared
        return RefusedCommand("malformed", "The payload is empty.", EXAMPLE, silent=True)
    try:
        body = load_json(request.payload)
        if not isinstance(body, dict):
            return RefusedCommand("malformed", "The payload is JSON, but not an object.", EXAMPLE)
        signed = {name: value for name, value in body.items() if name != "signature"}
        command.canonical = orjson.dumps(signed, option=orjson.OPT_SORT_KEYS)
    except ValueError:
        return RefusedCommand("malformed", "The payload is not JSON in UTF-8.", EXAMPLE)
    except TypeError:  # what is read and cannot be written
        message = "The payload is nested too deeply, or holds a number that 64 bits do not hold."
        return RefusedCommand("malformed", message, EXAMPLE)
    return _fill(command, body)


def _fill(command: ParsedCommand, body: dict[str, Any]) -> RefusedCommand | None:
    own_id = body.get("id")
    if own_id is not None:
        if isinstance(own_id, bool) or not isinstance(own_id, str | int) or not _plain(str(own_id)):
            return RefusedCommand("malformed", f"id: expected 1 to {MAX_ID} printable characters.", EXAMPLE)
        command.id, command.own_id, command.floating = str(own_id), True, False
    name = body.get("command")
    if isinstance(name, str) and len(name) <= MAX_COMMAND and name.isprintable():
        command.command = name or None
    if body.keys() >= RESPONSE and "parameters" not in body:
        return RefusedCommand(
            "malformed", "The payload is a response, not a command.", "Check the topics.", silent=True
        )
    if command.command is None:
        return RefusedCommand("malformed", "command: expected the name of a command.", EXAMPLE)
    for member in ("issued_at", "expires_at"):
        value = body.get(member)
        if value is None:
            continue
        try:
            moment = parse_time(value if isinstance(value, str) else "")
        except ValueError as error:
            return RefusedCommand("malformed", f"{member}: {error}.", "Times are RFC 3339 in UTC.")
        command.floating = False
        if member == "issued_at":
            command.issued = moment
        else:
            command.expires = moment
    command.token, command.signature = _text(body.get("token")), _text(body.get("signature"))
    return _take_parameters(command, body)


def _take_parameters(command: ParsedCommand, body: dict[str, Any]) -> RefusedCommand | None:
    inner = body.get("parameters")
    if inner is not None and not isinstance(inner, dict):
        return RefusedCommand("malformed", "parameters: expected an object.", EXAMPLE)
    flat = {name: value for name, value in body.items() if name not in RESERVED}
    command.parameters = flat | (inner or {})
    if inner and flat.keys() & inner.keys():
        return RefusedCommand("malformed", "A parameter stands in `parameters` and beside it.", "Give each one once.")
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
    """A secret as text; one of another type counts as wrong."""
    return value if value is None or isinstance(value, str) else ""
