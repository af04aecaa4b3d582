"""Every driver end to end: the agent's devices, the link, unmodified bleak, the emulated daemon, a simulated device."""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gatepost.agent.core.clock import SystemClock
from gatepost.agent.core.events import EventBus
from gatepost.agent.devices.manager import DeviceManager
from gatepost.agent.settings.model import DeviceSettings
from gatepost.drivers.ble.link.links import BleLinks
from gatepost.drivers.ble.twin.daemon import TwinDaemon
from gatepost.drivers.ble.twin.devices.catalogue import make
from gatepost.drivers.driver import Registry
from tests.ble.link.rig import QUICK
from tests.devices.fakes import QUICK as LIMITS
from tests.devices.fakes import MemoryStore
from tests.support.waiting import until

DRIVERS = {
    "ble": {"heart_rate", "pulse_oximetry"},
    "ble-aranet": {"environment"},
    "ble-blood-pressure": {"blood_pressure"},
    "ble-cgm": {"continuous_glucose"},
    "ble-environment": {"environment"},
    "ble-glucose": {"glucose"},
    "ble-heart-rate": {"heart_rate"},
    "ble-microlife": {"blood_pressure"},
    "ble-movesense": {"ecg", "heart_rate"},
    "ble-omron": {"blood_pressure"},
    "ble-polar-h10": {"ecg", "heart_rate"},
    "ble-pulse-oximeter": {"pulse_oximetry"},
    "ble-scale": {"body_weight", "body_composition"},
    "ble-thermometer": {"body_temperature"},
    "ble-viatom-bp2": {"blood_pressure"},
    "ble-viatom-o2": {"pulse_oximetry"},
    "ble-weight-scale": {"body_weight", "body_composition"},
}


class Agent:
    """The devices room with the real link, and a log in memory that outlives it."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.links = BleLinks(random.Random(3), logging.getLogger("test.ble"), QUICK)
        self.devices = DeviceManager(
            Registry.installed(),
            store,
            SystemClock(),
            EventBus(),
            random.Random(1),
            logging.getLogger("test.devices"),
            links=self,
            limits=LIMITS._replace(open=10.0, close=2.0),
        )

    def get(self, transport: str) -> Any:
        return lambda device, driver, ears: self.links.connect(device.address, device.name, None, driver, ears)

    def adjust(self, devices: Any) -> None:
        """Its links have nothing to adjust."""

    async def close(self) -> None:
        await self.links.close()

    def view(self, name: str = "d") -> dict[str, Any]:
        view = self.devices.get(name)
        assert view is not None
        return dict(view)


@pytest.fixture
async def agent(bluez: TwinDaemon) -> AsyncIterator[Agent]:
    made = Agent(MemoryStore())
    yield made
    await made.devices.close()


def quick(name: str, **settings: Any) -> Any:
    twin = make(name, seed=1, **settings)
    twin.interval = 0.02
    if twin.sleeps:
        twin.wake(600)
    return twin


@pytest.mark.parametrize("name", DRIVERS)
async def test_readings_of_each_kind_arrive(bluez: TwinDaemon, agent: Agent, name: str) -> None:
    twin = quick(name)
    bluez.place(twin)
    await agent.devices.apply({"d": DeviceSettings(driver=name, address=twin.address)})
    await until(lambda: {reading["metric_type"] for reading in agent.store.readings()} >= DRIVERS[name], 15.0)
    assert agent.view()["serial_number"] == twin.serial
    assert agent.view()["model"] == twin.model
    assert agent.store.losses == []


@pytest.mark.parametrize("per_tick", [1, 3])
async def test_a_meter_whose_link_breaks_again_and_again(bluez: TwinDaemon, agent: Agent, per_tick: int) -> None:
    twin = quick("ble-glucose", stored=60, every_seconds=0, per_tick=per_tick)
    air = bluez.place(twin)
    await agent.devices.apply({"d": DeviceSettings(driver="ble-glucose", address=twin.address)})
    for breaks in range(1, 4):
        await until(lambda breaks=breaks: len(agent.store.rows) >= 12 * breaks, 15.0)
        air.drop()
    await until(lambda: len(agent.store.rows) >= 60, 15.0)
    await until(lambda: agent.view()["reason"] == "asleep", 15.0)
    assert agent.store.values("sequence_number") == list(range(1, 61))
    assert twin.access.deleted == 0


async def test_an_agent_that_is_stopped_in_the_middle(bluez: TwinDaemon) -> None:
    twin = quick("ble-glucose", stored=40, every_seconds=0, per_tick=1)
    bluez.place(twin)
    store = MemoryStore()
    for part in (10, 25, 40):
        agent = Agent(store)
        await agent.devices.apply({"d": DeviceSettings(driver="ble-glucose", address=twin.address)})
        await until(lambda part=part: len(store.rows) >= part, 15.0)
        await agent.devices.close()
    assert store.values("sequence_number") == list(range(1, 41))


async def test_a_cuff_that_sends_its_whole_memory_at_each_connection(bluez: TwinDaemon, agent: Agent) -> None:
    twin = quick("ble-blood-pressure", stored=5, every_seconds=0, forgets=False)
    bluez.place(twin)
    await agent.devices.apply({"d": DeviceSettings(driver="ble-blood-pressure", address=twin.address)})
    await until(lambda: len(agent.store.rows) >= 5, 15.0)
    await until(lambda: not twin.connected, 10.0)
    twin.wake(600)
    twin.measure()
    await until(lambda: len(agent.store.rows) >= 6, 15.0)
    await until(lambda: not twin.connected, 10.0)
    assert len(agent.store.rows) == 6


async def test_a_device_of_another_kind(bluez: TwinDaemon, agent: Agent) -> None:
    twin = quick("ble-heart-rate")
    bluez.place(twin)
    await agent.devices.apply({"d": DeviceSettings(driver="ble-glucose", address=twin.address)})
    await until(lambda: agent.view()["reason"] == "wrong-device", 15.0)
    assert "ble-heart-rate" in str(agent.view())


async def test_a_polar_strap_is_told_to_stop(bluez: TwinDaemon, agent: Agent) -> None:
    twin = quick("ble-polar-h10")
    bluez.place(twin)
    await agent.devices.apply({"d": DeviceSettings(driver="ble-polar-h10", address=twin.address)})
    await until(lambda: any(reading["metric_type"] == "ecg" for reading in agent.store.readings()), 15.0)
    await agent.devices.close()
    assert twin._rates == {}
