"""Cost of WebSocket clients: the same pace without and with WebSocket clients, one of which takes nothing.

python -m tools.harness.listeners [--clients 50] [--rate 1000] [--seconds 20]
"""

from __future__ import annotations

import argparse
import json
import selectors
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tools.harness.rig import Rig, quantile

ASK = (
    b"GET /ws HTTP/1.1\r\nHost: gatepost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
DEVICES = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--rate", type=float, default=1000.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--take", help=argparse.SUPPRESS)  # a process of its own: takes what this socket sends
    asked = parser.parse_args()
    if asked.take:
        take(Path(asked.take), asked.clients)
        return
    for clients in (0, asked.clients):
        print(json.dumps(measured(clients, asked.rate, asked.seconds)), flush=True)


def measured(clients: int, rate: float, seconds: float) -> dict[str, Any]:
    with Rig("agent", DEVICES) as rig:
        rig.start()
        path = rig.folder / "api.sock"
        stuck: socket.socket | None = None
        takers: subprocess.Popen[str] | None = None
        try:
            if clients:
                stuck = opened(path)
                command = [sys.executable, "-m", "tools.harness.listeners", "--take", str(path)]
                takers = subprocess.Popen(
                    [*command, "--clients", str(clients - 1)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
                assert takers.stdout is not None
                takers.stdout.readline()
            before = rig.program.usage()
            rig.feeder.ask("feed", rate=rate)
            time.sleep(seconds)
            fed = rig.stop_feeding()
            during = rig.program.usage()
            rig.arrived(fed)
            rows = rig.rows()
            told = "" if takers is None else takers.communicate("\n", timeout=30)[0]
        finally:
            if stuck is not None:
                stuck.close()
            if takers is not None and takers.poll() is None:
                takers.kill()
        rig.program.stop()
    ways = sorted((row.received - row.ts) / 1e6 for row in rows)
    seen = {(row.device, row.n) for row in rows}
    return {
        "clients": clients,
        "fed": fed,
        "delivered": len(seen),
        "repeated": len(rows) - len(seen),
        "cpu_percent": round((during.cpu - before.cpu) / (during.at - before.at) * 100, 1),
        "rss_mib": round(during.rss / (1 << 20), 1),
        "peak_mib": round(during.peak / (1 << 20), 1),
        "p50_ms": round(quantile(ways, 0.5) or 0.0, 1),
        "p99_ms": round(quantile(ways, 0.99) or 0.0, 1),
        "taken": json.loads(told) if told else None,
    }


def opened(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(str(path))
    connection.sendall(ASK)
    if not connection.recv(12).endswith(b" 101"):
        raise SystemExit("no WebSocket was opened")
    return connection


def take(path: Path, clients: int) -> None:
    """Reads and counts until a line comes in; pongs are not sent, so for less than two pings."""

    chosen = selectors.DefaultSelector()
    for _ in range(clients):
        connection = opened(path)
        connection.setblocking(False)
        chosen.register(connection, selectors.EVENT_READ, [0, 0])
    chosen.register(sys.stdin, selectors.EVENT_READ)
    print("ready", flush=True)
    counts: list[list[int]] = [key.data for key in chosen.get_map().values() if key.data is not None]
    while True:
        for key, _ in chosen.select():
            if key.data is None:
                events, lost = [count[0] for count in counts], sum(count[1] for count in counts)
                print(json.dumps({"fewest": min(events), "most": max(events), "lost_frames": lost}))
                return
            octets = key.fileobj.recv(1 << 18)  # type: ignore[union-attr]
            if not octets:
                chosen.unregister(key.fileobj)
            key.data[0] += octets.count(b'{"event":"device.data.received"')
            key.data[1] += octets.count(b'{"event":"lost"')


if __name__ == "__main__":
    main()
