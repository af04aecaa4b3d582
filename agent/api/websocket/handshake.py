"""WebSocket handshake and frames by `websockets`, its protocol without I/O, loaded with the first client (0.8 MiB)."""

from __future__ import annotations

import logging
from typing import Any

import orjson

from gatepost.agent.core.errors import HandshakeWrong
from gatepost.agent.core.lazy_modules import import_lazily

MESSAGE_LIMIT = 16 * 1024  # octets of what a client says
VERSION = "13"

# It would tell of every connection, and with `debug` of every frame.
_SILENT = logging.Logger("gatepost.agent.api.websocket.handshake", logging.CRITICAL + 1)


def accept(headers: list[tuple[bytes, bytes]]) -> Any:
    """A `ServerProtocol` that is open, with the handshake's answer ready to be sent; raises HandshakeWrong."""
    import_lazily("importlib.metadata")  # 1.2 MiB that websockets.version imports and does not use
    from websockets.datastructures import Headers
    from websockets.http11 import Request
    from websockets.protocol import State
    from websockets.server import ServerProtocol

    asked = Request("/ws", Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]))
    answer = ServerProtocol(logger=_SILENT).accept(asked)
    if answer.status_code != 101:
        raise wrong()
    protocol = ServerProtocol(state=State.OPEN, max_size=MESSAGE_LIMIT, logger=_SILENT)  # HTTP was read already
    protocol.writes.append(answer.serialize())
    return protocol


def wrong() -> HandshakeWrong:
    return HandshakeWrong("this route is a WebSocket", f"open it as ws:// or wss://, version {VERSION} (RFC 6455)")


def frame(text: bytes) -> bytes:
    """A text frame from the server."""
    from websockets.frames import Frame, Opcode

    return Frame(Opcode.TEXT, text).serialize(mask=False)


def event_frame(kind: str, data: Any, at: str, number: int) -> bytes:
    """The frame of an event; raises TypeError for what is no JSON."""
    event = {"event": kind, "data": data, "at": at, "n": number}
    return frame(orjson.dumps(event, option=orjson.OPT_NON_STR_KEYS))


def data_frame(data: Any) -> bytes:
    """The frame of an event's data alone; raises TypeError for what is no JSON."""
    return frame(orjson.dumps(data, option=orjson.OPT_NON_STR_KEYS))
