"""The far end: an independent subscriber that writes down every reading that a broker hands on.

Its clock is the machine's wall clock, as the feeder's is, so `received - ts` is the way from the device's line to here.
A dump is rows of six 64-bit integers: device, n, ts, received (nanoseconds), sequence of the reading's id, replayed.
With a `payload_format`, ts is 0, and what the format does not say is -1.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from array import array
from typing import Any

import orjson

from tools.harness import format_reader, wire
from tools.harness.commands import CommandLines, say

WIDTH = 6


class Collector:
    """Subscribes at QoS 0 to `topic`; connects again when the broker comes back."""

    def __init__(self, port: int, topic: str = "devices/+/data", payload_format: str = "") -> None:
        self._port, self._topic, self._format = port, topic, payload_format
        self._devices: dict[str, int] = {}
        self._commands = CommandLines()
        self._socket: socket.socket | None = None
        self._connects = 0
        self._rows = array("q")
        self._first = self._last = 0

    def run(self) -> None:
        self._connect()
        say({"connected": self._socket is not None})
        while True:
            waiting: list[Any] = [0] if self._socket is None else [0, self._socket]
            readable = select.select(waiting, [], [], 0.02 if self._socket is None else None)[0]
            if self._socket is None:
                self._connect()
            elif self._socket in readable:
                self._receive(self._socket)
            if 0 in readable:
                asked = self._commands.read()
                if asked is None:
                    return
                for each in asked:
                    say(self._command(each))

    def _connect(self) -> None:
        try:
            link = socket.create_connection(("127.0.0.1", self._port), 2.0)
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
            link.sendall(wire.connect("harness-collector", keepalive=0) + wire.subscribe(self._topic))
            frames, seen = wire.Frames(), 0
            while seen < 2:  # CONNACK, SUBACK
                data = link.recv(4096)
                if not data:
                    return
                seen += len(frames.feed(data))
        except OSError:
            return
        self._frames = frames
        self._socket = link
        self._connects += 1

    def _receive(self, link: socket.socket) -> None:
        try:
            data = link.recv(1 << 18)
        except OSError:
            data = b""
        if not data:
            link.close()
            self._socket = None
            return
        now = time.time_ns()
        for frame in self._frames.feed(data):
            if frame.kind == wire.PUBLISH:
                self._take(wire.publish(frame, 4), now)

    def _take(self, message: wire.Publish, now: int) -> None:
        if self._format:
            for seen in format_reader.read(self._format, message.topic, message.payload):
                self._note(seen.device, seen.n, 0, now, seen.sequence, seen.replayed)
            return
        body = orjson.loads(message.payload)
        for one in body.get("readings", (body,)):
            if "n" in one:
                sequence = int(one["id"].rpartition(":")[2])
                self._note(one["device_id"], one["n"], int(one["ts"]), now, sequence, one.get("replayed", False))

    def _note(self, device: str, n: int, ts: int, now: int, sequence: int, replayed: int) -> None:
        self._rows.extend((self._devices.setdefault(device, len(self._devices)), n, ts, now, sequence, replayed))
        self._first = self._first or now
        self._last = now

    def _command(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["do"] == "reset":
            self._rows = array("q")
            self._first = self._last = 0
            self._devices.clear()
        elif asked["do"] == "dump":
            with open(asked["path"], "wb") as file:
                self._rows.tofile(file)
        return {
            "received": len(self._rows) // WIDTH,
            "first": self._first,
            "last": self._last,
            "devices": self._devices,
            "connects": self._connects,
        }


if __name__ == "__main__":
    Collector(**json.loads(sys.argv[1])).run()
