"""The real parts together: drivers and twins on PTYs, the serial link, the log."""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from gatepost.agent.core.clock import SystemClock
from gatepost.agent.core.events import EventBus
from gatepost.agent.devices.interfaces import DeviceLimits
from gatepost.agent.devices.manager import DeviceManager
from gatepost.agent.settings.model import DeviceSettings, ThresholdSettings
from gatepost.agent.settings.model import StoreSettings as StoreSettings
from gatepost.agent.store.store import Store
from gatepost.drivers.driver import Registry, Twin
from gatepost.drivers.serial.contec.v5_driver import ContecCms50dPlus
from gatepost.drivers.serial.contec.v7_driver import ContecCms50V7
from gatepost.drivers.serial.lines.driver import Lines
from gatepost.drivers.serial.scales.and_driver import AndScale
from gatepost.drivers.testing.pty import PtyTwin
from tests.devices.fakes import execute, until
from tests.support.store import serving_store

LIMITS = DeviceLimits(first_retry=0.02, last_retry=0.1)
KINDS = (Lines, ContecCms50dPlus, ContecCms50V7, AndScale)


class House:
    def __init__(self, store: Store, root: Path, limits: DeviceLimits) -> None:
        self.root = root
        self.store = store
        self.devices = DeviceManager(
            Registry({kind.name: (lambda kind=kind: kind) for kind in KINDS}),  # type: ignore[misc]
            store,
            SystemClock(),
            EventBus(),
            random.Random(3),
            logging.getLogger("test.devices"),
            limits=limits,
        )

    def view(self, name: str) -> dict[str, Any]:
        view = self.devices.get(name)
        assert view is not None
        return dict(view)

    async def stored(self, name: str) -> list[dict[str, Any]]:
        """What the log holds of a device, oldest first."""
        found = []
        for record in reversed(await self.store.queries.history(device=name, limit=5000)):
            series = self.store.series_of(record.series)
            found.append({**orjson.loads(series.common), **orjson.loads(record.body), "urgent": record.bits & 1})
        return found


@pytest.fixture
async def house(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[House]:
    async with serving_store(tmp_path, commit_interval=0.02) as store:
        house = House(store, tmp_path, getattr(request, "param", LIMITS))
        yield house
        await house.devices.close()


class Printer:
    """A twin that prints numbered lines."""

    interval = 0.005

    def __init__(self) -> None:
        self.count = 0

    def tick(self) -> bytes:
        self.count += 1
        return b'{"n": %d, "t": 36.6}\n' % self.count

    def hear(self, data: bytes) -> bytes:
        return b""


def pty(house: House, twin: Twin, name: str = "tty", **given: Any) -> PtyTwin:
    return PtyTwin(twin, house.root / name, **given)


async def test_lines_from_a_pty_to_the_log_over_an_unplugging(house: House):
    printer = Printer()
    async with pty(house, printer, patient=True) as twin:
        await house.devices.apply({"p": DeviceSettings(driver="lines", port=str(twin.path), patient="P-1")})
        await until(lambda: house.view("p")["readings"] > 20)
        await twin.vanish()
        await until(lambda: house.view("p")["status"] == "offline")
        before = house.view("p")["readings"]
        await twin.appear()
        await until(lambda: house.view("p")["readings"] > before + 20)
        assert house.view("p")["reconnects"] >= 1
        assert house.view("p")["status"] == "online"
        await house.devices.close()
    total = house.view("p")["readings"]
    await until(lambda: house.store.head >= total)
    stored = await house.stored("p")
    assert len(stored) == total
    numbers = [reading["n"] for reading in stored]
    assert numbers == sorted(set(numbers))
    assert stored[5] | {"n": 0} == {
        "metric_type": "reading",
        "n": 0,
        "t": 36.6,
        "units": {},
        "quality": "good",
        "flags": [],
        "urgent": 0,
    }


@pytest.mark.parametrize("house", [DeviceLimits(first_retry=600, last_retry=600)], indirect=True)
async def test_a_device_that_is_plugged_in_again_is_read_at_once(house: House):
    twin = pty(house, Printer(), patient=True)
    await house.devices.apply({"p": DeviceSettings(driver="lines", port=str(twin.path))})
    await until(lambda: house.view("p")["status"] == "offline")
    for _ in range(2):
        before = house.view("p")["readings"]
        await twin.appear()
        await until(lambda: house.view("p")["readings"] > before)  # noqa: B023
        await twin.vanish()
        await until(lambda: house.view("p")["status"] == "offline")
    await twin.close()


@pytest.mark.parametrize("kind", [ContecCms50dPlus, ContecCms50V7])
async def test_an_oximeter_is_reported_at_its_pace(house: House, kind: Any):
    async with pty(house, kind.twin()) as twin:
        limits = {"spo2": ThresholdSettings(min=1)}
        await house.devices.apply(
            {"o": DeviceSettings(driver=kind.name, port=str(twin.path), every=0.2, thresholds=limits)}
        )
        await until(lambda: house.view("o")["readings"] >= 5, seconds=10)
        view = house.view("o")
        assert view["decoded"] > 4 * (view["readings"] - 2)
        assert view["status"] == "online"
    await until(lambda: house.store.head >= 5)
    stored = await house.stored("o")
    assert all(reading["metric_type"] == "pulse_oximetry" for reading in stored)
    assert any(50 < reading.get("spo2", 0) <= 100 for reading in stored)


async def test_commands_of_an_oximeter(house: House):
    async with pty(house, ContecCms50V7.twin()) as twin:
        await house.devices.apply({"o": DeviceSettings(driver=ContecCms50V7.name, port=str(twin.path), every=60)})
        await until(lambda: house.view("o")["decoded"] > 10)
        told = await execute(house.devices, "o", "device_id", {})
        assert told["id"]
        reading = await execute(house.devices, "o", "read_now", {})
        assert reading["metric_type"] == "pulse_oximetry"
        assert reading["reading_id"].startswith("gw:")
        assert await execute(house.devices, "o", "stop_live", {}) == {"live": False}
        before = house.view("o")["decoded"]
        assert await execute(house.devices, "o", "start_live", {}) == {"live": True}
        await until(lambda: house.view("o")["decoded"] > before + 10)


async def test_a_scale_is_asked(house: House):
    async with pty(house, AndScale.twin()) as twin:
        await house.devices.apply({"s": DeviceSettings(driver="and-scale", port=str(twin.path))})
        await until(lambda: house.view("s")["status"] == "online")
        result = await execute(house.devices, "s", "read_now", {})
        assert result["weight"] == result["values"]["weight"]
        assert result["reading_id"]


async def test_a_port_that_is_not_there_comes_later(house: House):
    path = house.root / "tty"
    await house.devices.apply({"p": DeviceSettings(driver="lines", port=str(path))})
    await until(lambda: house.view("p")["reason"] == "missing")
    assert house.view("p")["hint"]
    async with pty(house, Printer()):
        await until(lambda: house.view("p")["readings"] > 5)


async def test_two_devices_cannot_share_a_port(house: House):
    async with pty(house, Printer()) as twin:
        both = {name: DeviceSettings(driver="lines", port=str(twin.path)) for name in ("a", "b")}
        await house.devices.apply(both)
        await until(lambda: sorted(house.view(name)["status"] for name in both) == ["error", "online"])
        assert {house.view(name)["reason"] for name in both} == {"busy", None}
