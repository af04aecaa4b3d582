"""Clients of /ws: whole ones of `websockets`, and raw ones that do what no library would."""

from __future__ import annotations

import asyncio
import base64
import os
import struct

import orjson
from websockets.asyncio.client import connect, unix_connect

from gatepost.agent.api.websocket.connection import WebSocketTimeouts
from tests.support.waiting import until as until  # tests import it from here, too


def patient(server, **seconds):
    """The hub of this server with other patience; before the first client."""
    server.broadcaster.patience = WebSocketTimeouts(**{"ping": 60.0, "stuck": 60.0, "farewell": 5.0} | seconds)
    return server.broadcaster


def local(server, query=""):
    return unix_connect(str(server.path), uri=f"ws://gatepost/ws{query}", ping_interval=None)


def over_tcp(remote, query="", headers=None, **options):
    uri = remote.url.replace("http", "ws", 1) + f"/ws{query}"
    return connect(uri, additional_headers=headers or {}, ping_interval=None, proxy=None, **options)


async def said(socket, kind=None):
    """The next frame, or the next of that kind."""
    async with asyncio.timeout(30):
        while True:
            told = orjson.loads(await socket.recv())
            if kind in (None, told["event"]):
                return told


async def choose(socket, **lists):
    await socket.send(orjson.dumps({"subscribe": lists}).decode())
    return await said(socket, "subscribed")


async def raw(server, query="", headers=()):
    """A connection after its handshake, as a reader and a writer; the reader takes 4 KiB, then nothing more."""
    reader, writer = await asyncio.open_unix_connection(str(server.path), limit=2048)
    lines = [
        f"GET /ws{query} HTTP/1.1",
        "Host: gatepost",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        *headers,
    ]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    head = await reader.readuntil(b"\r\n\r\n")
    return head, reader, writer


def masked(opcode, payload, fin=True):
    mask = os.urandom(4)
    length = len(payload)
    size = bytes([0x80 | length]) if length < 126 else bytes([0x80 | 126]) + struct.pack("!H", length)
    covered = bytes(octet ^ mask[index % 4] for index, octet in enumerate(payload))
    return bytes([opcode | (0x80 if fin else 0)]) + size + mask + covered


async def frames(reader):
    """Every frame that comes until the close frame, or the end: (opcode, payload)."""
    found = []
    async with asyncio.timeout(30):
        try:
            while not found or found[-1][0] != 8:
                head = await reader.readexactly(2)
                length = head[1] & 0x7F
                if length == 126:
                    length = struct.unpack("!H", await reader.readexactly(2))[0]
                elif length == 127:
                    length = struct.unpack("!Q", await reader.readexactly(8))[0]
                found.append((head[0] & 0x0F, await reader.readexactly(length)))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
    return found


def closed_with(found):
    """(code, reason) of the close frame among them."""
    payload = next(payload for opcode, payload in found if opcode == 8)
    return struct.unpack("!H", payload[:2])[0], payload[2:].decode()
