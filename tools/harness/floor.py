"""The floor: the least that does the same work durably, to measure the agent against. It has no features.

Serial ports print JSON lines -> SQLite (WAL, synchronous FULL), one commit per 100 ms -> hand-built MQTT 3.1.1 packets
at QoS 1, only what is committed, joined writes, a window of 100 -> the position of what the broker acknowledged, in the
next commit. Started again, it goes on from there. The bench treats it as it treats the agent.

    python -m tools.harness.floor PORT DATABASE TTY...
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import sys
import termios
import time
import tty
from collections import deque

import orjson

COMMIT = 0.1  # seconds
WINDOW = 100
AHEAD = 5000  # rows kept in memory between the database and the window; also what may wait for one commit
SCHEMA = """CREATE TABLE IF NOT EXISTS log(seq INTEGER PRIMARY KEY, device TEXT, body BLOB);
CREATE TABLE IF NOT EXISTS position(one INTEGER PRIMARY KEY, acked INTEGER);
INSERT OR IGNORE INTO position VALUES(1, 0);"""


class Floor:
    def __init__(self, port: int, path: str, ttys: list[str]) -> None:
        self.port, self.ttys = port, ttys
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=FULL")
        self.db.executescript(SCHEMA)
        self.acked = self.sent = self.db.execute("SELECT acked FROM position").fetchone()[0]
        self.head = self.stored = self.db.execute("SELECT coalesce(max(seq), 0) FROM log").fetchone()[0]
        self.position = self.acked
        self.fresh: list[tuple[int, str, bytes]] = []
        self.ready: deque[tuple[int, str, bytes]] = deque()
        self.fetched = self.acked
        self.flight: dict[int, int] = {}
        self.timer: asyncio.TimerHandle | None = None
        self.link: asyncio.Transport | None = None
        self.parts: dict[int, bytes] = {}
        self.names: dict[int, str] = {}
        self.paused = False
        self.uplink: asyncio.Task[None] | None = None

    async def run(self) -> None:
        self.loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        self.loop.add_signal_handler(signal.SIGTERM, stop.set)
        for name in self.ttys:
            fd = os.open(name, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            tty.setraw(fd)
            termios.tcflush(fd, termios.TCIFLUSH)
            self.parts[fd], self.names[fd] = b"", os.path.basename(name)
            self.loop.add_reader(fd, self.read, fd)
        self.uplink = asyncio.ensure_future(self.connect())
        _notify("READY=1")
        await stop.wait()
        self.uplink.cancel()
        self.commit()

    def read(self, fd: int) -> None:
        *lines, self.parts[fd] = (self.parts[fd] + os.read(fd, 65536)).split(b"\n")
        device = self.names[fd]
        for line in lines:
            try:
                orjson.loads(line)
            except ValueError:
                continue
            self.head += 1
            told = b'{"id":"f:f:%d","device_id":"%s","time":%d,' % (self.head, device.encode(), time.time_ns())
            self.fresh.append((self.head, device, told + line[1:]))
        if self.fresh and self.timer is None:
            self.timer = self.loop.call_later(COMMIT, self.commit)
        if len(self.fresh) > AHEAD and not self.paused:  # the ports are slowed, nothing is lost
            self.paused = True
            for port in self.names:
                self.loop.remove_reader(port)

    def commit(self) -> None:
        self.timer = None
        self.db.execute("BEGIN")
        self.db.executemany("INSERT INTO log VALUES(?, ?, ?)", self.fresh)
        if self.position != self.acked:
            self.db.execute("UPDATE position SET acked = ?", (self.acked,))
            self.position = self.acked
        self.db.execute("COMMIT")
        if self.fetched == self.stored and len(self.ready) < AHEAD:
            self.ready.extend(self.fresh)
            self.fetched = self.head
        self.stored = self.head
        self.fresh = []
        if self.paused:
            self.paused = False
            for fd in self.names:
                self.loop.add_reader(fd, self.read, fd)
        self.send()

    def send(self) -> None:
        if self.link is None:
            return
        out = []
        while len(self.flight) < WINDOW:
            if not self.ready:
                if self.fetched == self.stored:
                    break
                rows = self.db.execute(
                    "SELECT seq, device, body FROM log WHERE seq > ? ORDER BY seq LIMIT 1000", (self.fetched,)
                ).fetchall()
                self.ready.extend(rows)
                self.fetched = rows[-1][0]
            seq, device, body = self.ready.popleft()
            mid = seq % 65535 + 1
            self.flight[mid] = seq
            topic = b"devices/%s/data" % device.encode()
            rest = len(topic) + 4 + len(body)
            size = bytes((rest,)) if rest < 128 else bytes((rest & 127 | 128, rest >> 7))
            out.append(b"\x32%s%s%s%s%s" % (size, len(topic).to_bytes(2, "big"), topic, mid.to_bytes(2, "big"), body))
        if out:
            self.link.write(b"".join(out))

    def acks(self, data: bytes) -> None:
        for at in range(0, len(data) - 3, 4):
            self.flight.pop(int.from_bytes(data[at + 2 : at + 4], "big"), None)
        if self.flight:
            self.acked = next(iter(self.flight.values())) - 1
        else:
            self.acked = self.ready[0][0] - 1 if self.ready else self.fetched
        if self.timer is None:
            self.timer = self.loop.call_later(COMMIT, self.commit)
        self.send()

    async def connect(self) -> None:
        while True:
            try:
                await self.loop.create_connection(lambda: Uplink(self), "127.0.0.1", self.port)
                return
            except OSError:
                await asyncio.sleep(0.2)


class Uplink(asyncio.Protocol):
    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self.rest = b""
        self.open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.write(b"\x10\x11\x00\x04MQTT\x04\x02\x00\x00\x00\x05floor")

    def data_received(self, data: bytes) -> None:
        data = self.rest + data
        if not self.open and len(data) >= 4:
            self.open = True
            data = data[4:]
            floor = self.floor
            floor.link, floor.fetched = self.transport, floor.acked
            floor.ready.clear()
            floor.flight.clear()
            floor.send()
        whole = len(data) & ~3
        self.rest = data[whole:]
        if whole:
            self.floor.acks(data[:whole])

    def connection_lost(self, exc: Exception | None) -> None:
        self.floor.link = None
        self.floor.uplink = asyncio.ensure_future(self.floor.connect())


def _notify(state: str) -> None:
    if path := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
            link.sendto(state.encode(), path)


if __name__ == "__main__":
    asyncio.run(Floor(int(sys.argv[1]), sys.argv[2], sys.argv[3:]).run())
