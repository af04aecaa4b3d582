"""Devices that speak MQTT as writers of a torture run: they keep what is not acknowledged, and send it again.

Obeys JSON lines: feed (rate), stop, stats, dump (path: acknowledged numbers by device).
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from tools.harness.commands import commands, say
from tools.harness.mqtt_devices import PASSWORD, HarnessDevice
from tools.harness.truth import Row

PREFIX = "mq"
WINDOW = 20


def names(count: int) -> dict[str, int]:
    """Devices and their QoS: 1 and 2 by turns."""
    return {f"{PREFIX}{1 + at % 2}-{at}": 1 + at % 2 for at in range(count)}


def settings(count: int, port: int) -> dict[str, Any]:
    """Sections of the agent's settings."""
    device = {"driver": "mqtt", "options": {"password": PASSWORD}}
    return {"devices": {name: dict(device) for name in names(count)}, "listener": {"listen": f"127.0.0.1:{port}"}}


class MqttWriters:
    def __init__(self, port: int, count: int) -> None:
        self._devices = [HarnessDevice(name, port, qos, WINDOW) for name, qos in names(count).items()]
        self._rate = 0.0

    async def run(self) -> None:
        tasks = [asyncio.create_task(device.run()) for device in self._devices]
        tasks.append(asyncio.create_task(self._feed()))
        say({"ready": True})
        async for asked in commands():
            say(self._command(asked))
        for task in tasks:
            task.cancel()

    async def _feed(self) -> None:
        due, turn = 0.0, 0
        while True:
            await asyncio.sleep(0.01)
            due = min(due + self._rate * 0.01, 10.0)
            while due >= 1.0:
                self._devices[turn % len(self._devices)].publish()
                due, turn = due - 1.0, turn + 1

    def _command(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["do"] == "feed":
            self._rate = asked["rate"]
        elif asked["do"] == "stop":
            self._rate = 0.0
        elif asked["do"] == "dump":
            told = {device.name: sorted(device.acknowledged) for device in self._devices}
            Path(asked["path"]).write_text(json.dumps(told), "utf-8")
        return {
            "sent": sum(device.sent for device in self._devices),
            "acknowledged": sum(len(device.acknowledged) for device in self._devices),
            "open": sum(len(device.flight) + len(device.released) for device in self._devices),
            "connects": sum(device.connects for device in self._devices),
        }


def judge(
    rows: dict[str, Row], gone: dict[str, Row], acknowledged: dict[str, list[int]]
) -> tuple[list[str], list[str]]:
    """Acknowledged and missing, but for what an older copy of the state took away; QoS 2 and stored more than once."""
    stored = Counter((row.device, row.n) for row in rows.values() if row.device.startswith(PREFIX) and not row.event)
    taken = {(row.device, row.n) for row in gone.values()}
    missing = [
        f"{name} n={n}"
        for name, numbers in acknowledged.items()
        for n in numbers
        if not stored[name, n] and (name, n) not in taken
    ]
    twice = [f"{name} n={n}" for (name, n), count in stored.items() if count > 1 and name.startswith(f"{PREFIX}2")]
    return missing, twice


if __name__ == "__main__":
    asyncio.run(MqttWriters(**json.loads(sys.argv[1])).run())
