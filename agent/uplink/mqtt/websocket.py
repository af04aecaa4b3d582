"""MQTT over WebSocket (MQTT 5, section 6): a transport in asyncio's shape over the sans-I/O part of `websockets`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from websockets.client import ClientProtocol
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Response
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from gatepost.agent.core.errors import ConnectFailed
from gatepost.agent.uplink.mqtt.endpoint import BrokerEndpoint

_SILENT = logging.Logger("gatepost.agent.uplink.mqtt.websocket", logging.CRITICAL + 1)  # it would show passwords


class WebSocketTransport(asyncio.Protocol):
    """WebSocket transport: a protocol to TCP or TLS below, a transport to MQTT above; octets in binary frames."""

    def __init__(self, upper: asyncio.Protocol, frames: ClientProtocol) -> None:
        self._upper = upper
        self._frames = frames
        self._raw: asyncio.Transport | None = None
        self._closing = False
        self._up = False
        self._stalled = False  # the broker does not read
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # -- below ---------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._raw = transport  # type: ignore[assignment]
        self._frames.send_request(self._frames.connect())
        self._push()

    def data_received(self, data: bytes) -> None:
        frames = self._frames
        frames.receive_data(data)
        parts: list[bytes] = []
        for event in frames.events_received():
            self._event(event, parts)
        if self._stalled and not frames.close_expected():
            frames.data_to_send()  # answers to pings of a broker that does not read them would pile up
        else:
            self._push()
        if parts and self._up:
            self._upper.data_received(parts[0] if len(parts) == 1 else b"".join(parts))
        if frames.close_expected():
            self._finish()

    def eof_received(self) -> bool:
        self._frames.receive_eof()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        if not self.opened.done():
            self.opened.set_exception(exc or _refused("the broker closed the connection"))
            self.opened.exception()  # nobody may be waiting any more
        if self._up:
            self._up = False
            self._upper.connection_lost(exc)

    def pause_writing(self) -> None:
        self._stalled = True
        if self._up:
            self._upper.pause_writing()

    def resume_writing(self) -> None:
        self._stalled = False
        if self._up:
            self._upper.resume_writing()

    def _event(self, event: object, parts: list[bytes]) -> None:
        if isinstance(event, Response):
            self._answered(event)
        elif isinstance(event, Frame) and event.opcode in (Opcode.BINARY, Opcode.CONT):
            parts.append(bytes(event.data))
        elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
            self._frames.fail(CloseCode.UNSUPPORTED_DATA, "MQTT needs binary frames")

    def _answered(self, response: Response) -> None:
        problem = self._frames.handshake_exc
        if self.opened.done():
            return
        if problem is not None:
            status = response.status_code
            answer = f"{status} {response.reason_phrase}".strip() if status != 101 else str(problem)
            self.opened.set_exception(_refused(f"the broker did not open a WebSocket: {answer}"))
        else:
            self._up = True
            self.opened.set_result(None)
            self._upper.connection_made(self)  # type: ignore[arg-type]

    def _push(self) -> None:
        raw = self._raw
        if raw is None:
            return
        for data in self._frames.data_to_send():
            if raw.is_closing():
                return
            if data:
                raw.write(data)
            else:
                self._finish()  # the protocol asks for the end of the stream

    def _finish(self) -> None:
        if self._raw is not None and not self._raw.is_closing():
            self._raw.close()

    # -- above ---------------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if not self._closing:
            self._frames.send_binary(data)
            self._push()

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        with contextlib.suppress(Exception):  # a protocol that has failed already sends nothing more
            self._frames.send_close(CloseCode.NORMAL_CLOSURE)
            self._push()
        self._finish()

    def abort(self) -> None:
        self._closing = True
        if self._raw is not None:
            self._raw.abort()

    def is_closing(self) -> bool:
        return self._closing or self._raw is None or self._raw.is_closing()

    def get_write_buffer_size(self) -> int:
        return 0 if self._raw is None else self._raw.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if self._raw is not None:
            self._raw.set_write_buffer_limits(high, low)

    def pause_reading(self) -> None:
        if self._raw is not None:
            self._raw.pause_reading()

    def resume_reading(self) -> None:
        if self._raw is not None:
            self._raw.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default if self._raw is None else self._raw.get_extra_info(name, default)


def frames_for(endpoint: BrokerEndpoint, limit: int) -> ClientProtocol:
    """The protocol of one connection; `limit`: octets of the largest packet."""
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    uri = parse_uri(f"{endpoint.scheme}://{host}:{endpoint.port}{endpoint.path}")
    size = 4 * limit  # several packets in one
    return ClientProtocol(uri, subprotocols=[Subprotocol("mqtt")], max_size=size, logger=_SILENT)


async def open_websocket(
    endpoint: BrokerEndpoint, limit: int, upper: asyncio.Protocol, link: dict[str, Any]
) -> asyncio.Transport:
    """A transport for `upper`, handshake done; `link`: sock, ssl, server_hostname, as create_connection takes them.

    Raises OSError, ssl.SSLError, ConnectFailed.
    """
    transport = WebSocketTransport(upper, frames_for(endpoint, limit))
    await asyncio.get_running_loop().create_connection(lambda: transport, **link)
    try:
        await transport.opened
    except BaseException:
        transport.abort()
        raise
    return transport  # type: ignore[return-value]


def _refused(message: str) -> ConnectFailed:
    return ConnectFailed("websocket", message, "check the path in url; brokers serve MQTT under /mqtt or /", "later")
