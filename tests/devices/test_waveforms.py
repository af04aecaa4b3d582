"""Curves from PTYs through the devices room: every sample, in order, whatever the pace of the other readings."""

import logging
import random

import orjson

from gatepost.agent.core.clock import SystemClock
from gatepost.agent.core.events import EventBus
from gatepost.agent.devices.manager import DeviceManager
from gatepost.agent.settings.model import DeviceSettings
from gatepost.drivers.driver import Registry
from gatepost.drivers.serial.cyton.driver import OpenBciCyton
from gatepost.drivers.serial.protocentral.driver import ProtocentralAds1292r
from gatepost.drivers.serial.protocentral.twin import ProtocentralTwin
from gatepost.drivers.testing.pty import PtyTwin
from tests.devices.fakes import MemoryStore
from tests.support.waiting import until

KINDS = (ProtocentralAds1292r, OpenBciCyton)


def house(store):
    registry = Registry({kind.name: (lambda kind=kind: kind) for kind in KINDS})
    return DeviceManager(registry, store, SystemClock(), EventBus(), random.Random(1), logging.getLogger("test.waves"))


def samples(store, device, channel):
    return [s for r in store.readings(device) if r.get("channel") == channel for s in r.get("samples", ())]


async def test_boards_at_500_hz_lose_nothing_even_at_a_slow_pace(tmp_path):
    store = MemoryStore()
    devices = house(store)
    twins = {f"ecg-{i}": ProtocentralTwin(i, rate=500, ramp=True) for i in range(3)}
    ports = [PtyTwin(twin, tmp_path / name, speed=8, patient=True) for name, twin in twins.items()]
    options = {"rate": 500, "waveforms": ["ecg"]}
    settings = {"driver": "protocentral-ads1292r", "options": options, "every": 60}
    for port in ports:
        await port.appear()
    await devices.apply({name: DeviceSettings(port=str(tmp_path / name), **settings) for name in twins})
    await until(lambda: all(len(samples(store, name, "ecg")) >= 5000 for name in twins), 30.0)
    await devices.close()
    for port in ports:
        await port.close()
    for name in twins:
        got = samples(store, name, "ecg")
        assert got == list(range(got[0], got[0] + len(got)))
        assert all(r["flags"] == [] for r in store.readings(name) if "samples" in r)
        rates = [r for r in store.readings(name) if r["metric_type"] == "heart_rate"]
        assert len(rates) <= 3


def gaps(store):
    return [r for r in store.readings("cyton") if "gap" in r["flags"] and r["metric_type"] == "ecg"]


async def test_a_cyton_is_started_heard_and_stopped(tmp_path):
    store = MemoryStore()
    devices = house(store)
    twin = OpenBciCyton.twin(seed=3)
    async with PtyTwin(twin, tmp_path / "cyton", speed=10, patient=True):
        drop = DeviceSettings(driver="openbci-cyton", port=str(tmp_path / "cyton"), options={"channels": ["I", "II"]})
        await devices.apply({"cyton": drop})
        await until(lambda: len(samples(store, "cyton", "II")) >= 750, 20.0)
        view = devices.get("cyton")
        twin.drop = 20
        await until(lambda: gaps(store), 20.0)
        await devices.close()
        await until(lambda: b"s" in twin.heard[-2:])  # what the board has not read yet is on its line
    assert view["status"] == "online"
    assert view["firmware"] == "3.1.2"
    assert gaps(store)[0]["lost_samples"] == 20
    block = orjson.loads(store.rows[0][2])
    assert set(block) == {"channel", "samples", "rate_hz", "scale", "offset", "unit"}
