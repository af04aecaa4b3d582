"""Cost of a message of a device that speaks MQTT, and what becomes of them when the agent is killed.

python -m tools.harness.mqtt_devices [--devices 200] [--rate 1000] [--seconds 15] [--qos 1] [--kills 0] [--window 20]
                                     [--tls]

`missing`: acknowledged and not in the log; `twice`: in the log more than once. With QoS 1 a message may come twice,
with QoS 2 not.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sqlite3
import ssl
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gatepost.agent.store.model import whole_body
from tests.support.ports import free_port
from tools.harness import wire
from tools.harness.mosquitto import Mosquitto
from tools.harness.program import Program, agent
from tools.harness.rig import BROKER, INFLIGHT, quantile

PASSWORD = "a-device-of-the-harness"
CONNECT, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 0x10, 0x30, 0x40, 0x50, 0x62, 0x70
PAD = "x" * 60  # a payload of about 150 octets


class HarnessDevice:
    """A client of MQTT 3.1.1 that keeps what is not acknowledged, and sends it again on its next connection."""

    def __init__(self, name: str, port: int, qos: int, window: int, tls: ssl.SSLContext | None = None) -> None:
        self.name, self.port, self.qos, self.window, self.tls = name, port, qos, window, tls
        self.sent = 0
        self.acknowledged: set[int] = set()
        self.waits: list[float] = []
        self.flight: dict[int, tuple[int, float]] = {}  # packet id -> number and when it was sent
        self.released: dict[int, int] = {}  # QoS 2: packet id -> number, PUBREL sent
        self.connects = 0
        self.writer: asyncio.StreamWriter | None = None

    async def run(self) -> None:
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._once()
            self.writer = None
            await asyncio.sleep(random.uniform(0.1, 0.4))

    async def _once(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.tls)
        try:
            writer.write(_connect(self.name))
            head = await reader.readexactly(4)
            if head[3]:
                raise OSError(f"refused with {head[3]}")
            self.connects += 1
            for ident, (number, _) in list(self.flight.items()):
                writer.write(self._publish(ident, number, True))
            for ident in self.released:
                writer.write(bytes((PUBREL, 2, ident >> 8, ident & 255)))
            self.writer = writer
            while True:
                kind, _, high, low = await reader.readexactly(4)
                self._heard(kind, high << 8 | low)
        finally:
            self.writer = None
            writer.close()

    def _heard(self, kind: int, ident: int) -> None:
        if kind in (PUBACK, PUBREC) and ident in self.flight:
            number, began = self.flight.pop(ident)
            self.acknowledged.add(number)
            self.waits.append(time.monotonic() - began)
            if kind == PUBREC:
                self.released[ident] = number
        if kind == PUBREC and self.writer is not None:
            self.writer.write(bytes((PUBREL, 2, ident >> 8, ident & 255)))
        elif kind == PUBCOMP:
            self.released.pop(ident, None)

    def publish(self) -> bool:
        """False when it has to wait."""
        if self.writer is None or len(self.flight) + len(self.released) >= self.window:
            return False
        self.sent += 1
        if not self.qos:
            self.writer.write(self._publish(0, self.sent, False))
            return True
        ident = self.sent % 60_000 + 1
        self.flight[ident] = (self.sent, time.monotonic())
        self.writer.write(self._publish(ident, self.sent, False))
        return True

    def _publish(self, ident: int, number: int, dup: bool) -> bytes:
        body = wire.text(f"devices/{self.name}/data") + (ident.to_bytes(2, "big") if self.qos else b"")
        body += b'{"metric_type": "environment", "n": %d, "temperature": 21.5, "pad": "%s"}' % (number, PAD.encode())
        return wire.packet(PUBLISH | self.qos << 1 | (8 if dup and self.qos else 0), body)


def _connect(name: str) -> bytes:
    head = b"\0\4MQTT\4\xc0\0\x3c"
    return wire.packet(CONNECT, head + wire.text(f"harness-{name}") + wire.text(name) + wire.text(PASSWORD))


async def load(devices: list[HarnessDevice], rate: float, seconds: float) -> None:
    """So many messages a second in all, in turn."""
    began, count = time.monotonic(), 0
    while (now := time.monotonic()) - began < seconds:
        due = int((now - began) * rate)
        while count < due:
            devices[count % len(devices)].publish()
            count += 1
        await asyncio.sleep(0.005)


async def killed(program: Program, kills: int, seconds: float) -> None:
    for _ in range(kills):
        await asyncio.sleep(seconds / (kills + 1) * random.uniform(0.7, 1.2))
        program.kill()
        await asyncio.to_thread(program.start)


async def until(true: Callable[[], bool], timeout: float = 20.0) -> None:
    """Wait for it, but no longer."""
    end = time.monotonic() + timeout
    while not true() and time.monotonic() < end:  # noqa: ASYNC110 - many devices, one look at all of them
        await asyncio.sleep(0.05)


async def measured(options: argparse.Namespace, program: Program, port: int) -> dict[str, Any]:
    tls = ssl.create_default_context(cafile=str(options.tls)) if options.tls else None
    if tls is not None:
        tls.check_hostname = False
    devices = [HarnessDevice(f"d{n}", port, options.qos, options.window, tls) for n in range(options.devices)]
    idle = program.usage()
    tasks = [asyncio.create_task(device.run()) for device in devices]
    await until(lambda: all(device.writer is not None for device in devices))
    await asyncio.sleep(1.0)
    before = program.usage()
    await asyncio.gather(load(devices, options.rate, options.seconds), killed(program, options.kills, options.seconds))
    after = None if options.kills else program.usage()
    await until(lambda: not any(device.flight or device.released for device in devices))
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    sent = sum(device.sent for device in devices)
    waits = sorted(wait for device in devices for wait in device.waits)
    report: dict[str, Any] = {
        "devices": options.devices,
        "qos": options.qos,
        "sent": sent,
        "acknowledged": sum(len(device.acknowledged) for device in devices),
        "connects": sum(device.connects for device in devices),
        "puback_p50_ms": round((quantile(waits, 0.5) or 0.0) * 1000, 1),
        "puback_p99_ms": round((quantile(waits, 0.99) or 0.0) * 1000, 1),
    }
    if after is not None:
        report |= {
            "cpu_us_a_message": round((after.cpu - before.cpu) / max(1, sent) * 1e6, 1),
            "cpu_percent": round((after.cpu - before.cpu) / (after.at - before.at) * 100, 1),
            "rss_idle_mib": round(idle.rss / (1 << 20), 1),
            "rss_connected_mib": round(before.rss / (1 << 20), 1),
            "rss_peak_mib": round(after.peak / (1 << 20), 1),
            "written_a_message": round((after.disk - before.disk) / max(1, sent)),
        }
    program.stop()
    return report | in_the_log(Path(program.folder) / "state" / "gatepost.db", devices)


def certificate(folder: Path) -> Path:
    """One that signed itself, and its key beside it."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost"]
    command = ["openssl", "req", "-x509", "-days", "2", *kind, "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return cert


def in_the_log(path: Path, devices: list[HarnessDevice]) -> dict[str, int]:
    database = sqlite3.connect(path)
    rows: Counter[tuple[str, int]] = Counter()
    query = "SELECT s.device, r.bits, r.body FROM reading r JOIN series s ON s.id = r.series WHERE s.device <> ''"
    for device, bits, body in database.execute(query):
        rows[device, json.loads(whole_body(bits, body))["n"]] += 1
    database.close()
    missing = sum((device.name, number) not in rows for device in devices for number in device.acknowledged)
    return {"stored": len(rows), "missing": missing, "twice": sum(count > 1 for count in rows.values())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--devices", type=int, default=200)
    parser.add_argument("--rate", type=float, default=1000.0)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--qos", type=int, choices=(0, 1, 2), default=1)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--window", type=int, default=20)
    parser.add_argument("--tls", action="store_true", help="the devices connect with TLS")
    parser.add_argument("--broker", action="store_true", help="what is stored is forwarded to a mosquitto, too")
    options = parser.parse_args()
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="gatepost-") as name:
        folder = Path(name)
        settings: dict[str, Any] = {
            "gateway": {"id": "harness", "state_dir": str(folder / "state")},
            "devices": {f"d{n}": {"driver": "mqtt", "options": {"password": PASSWORD}} for n in range(options.devices)},
            "listener": {"listen": f"127.0.0.1:{port}", "max_connections": options.devices + 10},
            "api": {"socket": str(folder / "api.sock"), "listen": None},
        }
        if options.tls:
            options.tls = certificate(folder)
            settings["listener"] |= {"tls": {"cert": str(options.tls), "key": str(folder / "key.pem")}}
        with ExitStack() as stack:
            if options.broker:
                broker = stack.enter_context(Mosquitto(folder, INFLIGHT))
                settings["brokers"] = {BROKER: {"url": f"mqtt://127.0.0.1:{broker.port}"}}
            program = stack.enter_context(agent(folder, settings))
            program.start()
            print(json.dumps(asyncio.run(measured(options, program, port))), flush=True)


if __name__ == "__main__":
    main()
