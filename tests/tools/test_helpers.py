"""Feeder, tap, collector and floor as processes, against each other and a real mosquitto."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from tools.harness import pace, wire
from tools.harness.account import Arrivals
from tools.harness.helper import ROOT, Helper, HelperFailed, wait_for
from tools.harness.mosquitto import Mosquitto, binary

needs_mosquitto = pytest.mark.skipif(binary() is None, reason="mosquitto is not installed")


def read_lines(port: int, count: int) -> list[dict]:
    got = b""
    while got.count(b"\n") < count:
        got += os.read(port, 4096)
    return [orjson.loads(line) for line in got.splitlines()]


def test_the_feeder_counts_exactly_what_it_wrote(tmp_path):
    with Helper("feeder", folder=str(tmp_path), devices=1, urgent=3) as feeder:
        port = os.open(tmp_path / "tty-0", os.O_RDWR | os.O_NOCTTY)
        try:
            feeder.ask("feed", rate=None, limit=5)
            lines = read_lines(port, 5)
            wait_for("all said", lambda: feeder.ask("stats")["done"], 5)
        finally:
            os.close(port)
        assert [line["n"] for line in lines] == [1, 2, 3, 4, 5]
        assert [line["t"] > 90 for line in lines] == [False, False, True, False, False]
        assert feeder.ask("stop")["fed"] == [5]


def test_a_feeder_that_nobody_reads_waits_and_counts_only_whole_lines(tmp_path):
    with Helper("feeder", folder=str(tmp_path), devices=1) as feeder:
        feeder.ask("feed", rate=None)
        fed = wait_for("the port being full", lambda: _steady(feeder), 10)
        feeder.ask("stop")
        port = os.open(tmp_path / "tty-0", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        got = b""
        try:
            while feeder.ask("stats")["pending"] or got.count(b"\n") < feeder.ask("stats")["fed"][0]:
                got += os.read(port, 4096) if select.select([port], [], [], 5)[0] else pytest.fail("lines are missing")
        finally:
            os.close(port)
        lines = [orjson.loads(line)["n"] for line in got.splitlines()]
        assert lines == list(range(1, feeder.ask("stats")["fed"][0] + 1))
        assert len(lines) <= fed


def _steady(feeder: Helper) -> int:
    """What was fed, once two looks in a row are the same."""
    before, after = (feeder.ask("stats")["fed"][0] for _ in range(2))
    return before if before and before == after else 0


def test_the_feeder_keeps_the_device_when_its_reader_goes(tmp_path):
    with Helper("feeder", folder=str(tmp_path), devices=1) as feeder:
        os.close(os.open(tmp_path / "tty-0", os.O_RDWR | os.O_NOCTTY))
        feeder.ask("feed", rate=None, limit=2)
        port = os.open(tmp_path / "tty-0", os.O_RDWR | os.O_NOCTTY)
        try:
            assert [line["n"] for line in read_lines(port, 2)] == [1, 2]
        finally:
            os.close(port)


class Client:
    """A plain MQTT client, to speak through a tap."""

    def __init__(self, port: int) -> None:
        self.link = socket.create_connection(("127.0.0.1", port), 5)
        self.link.settimeout(5)
        self.frames = wire.Frames()
        self.waiting: list[wire.Frame] = []

    def say(self, data: bytes) -> None:
        self.link.sendall(data)

    def hear(self, kind: int) -> wire.Frame:
        while True:
            while self.waiting:
                frame = self.waiting.pop(0)
                if frame.kind == kind:
                    return frame
            data = self.link.recv(4096)
            if not data:
                raise ConnectionResetError
            self.waiting += self.frames.feed(data)


def message(seq: int, mid: int) -> bytes:
    body = {"id": f"g:e:{seq}", "device_id": "a", "n": seq, "ts": 1, "urgent": False, "replayed": False}
    return wire.packet(0x32, wire.text("devices/a/data") + mid.to_bytes(2, "big") + orjson.dumps(body))


@needs_mosquitto
@pytest.mark.parametrize("real", [True, False])
def test_a_tap_journals_what_was_acknowledged(tmp_path, real):
    journal = tmp_path / "journal"
    with (
        Mosquitto(tmp_path) as broker,
        Helper("tap", upstream=broker.port if real else None, journal=str(journal)) as tap,
    ):
        client = Client(tap.hello["port"])
        client.say(wire.connect("a-client"))
        client.hear(wire.CONNACK)
        client.say(message(1, 1))
        client.hear(wire.PUBACK)
        tap.ask("mode", mode="void")
        client.say(message(2, 2))
        tap.ask("mode", mode="pass")  # ends the half-open link
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            client.hear(wire.PUBACK)
        tap.ask("mode", mode="refuse")
        with pytest.raises(ConnectionRefusedError):
            Client(tap.hello["port"])
        tap.ask("mode", mode="pass")
        again = Client(tap.hello["port"])
        again.say(wire.connect("a-client"))
        again.hear(wire.CONNACK)
        assert tap.ask("stats")["connections"] == 2
        for link in (client, again):
            link.link.close()
    seen = Arrivals(journal)
    seen.read()
    assert set(seen.delivered) == {"g:e:1"}


@needs_mosquitto
def test_a_stalled_link_goes_on_without_loss(tmp_path):
    journal = tmp_path / "journal"
    with Mosquitto(tmp_path) as broker, Helper("tap", upstream=broker.port, journal=str(journal)) as tap:
        client = Client(tap.hello["port"])
        client.say(wire.connect("a-client"))
        client.hear(wire.CONNACK)
        tap.ask("mode", mode="stall")
        client.say(message(1, 1))
        assert tap.ask("stats")["acked"] == 0
        tap.ask("mode", mode="pass")
        client.hear(wire.PUBACK)
        assert tap.ask("stats")["acked"] == 1
        client.link.close()


def test_a_helper_that_is_gone_is_said_to_be(tmp_path: Path):
    helper = Helper("feeder", folder=str(tmp_path), devices=1)
    helper.close()
    with pytest.raises(HelperFailed):
        helper.ask("stats")


@needs_mosquitto
def test_the_floor_delivers_everything_and_is_measured():
    result = pace.run("floor", 2, 200.0, 1.0, None)
    assert result.lost == 0
    assert result.delivered > 0
    assert result.cpu > 0
    assert result.disk > 0
    assert 0 < result.p50 <= result.p99


@needs_mosquitto
def test_a_terminated_bench_leaves_nothing_behind(tmp_path):
    command = [
        sys.executable,
        "-m",
        "tools.harness.bench",
        "--program",
        "floor",
        "--only",
        "idle",
        "--dir",
        str(tmp_path),
    ]
    bench = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    try:
        wait_for("the floor running", lambda: any("harness.floor" in one for one in running(tmp_path)), 20)
        bench.terminate()
        assert bench.wait(30) == 128 + signal.SIGTERM
    finally:
        bench.kill()
        bench.wait()
    assert list(tmp_path.iterdir()) == []
    assert [one for one in running(tmp_path) if "harness.bench" not in one] == []


def running(folder: Path) -> list[str]:
    """Command lines that name the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = process.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found
