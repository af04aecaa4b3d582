"""Memory and CPU of an agent with BLE devices: an emulated bluetoothd, devices that hold a connection, and advertisers.

python -m tools.harness.bluetooth [--connected 10] [--advertisers 50] [--configured 0] [--seconds 60]
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from tools.harness import program, wire
from tools.harness.helper import end, wait_for
from tools.harness.mosquitto import Mosquitto
from tools.harness.rig import BROKER

STREAMS = ("ble-heart-rate", "ble-pulse-oximeter", "ble-thermometer", "ble-environment", "ble-oximeter")
BEACONS = ("ruuvi", "bthome", "atc", "pvvx", "govee", "mi-scale", "ibeacon", "eddystone")
MIB = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--connected", type=int, default=10, help="devices that speak all the time")
    parser.add_argument("--advertisers", type=int, default=50, help="devices that only advertise")
    parser.add_argument("--configured", type=int, default=0, help="advertisers that the agent reads")
    parser.add_argument("--seconds", type=float, default=60.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gatepost-") as folder:
        print(json.dumps(measured(Path(folder), asked)), flush=True)


def measured(folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    names = [f"{STREAMS[index % len(STREAMS)]}:{index}" for index in range(asked.connected)]
    names += [f"{BEACONS[index % len(BEACONS)]}:{100 + index}" for index in range(asked.advertisers)]
    command = [sys.executable, "-m", "gatepost.drivers.ble.twin", "--attached", *names]
    air = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert air.stdout is not None
        said = json.loads(air.stdout.readline())
        os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = said["bus"]
        devices = yaml.safe_load(said["drop"])["devices"]
        kept = list(devices)[: asked.connected + asked.configured]
        with Mosquitto(folder) as mosquitto, Listener(mosquitto.port) as heard:
            settings = program.agent_settings(folder, {BROKER: mosquitto.port}, [])
            settings["devices"] = {name: devices[name] for name in kept}
            settings["bluetooth"] = {"connections": max(5, asked.connected)}
            with program.agent(folder, settings) as agent:
                agent.start()
                wait_for("a reading of every device", lambda: len(heard.readings) == len(kept), 90.0, 0.1)
                before, first = agent.usage(), heard.readings.total()
                time.sleep(asked.seconds)
                after, last = agent.usage(), heard.readings.total()
                agent.stop()
    finally:
        end(air)
    seconds = after.at - before.at
    return {
        "connected": asked.connected,
        "advertisers": asked.advertisers,
        "configured": asked.configured,
        "readings_per_second": (last - first) / seconds,
        "rss_mib": after.rss / MIB,
        "peak_mib": after.peak / MIB,
        "cpu_percent": 100 * (after.cpu - before.cpu) / seconds,
        "wakes_per_second": (after.wakes - before.wakes) / seconds,
    }


class Listener:
    """Counts readings by device at the broker. The agent's API is not asked: it would load HTTP."""

    def __init__(self, port: int) -> None:
        self.readings: Counter[str] = Counter()
        self._link = socket.create_connection(("127.0.0.1", port), 2.0)
        self._link.sendall(wire.connect("harness-listener", keepalive=0) + wire.subscribe("devices/+/data"))
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> Listener:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._link.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._link.close()

    def _listen(self) -> None:
        frames = wire.Frames()
        while data := self._link.recv(1 << 16):
            for frame in frames.feed(data):
                if frame.kind == wire.PUBLISH:
                    self.readings[wire.publish(frame, 4).topic.split("/")[1]] += 1


if __name__ == "__main__":
    main()
