"""Devices that publish to a broker: their messages are acknowledged to it once they are stored."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gatepost.agent.settings.model import BrokerSettings
from tests.listener.rig import ListenerRig
from tests.support.ports import free_port
from tests.support.waiting import until
from tests.uplink.broker import Mosquitto, running
from tests.uplink.gateway import listening

TOPICS = {"zigbee2mqtt/{device}": {"metric": "environment"}}


async def test_messages_at_a_broker_become_readings(tmp_path: Path) -> None:
    devices = {"bulb": {"from": "hospital", "topics": TOPICS}}
    async with running(Mosquitto(tmp_path / "m", persistence=True)) as broker, ListenerRig(tmp_path, devices) as rig:
        brokers = {"hospital": BrokerSettings(url=f"mqtt://127.0.0.1:{free_port()}", failover=[broker.url])}
        await rig.listener.apply(rig.settings, brokers)
        async with listening(broker.url) as there:
            async with asyncio.timeout(10):
                while rig.history[-1:] != [("bulb", "online", "")]:
                    there.publish("zigbee2mqtt/bulb", b'{"temperature": 20}')
                    await asyncio.sleep(0.05)
            async with asyncio.timeout(10):
                while not await rig.readings():
                    await asyncio.sleep(0.02)
            [first, *_] = await rig.readings()
            assert (first["device_id"], first["metric_type"], first["temperature"]) == ("bulb", "environment", 20)
            await rig.listener.apply(rig.settings, {})  # the gateway is away, and the broker keeps what comes
            there.publish("zigbee2mqtt/bulb", b'{"meanwhile": 1}')
            await asyncio.sleep(0.2)
            await rig.listener.apply(rig.settings, brokers)
            async with asyncio.timeout(10):
                while not any("meanwhile" in reading for reading in await rig.readings()):
                    await asyncio.sleep(0.02)


async def test_what_waits_for_its_commit_is_acknowledged_before_the_gateway_leaves(tmp_path: Path) -> None:
    devices = {"bulb": {"from": "hospital", "topics": TOPICS}}
    async with running(Mosquitto(tmp_path / "m")) as broker:
        brokers = {"hospital": BrokerSettings(url=broker.url)}
        async with ListenerRig(tmp_path, devices, commit=30.0, ack_within=30.0) as rig:
            await rig.listener.apply(rig.settings, brokers)
            async with listening(broker.url) as there:
                await until(lambda: rig.listener._sources["hospital"][0]._subscribed)
                there.publish("zigbee2mqtt/bulb", b'{"n": 0}')  # after a quiet spell it is committed at once
                await until(lambda: rig.store.head)
                there.publish("zigbee2mqtt/bulb", b'{"n": 1}')
                await until(lambda: rig.store.writer.waiting)
                await rig.listener.apply(rig.settings, {})
                await rig.listener.apply(rig.settings, brokers)  # what was not acknowledged would come again, first
                there.publish("zigbee2mqtt/bulb", b'{"n": 2}')
                last = rig.store.head + 1 + rig.store.writer.waiting
                await until(lambda: rig.store.head + rig.store.writer.waiting >= last)
                await rig.store.stored(last, hurry=True)
            assert [reading["n"] for reading in await rig.readings()] == [0, 1, 2]


async def test_a_broker_that_goes_takes_its_devices_with_it(tmp_path: Path) -> None:
    devices = {"bulb": {"from": "hospital", "topics": TOPICS}}
    async with running(Mosquitto(tmp_path / "m")) as broker, ListenerRig(tmp_path, devices) as rig:
        await rig.listener.apply(rig.settings, {"hospital": BrokerSettings(url=broker.url)})
        async with listening(broker.url) as there:
            async with asyncio.timeout(10):
                while rig.history[-1:] != [("bulb", "online", "")]:
                    there.publish("zigbee2mqtt/bulb", b'{"temperature": 20}')
                    await asyncio.sleep(0.05)
        broker.kill()
        async with asyncio.timeout(10):
            while rig.statuses["bulb"].get("reason") != "broker":
                await asyncio.sleep(0.02)
