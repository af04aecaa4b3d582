"""MQTT over WebSocket: the handshake at /mqtt and binary frames, on the protocol without I/O of `websockets`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress

from websockets.exceptions import WebSocketException
from websockets.frames import OP_BINARY, OP_CLOSE, OP_CONT, Frame
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from gatepost.agent.listener.wire import StreamOver

PATH = "/mqtt"
SUBPROTOCOLS = [Subprotocol("mqtt"), Subprotocol("mqttv3.1")]
UNSUPPORTED_DATA, GOING_AWAY = 1003, 1001
FRAME_HEADER = 14  # octets at most

# It would tell of every connection, and of every request that is none.
_SILENT = logging.Logger("gatepost.agent.listener.websocket", logging.CRITICAL + 1)


class WebSocketLayer:
    """`feed` octets of the connection, get those of MQTT; `output` is what is to be written. MQTT packets may span
    frames. `allows_origin` judges a browser's origin against the host that it asked."""

    def __init__(self, allows_origin: Callable[[str, str], bool], limit: int) -> None:
        self.over = ""  # why nothing more comes, once what came before has been fed
        self._allows_origin = allows_origin
        self._protocol = ServerProtocol(subprotocols=SUBPROTOCOLS, max_size=limit + FRAME_HEADER, logger=_SILENT)

    @property
    def held(self) -> int:
        """Octets of a frame that is not all there."""
        return len(self._protocol.reader.buffer)

    def feed(self, data: bytes) -> bytes:
        """Raises StreamOver."""
        protocol = self._protocol
        try:
            protocol.receive_data(data)
        except Exception:  # it was made for peers who wait for the answer to their handshake
            raise StreamOver("no WebSocket") from None
        taken = []
        for event in protocol.events_received():
            if isinstance(event, Request):
                self._answer(event)
            elif not isinstance(event, Frame):
                continue
            elif event.opcode in (OP_BINARY, OP_CONT):
                taken.append(event.data)
            elif event.opcode < OP_CLOSE:
                with suppress(WebSocketException):
                    protocol.send_close(UNSUPPORTED_DATA, "binary frames only")
                raise StreamOver("a text frame")
        if protocol.handshake_exc is not None:
            raise StreamOver("no WebSocket")
        if protocol.state in (State.CLOSING, State.CLOSED):
            self.over = "closed by the client"
        return b"".join(taken)

    def _answer(self, request: Request) -> None:
        protocol = self._protocol
        if request.path.partition("?")[0] != PATH:
            response = protocol.reject(404, f"MQTT is at {PATH}\n")
        elif not self._origin_holds(request):
            response = protocol.reject(403, "this origin may not connect\n")
        else:
            response = protocol.accept(request)
        protocol.send_response(response)
        if response.status_code != 101:
            raise StreamOver("a handshake that was refused")

    def _origin_holds(self, request: Request) -> bool:
        origins = request.headers.get_all("Origin")
        host = (request.headers.get_all("Host") or [""])[0]
        return not origins or (len(origins) == 1 and self._allows_origin(origins[0], host))

    def wrap(self, data: bytes) -> None:
        """A frame with octets of MQTT."""
        with suppress(WebSocketException):  # it is closing
            self._protocol.send_binary(data)

    def close(self) -> None:
        with suppress(WebSocketException):
            self._protocol.send_close(GOING_AWAY)

    def output(self) -> bytes:
        return b"".join(self._protocol.data_to_send())
