"""A stick between two real agents, pulled out in the middle on both sides: each reading once upstream.

GATEPOST_STICK_READINGS=100000 is the measurement of docs/measurements.md.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import orjson

from gatepost.agent.settings.model import BrokerSettings
from tests.integration.rig import GATEPOST, Agent, Mosquitto, agent, listening, settings_for, until
from tests.uplink.broker import running
from tests.uplink.gateway import gateway

READINGS = int(os.environ.get("GATEPOST_STICK_READINGS", "11000"))


async def fill(state: Path) -> None:
    """A log whose readings are all owed to the broker `a`."""
    async with gateway(state, interval=0.05) as box:
        await box.apply(a=BrokerSettings("mqtt://127.0.0.1:9", active=False))
        for start in range(0, READINGS, 500):
            await box.put(*range(start, min(start + 500, READINGS)), urgent=start == 1000)


async def pulled_out(one: Agent, when: Callable[[], object], *words: str) -> None:
    """Start a verb, and kill it in the middle."""
    command = (GATEPOST, *words, "--socket", one.socket)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    try:
        await until(lambda: when() or process.returncode is not None, 60)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_each_reading_once_upstream(tmp_path: Path) -> None:
    home, courier, stick = tmp_path / "home", tmp_path / "courier", tmp_path / "stick"
    stick.mkdir()
    files = stick / "gatepost"
    await fill(home / "state")
    async with running(Mosquitto(tmp_path / "m", extra="max_queued_messages 0")) as broker:
        there = settings_for(courier, broker.url, {}, gateway={"id": "office"})
        there["brokers"]["a"]["url"] = broker.url
        here = settings_for(home, "mqtt://127.0.0.1:9", {})
        async with agent(home, here) as ward, agent(courier, there) as office, listening(broker.url) as heard:
            await office.broker("a", "connected")
            began = time.monotonic()
            await pulled_out(ward, lambda: any(files.glob("*.parcel")), "export", "--stick", str(stick))
            given = await ward.cli("export", "--stick", str(stick))
            exported = time.monotonic()
            assert given["complete"]
            assert given["there"] + given["readings"] >= READINGS  # and events of the gateway
            await pulled_out(office, lambda: any(files.glob("*.receipt")), "import", str(stick))
            taken = await office.cli("import", str(stick))
            imported = time.monotonic()
            assert taken["problems"] == []
            await until(lambda: len(heard.messages) >= READINGS, 60)
            numbers = Counter(heard.numbers())
            assert sorted(numbers) == list(range(READINGS))
            assert set(numbers.values()) == {1}
            assert len({reading["id"] for reading in heard.readings()}) == READINGS
            again = await office.cli("import", str(stick))
            assert (again["readings"], again["before"]) == (0, len(list(files.glob("*.parcel"))))
            size = sum(path.stat().st_size for path in files.iterdir())
            receipts = await ward.cli("import", str(stick))
            assert receipts["delivered"] >= READINGS
            owed = (await ward.client.backlog())["backlog"]
            assert [each["readings"] for each in owed] == [0]
            print(
                orjson.dumps(
                    {
                        "readings": READINGS,
                        "stick_octets": size,
                        "export_seconds": round(exported - began, 1),
                        "import_seconds": round(imported - exported, 1),
                        "receipt_seconds": round(time.monotonic() - imported, 1),
                    }
                ).decode()
            )
