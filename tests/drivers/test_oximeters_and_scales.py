"""Oximeters and scales end to end: twins on real PTYs, the serial link, the agent's devices, the log."""

from __future__ import annotations

import asyncio
import logging
import random

import msgspec
import orjson
import pytest

from gatepost.agent.core.clock import SystemClock
from gatepost.agent.core.events import EventBus
from gatepost.agent.devices.interfaces import DeviceLimits
from gatepost.agent.devices.manager import DeviceManager
from gatepost.agent.settings.model import DeviceSettings
from gatepost.agent.settings.model import StoreSettings as StoreSettings
from gatepost.agent.store.store import Store
from gatepost.drivers.driver import Registry
from gatepost.drivers.reading import Reading
from gatepost.drivers.serial.contec.retry import ConversationRetry
from gatepost.drivers.serial.contec.v7_twin import a_night
from gatepost.drivers.serial.port.link import SerialLink
from gatepost.drivers.testing.pty import PtyTwin
from tests.devices.fakes import execute
from tests.support.waiting import until

REGISTRY = Registry.installed()
LONG = 60.0  # seconds: it may take long on a busy machine
STREAMS = [
    ("nonin", {}),
    ("nonin", {"format": 1}),
    ("nonin", {"format": 7, "waveform": True}),
    ("nonin", {"format": 8}),
    ("nonin", {"format": 13}),
    ("oximeter-ascii", {}),
    ("oximeter-ascii", {"dialect": "masimo"}),
    ("oximeter-ascii", {"dialect": "nellcor"}),
    ("cas-scale", {}),
    ("cas-scale", {"format": "10", "unit": "kg"}),
    ("mt-sics", {"mode": "repeat"}),
    ("mt-sics", {"mode": "stream"}),
]
IDS = [f"{name}-{'-'.join(str(value) for value in options.values())}" for name, options in STREAMS]


@pytest.mark.parametrize(("name", "options"), STREAMS, ids=IDS)
async def test_from_a_pty_to_readings(name, options, tmp_path):
    kind = REGISTRY.get(name)
    driver = kind(msgspec.convert(options, kind.options_type))
    decoder, heard = driver.decoder(), []
    async with PtyTwin(kind.twin(driver.options, seed=1), tmp_path / "port", speed=60) as twin:
        link = SerialLink(
            str(twin.path), driver.line, on_data=lambda data: heard.extend(decoder.feed(data)), on_lost=heard.append
        )
        await link.open()
        for words in driver.on_open_bytes():
            await link.send(words)
        await until(lambda: sum(isinstance(item, Reading) and not item.waveform for item in heard) >= 5)
        await link.close()
    assert all(item.quality != "bad" for item in heard if isinstance(item, Reading))


class House:
    """The agent's devices and a log in a file, started and stopped as often as a test likes."""

    def __init__(self, root):
        self.root = root

    async def __aenter__(self):
        self.store = await Store.open(
            self.root / "log.db", "gw", StoreSettings(commit_interval=0.01, reserve=0), SystemClock(), EventBus()
        )
        self._tasks = [asyncio.create_task(run(), name=name) for name, run in self.store.background_tasks().items()]
        self.devices = DeviceManager(
            REGISTRY,
            self.store,
            SystemClock(),
            EventBus(),
            random.Random(3),
            logging.getLogger("test"),
            limits=DeviceLimits(first_retry=0.02, last_retry=0.1),
        )
        return self

    async def __aexit__(self, *_exc):
        await self.devices.close()
        self.store.finish()
        await asyncio.wait(self._tasks[:1], timeout=5)
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await self.store.close()

    def view(self, name):
        return self.devices.get(name)

    async def records(self):
        found, before = [], None
        while True:
            page = await self.store.queries.history(device="o", limit=1000, **({"before": before} if before else {}))
            if not page:
                return [body for body in found if "from-memory" in body["flags"]]
            before = page[-1].seq
            found += [
                {**orjson.loads(self.store.series_of(record.series).common), **orjson.loads(record.body)}
                for record in page
            ]


@pytest.mark.parametrize("name", ["contec-cms50-v7", "contec-cms50d-plus"])
async def test_stored_records_reach_the_log_once_however_often_the_agent_is_stopped(name, tmp_path, monkeypatch):
    monkeypatch.setattr(ConversationRetry.__init__, "__defaults__", (0.2, 1.0))  # a busy machine may miss an answer
    kind = REGISTRY.get(name)
    device = {"driver": name, "every": 3600.0, "options": {"records": True}}
    count, rng = 3000, random.Random(5)
    person = kind.twin(seed=2)
    person.segments = [a_night(count)]
    person.stored = [(60 + i % 100, 80 + i % 19) for i in range(count)]
    async with PtyTwin(person, tmp_path / "port", speed=8, patient=True) as twin:
        for _ in range(12):
            async with House(tmp_path) as house:
                await house.devices.apply({"o": DeviceSettings(port=str(twin.path), **device)})
                head = house.store.head
                enough = head + rng.randrange(1, 600)
                await until(
                    lambda house=house, enough=enough: (
                        house.store.head >= enough or house.view("o").get("stored_records") == "read"
                    ),
                    LONG,
                )
        async with House(tmp_path) as house:
            await house.devices.apply({"o": DeviceSettings(port=str(twin.path), **device)})
            await until(lambda: house.view("o").get("stored_records") == "read", LONG)
            again = await execute(house.devices, "o", "read_stored", {})
            assert again["new_records"] == 0
            records = await house.records()
    assert len(records) == count
    key = "device_timestamp" if name == "contec-cms50-v7" else "sequence_number"
    assert len({record[key] for record in records}) == count


async def test_a_scale_is_weighed_by_command_and_its_number_is_shown(tmp_path):
    async with PtyTwin(REGISTRY.get("mt-sics").twin(seed=1), tmp_path / "port") as twin, House(tmp_path) as house:
        await house.devices.apply(
            {"s": DeviceSettings(driver="mt-sics", port=str(twin.path), options={"interval": 0.2})}
        )
        await until(lambda: house.view("s").get("serial_number") == "B021002593")
        result = await execute(house.devices, "s", "read_now", {"stable": True})
        assert result["quality"] == "good"
        assert result["reading_id"]
