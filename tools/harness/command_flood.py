"""Readings under a flood of commands that are nonsense: `python -m tools.harness.command_flood`.

For each version of MQTT and each QoS: simulated devices at a pace, a real mosquitto, and a client that publishes
nonsense on the gateway's command topic and on that of a device, beside a `ping` a second that is a command. `late`: the
longest time in which no reading came to the subscriber.
"""

from __future__ import annotations

import argparse
import json
import select
import shutil
import socket
import tempfile
import time
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

from tools.harness import program, wire
from tools.harness.collector import WIDTH
from tools.harness.helper import Helper, wait_for
from tools.harness.mosquitto import Mosquitto

TURN = 0.01  # seconds
GATEWAY = "harness"


class Flooder:
    """Client of MQTT 3.1.1 that publishes as fast as asked, and takes whatever comes back."""

    def __init__(self, port: int, qos: int) -> None:
        self._link = socket.create_connection(("127.0.0.1", port), 5.0)
        self._link.sendall(wire.connect("flooder") + wire.subscribe(f"gateways/{GATEWAY}/responses"))
        self._link.setblocking(False)
        self._qos, self._mid, self._out, self._frames = qos, 0, b"", wire.Frames()
        self.sent = self.pings = 0
        self.answered: set[str] = set()

    def publish(self, topic: str, payload: bytes, qos: int) -> None:
        self._mid = self._mid % 65_000 + 1
        mid = self._mid.to_bytes(2, "big") if qos else b""
        self._out += wire.packet(0x30 | qos << 1, wire.text(topic) + mid + payload)

    def run(self, rate: int, seconds: float) -> None:
        """Floods and pings; after that waits for answers to the last pings."""
        began = time.monotonic()
        while (now := time.monotonic()) < began + seconds:
            while self.pings < now - began:
                self.pings += 1
                ping = {"command": "ping", "id": f"ping-{self.pings}"}
                self.publish(f"gateways/{GATEWAY}/commands", json.dumps(ping).encode(), 1)
            while self.sent < rate * (now - began) and len(self._out) < 1 << 20:
                self.sent += 1
                topic = f"gateways/{GATEWAY}/commands" if self.sent % 2 else "devices/tty-0/commands"
                self.publish(topic, b'{"command": "nonsense", "id": "x-%d"}' % self.sent, self._qos)
            self._turn()
        while time.monotonic() < began + seconds + 10 and len(self.answered) < self.pings:
            self._turn()

    def _turn(self) -> None:
        readable, writable, _ = select.select([self._link], [self._link] if self._out else [], [], TURN)
        if writable:
            self._out = self._out[self._link.send(self._out) :]
        if readable:
            for frame in self._frames.feed(self._link.recv(1 << 16)):
                if frame.kind == wire.PUBLISH and b'"ping-' in frame.body:
                    self.answered.add(json.loads(wire.publish(frame, 4).payload)["id"])
        time.sleep(TURN / 4)

    def close(self) -> None:
        self._link.close()


def measure(version: str, qos: int, rate: int, lines: int, seconds: float) -> None:
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="gatepost-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        broker = stack.enter_context(Mosquitto(folder, queued=1000))
        collector = stack.enter_context(Helper("collector", port=broker.port))
        feeder = stack.enter_context(Helper("feeder", folder=str(folder), devices=4))
        settings = program.agent_settings(folder, {"bench": broker.port}, [folder / f"tty-{n}" for n in range(4)])
        settings["brokers"]["bench"]["protocol"] = version
        agent = stack.enter_context(program.agent(folder, settings))
        agent.start()
        agent.opened(feeder.hello["ports"])
        feeder.ask("feed", rate=lines)
        wait_for("the first reading at the far end", lambda: collector.ask("stats")["received"] > 0, 30.0, 0.1)
        flooder = Flooder(broker.port, qos)
        stack.callback(flooder.close)
        before, began = agent.usage(), time.time()
        flooder.run(rate, seconds)
        after, took = agent.usage(), time.time() - began
        fed = sum(feeder.ask("stop")["fed"])
        time.sleep(3.0)
        path = folder / "arrived.bin"
        collector.ask("dump", timeout=60.0, path=str(path))
        data = memoryview(path.read_bytes()).cast("q")
        rows = [(data[at], data[at + 1]) for at in range(0, len(data), WIDTH)]
        times = sorted(data[at + 3] / 1e9 for at in range(0, len(data), WIDTH))
        flooded = [at for at in times if began <= at <= began + seconds]
        edges = [began, *flooded, began + seconds]
        late = max(after - before for before, after in pairwise(edges))
        print(
            f"{version:>6} {qos:>4} {flooder.sent / seconds:>10,.0f} {len(flooded) / seconds:>11,.0f} {late:>6.2f} "
            f"{fed - len(set(rows)):>8} {len(flooder.answered):>4}/{flooder.pings:<4} "
            f"{100 * (after.cpu - before.cpu) / took:>5.0f} {after.rss / (1 << 20):>6.1f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=5000, help="commands a second (5,000)")
    parser.add_argument("--lines", type=int, default=400, help="readings a second (400)")
    parser.add_argument("--seconds", type=float, default=20.0)
    asked = parser.parse_args()
    print("  MQTT  QoS commands/s  readings/s   late  missing  pings     CPU%    RSS")
    for version in ("3.1.1", "5"):
        for qos in (0, 1):
            measure(version, qos, asked.rate, asked.lines, asked.seconds)


if __name__ == "__main__":
    main()
