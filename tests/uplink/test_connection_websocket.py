"""WebSocket servers that answer in their own ways."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.server import ServerProtocol

from gatepost.agent.core.errors import ConnectFailed
from gatepost.agent.uplink.mqtt.endpoint import BrokerEndpoint
from gatepost.agent.uplink.mqtt.websocket import WebSocketTransport, frames_for
from tests.support.failing import failing

from .broker import packet, publish_id, until
from .client import Recorder, connected

CONNACK = packet(0x20, b"\0\0\0")


@asynccontextmanager
async def server(handler: Callable[[ServerConnection], Awaitable[None]]) -> AsyncIterator[str]:
    async with serve(handler, "127.0.0.1", 0, subprotocols=["mqtt"], compression=None) as listening:  # type: ignore[list-item]
        yield f"ws://127.0.0.1:{next(iter(listening.sockets)).getsockname()[1]}"


def whole(octets: bytes) -> list[bytes]:
    """One packet of less than 127 octets a piece."""
    packets = []
    while octets:
        size = octets[1] + 2
        packets.append(octets[:size])
        octets = octets[size:]
    return packets


async def test_fragments_several_packets_in_a_frame_and_pings() -> None:
    paths: list[str] = []

    async def handler(socket: ServerConnection) -> None:
        assert socket.request is not None
        paths.append(socket.request.path)
        assert socket.subprotocol == "mqtt"
        async for data in socket:
            assert isinstance(data, bytes)
            answer = b""
            for one in whole(data):
                if one[0] == 0x10:
                    answer += CONNACK
                elif one[0] & 0xF0 == 0x30:
                    answer += packet(0x40, publish_id(one[0], one[2:]))
            if answer:
                await socket.send([answer[:1], answer[1:3], answer[3:]])
                await (await socket.ping())

    async with server(handler) as url, connected(url) as one:
        for tag in range(5):
            one.publish(tag)
        await until(lambda: len(one.acks) == 5)
        assert paths == ["/mqtt"]
        assert one.losses == []


@pytest.mark.parametrize("how", ["close", "text", "abort"])
async def test_the_server_ends_it(how: str) -> None:
    async def handler(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(CONNACK)
        await socket.recv()
        if how == "text":
            await socket.send("hello")
            await socket.wait_closed()
        elif how == "abort":
            socket.transport.abort()
        else:
            await socket.close()

    async with server(handler) as url, connected(url) as one:
        one.publish(1)
        await until(lambda: one.losses)
        assert len(one.losses) == 1
        assert one.connection.publisher.unacked() == [1]


async def test_neither_a_password_nor_a_reading_is_logged_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def handler(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(CONNACK)
        await socket.wait_closed()

    silent = logging.Logger("silent", logging.CRITICAL)
    async with serve(handler, "127.0.0.1", 0, subprotocols=["mqtt"], logger=silent) as listening:  # type: ignore[list-item]
        url = f"ws://127.0.0.1:{next(iter(listening.sockets)).getsockname()[1]}"
        async with connected(url, username="ward", password="kept to itself") as one:
            one.publish(1)
    assert [record for record in caplog.records if record.name.startswith("websockets")] == []


async def test_close_says_goodbye_in_order() -> None:
    got: list[bytes] = []

    async def handler(socket: ServerConnection) -> None:
        got.append(await socket.recv())  # type: ignore[arg-type]
        await socket.send(CONNACK)
        got.extend([data async for data in socket])  # type: ignore[misc]
        assert socket.close_code == 1000
        got.append(b"end")

    async with server(handler) as url:
        async with connected(url):
            pass
        await until(lambda: got[-1] == b"end")
        assert got[1:-1] == [b"\xe0\x02\0\0"]


class RawTransport(asyncio.Transport):
    """What is below a WebSocket: counts what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


async def test_pings_of_a_broker_that_does_not_read_are_not_answered() -> None:
    frames = frames_for(BrokerEndpoint("ws", "127.0.0.1", 80, "/mqtt"), 1000)
    transport, raw = WebSocketTransport(asyncio.Protocol(), frames), RawTransport()
    transport.connection_made(raw)
    broker = ServerProtocol(subprotocols=["mqtt"])
    broker.receive_data(bytes(raw.written))
    [request] = broker.events_received()
    broker.send_response(broker.accept(request))  # type: ignore[arg-type]

    def says(count: int) -> int:
        """Octets that are answered to so many pings."""
        before = len(raw.written)
        for _ in range(count):
            broker.send_ping(b"x" * 100)
        transport.data_received(b"".join(broker.data_to_send()))
        return len(raw.written) - before

    assert says(1) > 100
    transport.pause_writing()
    assert says(1000) == 0
    transport.resume_writing()
    assert says(1) > 100
    transport.pause_writing()
    broker.send_close(1000)
    says(0)
    assert raw.closed
    transport.connection_lost(None)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", b"no http\r\n\r\n", b""])
async def test_no_websocket_there(answer: bytes) -> None:
    async def serve_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    listening = await asyncio.start_server(serve_once, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        with failing(ConnectFailed, reason="websocket") as caught:
            await Recorder(f"ws://127.0.0.1:{port}/x").connection.open(5)
        if b"404" in answer:
            assert "404" in caught.value.message
