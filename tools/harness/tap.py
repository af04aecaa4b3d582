"""Proxy between the agent and a broker: writes down what was sent and what was acknowledged, and breaks the link.

With `upstream` it passes bytes to a real broker; without, it is a willing broker itself. The journal is the account:
`P` = the agent sent this reading on this connection, `A` = the broker acknowledged it. An acknowledgement counts at the
moment when the broker gave it, whether or not the agent came to see it.

    C <connection> <version>                                       a CONNECT came
    P <connection> <mid> <id> <device> <n> <ts> <lane> <event>     n, ts: the device's; lane: urgent, replayed, live
    A <connection> <mid> <reason>

Sparkplug's messages go at QoS 0: `mid` is their number on the connection, and all that were sent before a PINGREQ are
acknowledged by its PINGRESP. Their id is `<device>:<n>`.

The link is broken by `mode`: pass; void (bytes are read and thrown away: half open, must end by a cut); stall (nothing
is read, so the sender's buffers fill, then it goes on); refuse (nobody listens).
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
from typing import Any

import orjson

from tools.harness import sparkplug, wire
from tools.harness.commands import commands, say

HOT = 90.0  # a value `t` above it is urgent
LINGER_NONE = struct.pack("ii", 1, 0)


class Journal:
    """Appends lines; `counts` says what came in and what was acknowledged."""

    def __init__(self, path: str | None) -> None:
        self._file = open(path, "ab", buffering=1 << 20) if path else None  # noqa: SIM115  open as long as the tap
        self.sent = self.acked = self.connections = 0

    @property
    def wanted(self) -> bool:
        return self._file is not None

    def write(self, line: str) -> None:
        if self._file is not None:
            self._file.write(line.encode() + b"\n")

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()


class Link:
    """One connection of the agent, and its twin to the broker."""

    def __init__(self, tap: Tap, number: int) -> None:
        self.tap, self.number = tap, number
        self.version = 4
        self.agent = Side(self, self._from_agent)
        self.broker = Side(self, self._from_broker)
        self._up, self._down = wire.Frames(), wire.Frames()
        self._unacknowledged: list[int] = []  # Sparkplug's messages since the last PINGREQ
        self._pinged: list[list[int]] = []  # and those before each PINGREQ that has no answer yet
        self._counted = 0

    def _from_agent(self, data: bytes) -> None:
        journal, answers = self.tap.journal, bytearray()
        if journal.wanted or self.tap.upstream is None:
            for frame in self._up.feed(data):
                if frame.kind == wire.PUBLISH:
                    message = wire.publish(frame, self.version)
                    self._note(message)
                    if self.tap.upstream is None and message.qos:
                        kind = 0x40 if message.qos == 1 else 0x50
                        answers += wire.packet(kind, message.mid.to_bytes(2, "big"))
                        if message.qos == 1:
                            self._acked(message.mid, 0)
                    continue
                if frame.kind == wire.PINGREQ:
                    self._pinged.append(self._unacknowledged)
                    self._unacknowledged = []
                if frame.kind == wire.CONNECT:
                    self.version = wire.version_of(frame)
                    journal.write(f"C {self.number} {self.version}")
                if self.tap.upstream is None:
                    answers += wire.answer(frame, self.version)
                    if frame.kind == wire.PUBREL:
                        self._acked(int.from_bytes(frame.body[:2], "big"), 0)
        if self.tap.upstream is None:
            self.agent.write(bytes(answers))
        else:
            self.broker.write(data)

    def _from_broker(self, data: bytes) -> None:
        if self.tap.journal.wanted:
            for frame in self._down.feed(data):
                if frame.kind in (wire.PUBACK, wire.PUBCOMP):
                    self._acked(*wire.ack(frame))
                elif frame.kind == wire.PINGRESP and self._pinged:
                    for mid in self._pinged.pop(0):
                        self._acked(mid, 0)
        self.agent.write(data)

    def _note(self, message: wire.Publish) -> None:
        if message.topic.startswith("spBv1.0/"):
            self._note_sparkplug(message)
            return
        states = message.topic.startswith("gatepost/")  # of format homeassistant
        if not states and not message.topic.endswith(("/data", "/events")):
            return
        event = 1 if message.topic.endswith("/events") else 0
        body = orjson.loads(message.payload)
        for one in body.get("readings", (body,)):
            lane = "u" if one.get("urgent") else "r" if one.get("replayed") else "l"
            self.tap.journal.sent += 1
            self.tap.journal.write(
                f"P {self.number} {message.mid} {one.get('id')} {one.get('device_id')} "
                f"{one.get('n', -1)} {one.get('ts', -1)} {lane} {event}"
            )
            if message.qos == 0:
                self._acked(0, 0)

    def _note_sparkplug(self, message: wire.Publish) -> None:
        _, _, kind, _, *last = message.topic.split("/")
        if kind not in ("DDATA", "NDATA"):
            return
        told = sparkplug.reading(message.payload)
        n = int(told.values.get("n", -1))
        key, device = (told.event, None) if told.event else (f"{last[0]}:{n}", last[0])
        lane = "r" if told.historical else "u" if told.values.get("t", 0.0) > HOT else "l"
        self._counted += 1
        self._unacknowledged.append(self._counted)
        self.tap.journal.sent += 1
        self.tap.journal.write(f"P {self.number} {self._counted} {key} {device} {n} -1 {lane} {int(device is None)}")

    def _acked(self, mid: int, reason: int) -> None:
        self.tap.journal.acked += 1
        self.tap.journal.write(f"A {self.number} {mid} {reason}")

    def cut(self) -> None:
        for side in (self.agent, self.broker):
            side.cut()
        self.tap.links.discard(self)


class Side(asyncio.Protocol):
    """One end of a link; what cannot be written at once slows the other end."""

    def __init__(self, link: Link, take: Any) -> None:
        self.link, self._take = link, take
        self.transport: asyncio.Transport | None = None
        self._early = b""
        self._slow = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._early:
            transport.write(self._early)
            self._early = b""
        if self is self.link.agent:
            self.link.tap.arrived(self.link)

    def data_received(self, data: bytes) -> None:
        if self.link.tap.mode != "void":
            self._take(data)

    def write(self, data: bytes) -> None:
        if self.transport is None:
            self._early += data
        elif data and not self.transport.is_closing():
            self.transport.write(data)

    def hold(self, held: bool) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        if held or self._slow:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def pause_writing(self) -> None:
        self._slower(True)

    def resume_writing(self) -> None:
        self._slower(False)

    def _slower(self, slow: bool) -> None:
        other = self.link.broker if self is self.link.agent else self.link.agent
        other._slow = slow
        other.hold(self.link.tap.mode == "stall")

    def connection_lost(self, exc: Exception | None) -> None:
        self.link.cut()

    def cut(self) -> None:
        """Reset, so that nothing under way arrives."""
        if self.transport is not None and not self.transport.is_closing():
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
            self.transport.abort()


class Tap:
    """Listens on loopback; obeys JSON lines on standard input."""

    def __init__(self, upstream: int | None = None, journal: str | None = None) -> None:
        self.upstream = upstream
        self.journal = Journal(journal)
        self.mode = "pass"
        self.links: set[Link] = set()
        self._server: asyncio.Server | None = None
        self._port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        await self._listen()
        say({"port": self._port})
        async for asked in commands():
            say(await self._command(asked))
        self._cut()
        self.journal.flush()

    def arrived(self, link: Link) -> None:
        """A connection of the agent came; the broker's side follows."""
        self.links.add(link)
        if self.upstream is not None:
            task = asyncio.ensure_future(self._reach(link, self.upstream))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self.mode == "stall":
            link.agent.hold(True)

    async def _reach(self, link: Link, port: int) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: link.broker, "127.0.0.1", port)
        except OSError:
            link.cut()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._link, "127.0.0.1", self._port, reuse_address=True)
        self._port = self._server.sockets[0].getsockname()[1]

    def _link(self) -> Side:
        self.journal.connections += 1
        return Link(self, self.journal.connections).agent

    async def _command(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["do"] == "cut":
            self._cut()
        elif asked["do"] == "mode":
            was, self.mode = self.mode, asked["mode"]
            if was == "void" and self.mode != "void":
                self._cut()  # the streams have holes
            if self.mode == "refuse" and self._server is not None:
                self._server.close()
                self._server = None
                self._cut()
            elif self.mode != "refuse" and self._server is None:
                await self._listen()
            for link in self.links:
                link.agent.hold(self.mode == "stall")
                link.broker.hold(self.mode == "stall")
        self.journal.flush()
        return {
            "mode": self.mode,
            "connections": self.journal.connections,
            "open": len(self.links),
            "sent": self.journal.sent,
            "acked": self.journal.acked,
        }

    def _cut(self) -> None:
        for link in list(self.links):
            link.cut()


if __name__ == "__main__":
    asyncio.run(Tap(**json.loads(sys.argv[1])).run())
