"""The real agent as a process beside the emulated daemon: from settings alone to stored readings, through faults."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gatepost.drivers.ble.twin.daemon import TwinDaemon
from gatepost.drivers.ble.twin.devices.catalogue import driver_of, make, secure
from gatepost.drivers.ble.twin.peripheral import TwinPeripheral
from gatepost.drivers.ble.twin.private_bus import PrivateBus
from gatepost.drivers.ble.uuids import uuid
from tests.integration.rig import Agent, agent, settings_for
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="dbus-daemon is not installed")

POINT = uuid(0x2A52)


class Ward:
    """The agent, and what is in the air around it."""

    def __init__(self, bluez: TwinDaemon, gateway: Agent) -> None:
        self.bluez = bluez
        self.gateway = gateway

    async def readings(self, device: str) -> list[dict[str, Any]]:
        """All that is stored of a device."""
        out: list[dict[str, Any]] = []
        cursor = None
        while True:
            page = await self.gateway.client.data(device, limit=1000, cursor=cursor)
            out += page["readings"]
            cursor = page["cursor"]
            if cursor is None:
                return out

    async def comes(self, condition: Callable[[], Awaitable[object]], seconds: float = 30.0) -> None:
        """Until it holds."""
        try:
            async with asyncio.timeout(seconds):
                while not await condition():
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(self.gateway.tail()) from None

    async def has(self, device: str, count: int = 1) -> None:
        """Until so many readings of it are stored."""

        async def enough() -> bool:
            return len(await self.readings(device)) >= count

        await self.comes(enough)

    async def grows(self, device: str, by: int = 3) -> None:
        """Until that many more readings of it are stored."""
        await self.has(device, len(await self.readings(device)) + by)


def settings(folder: Path, devices: dict[str, TwinPeripheral], **options: Any) -> dict[str, Any]:
    placed = {
        name: {"driver": driver_of(name.rpartition(".")[0] or name), "address": each.address, "every": "100ms"}
        | ({"options": options} if options else {})
        for name, each in devices.items()
    }
    return settings_for(folder, None, placed)


@asynccontextmanager
async def ward(
    folder: Path,
    devices: dict[str, TwinPeripheral],
    own: dict[str, dict[str, Any]] | None = None,
    speed: float = 4.0,
    **options: Any,
) -> AsyncIterator[Ward]:
    """`options` are those of every device, `own` of single ones; devices live `speed` times as fast."""
    async with PrivateBus() as bus, TwinDaemon(bus.address, speed=speed) as bluez:
        for each in devices.values():
            bluez.place(each)
        configured = settings(folder, devices, **options)
        for name, its_own in (own or {}).items():
            configured["devices"][name]["options"] = its_own
        async with agent(folder, configured, DBUS_SYSTEM_BUS_ADDRESS=bus.address) as gateway:
            yield Ward(bluez, gateway)


async def test_every_kind_of_device_reports(tmp_path: Path) -> None:
    names = ["ble-heart-rate", "ble-glucose", "ble-blood-pressure", "ble-weight-scale", "ble-thermometer"]
    devices = {name: make(name) for name in (*names, "bthome", "ruuvi", "govee", "mi-scale")}
    async with ward(tmp_path, devices) as room:
        for name in devices:
            await room.has(name)
        known = {one["id"]: one for one in (await room.gateway.client.devices())["devices"]}
        assert known["ble-heart-rate"]["battery"] == devices["ble-heart-rate"].battery
        assert known["ble-heart-rate"]["signal_strength"] == -60
        assert known["ble-heart-rate"]["serial_number"] == devices["ble-heart-rate"].serial


async def test_the_other_kinds_report(tmp_path: Path) -> None:
    names = ["ble", "ble-cgm", "ble-environment", "ble-polar-h10", "ble-pulse-oximeter"]
    devices = {name: make(name, every_seconds=1) if name == "ble-cgm" else make(name) for name in names}
    async with ward(tmp_path, devices) as room:
        for name in names:
            await room.has(name, 3)
        metrics = {reading["metric_type"] for reading in await room.readings("ble")}
        assert {"heart_rate", "pulse_oximetry"} <= metrics
        assert any("samples" in reading for reading in await room.readings("ble-polar-h10"))


async def test_a_scale_with_users_and_nonins_own_service(tmp_path: Path) -> None:
    scale, oximeter = make("user-scale", user=2, consent=4711), make("nonin-3230")
    devices = {"user-scale": scale, "nonin-3230": oximeter}
    async with ward(tmp_path, devices, {"user-scale": {"user_index": 2, "consent": 4711}}) as room:
        await room.has("user-scale")
        await room.has("nonin-3230", 5)
        assert scale.deleted == 0


async def test_records_survive_an_agent_that_is_killed_in_mid_download(tmp_path: Path) -> None:
    """Each record once, with one id, though the link was left up and the meter asked again and again."""
    meter = make("ble-glucose", stored=120, every_seconds=0, per_tick=1)
    async with ward(tmp_path, {"ble-glucose": meter}) as room:
        air = room.bluez.hosted[meter.address]
        for number in range(4):
            reported = meter.access.reported
            await until(lambda: meter.access.reported >= reported + 12, 30)  # noqa: B023
            assert number or meter.access.reported < 120
            await room.gateway.kill()
            await room.gateway.start()

        async def all_there() -> bool:
            return len({each["sequence_number"] for each in await room.readings("ble-glucose")}) == 120

        await room.comes(all_there, 60)
        readings = await room.readings("ble-glucose")
        assert len(readings) == len({each["id"] for each in readings}) == 120
        assert meter.access.deleted == 0
        assert not [data for name, data in air.writes if name == POINT and data[:1] == b"\x02"]


async def test_a_cuff_that_shows_itself_for_ten_seconds_is_caught(tmp_path: Path) -> None:
    cuff = make("ble-blood-pressure", stored=0, every_seconds=0)
    async with ward(tmp_path, {"ble-blood-pressure": cuff}, speed=1.0) as room:
        for count in (1, 2):
            cuff.measure()
            # after it hung up it is left alone for a while
            room.bluez.hosted[cuff.address].wake(10 if count == 1 else 25)
            await until(lambda: cuff.memory == [], 30)
            await until(lambda: not cuff.connected, 20)
            await room.has("ble-blood-pressure", count)
        assert len(await room.readings("ble-blood-pressure")) == 2


@pytest.mark.parametrize("killed", [True, False])
async def test_a_restart_of_the_daemon(tmp_path: Path, killed: bool) -> None:
    devices = {
        name: make(name, contact_losses=False) if "rate" in name else make(name) for name in ("ble-heart-rate", "ruuvi")
    }
    async with ward(tmp_path, devices) as room:
        for name in devices:
            await room.grows(name)
        await (room.bluez.kill() if killed else room.bluez.stop())
        await room.gateway.device("ble-heart-rate", "offline", 30)
        await room.bluez.start()
        for name in devices:
            await room.grows(name)


async def test_an_adapter_that_is_off_and_on_again(tmp_path: Path) -> None:
    async with ward(tmp_path, {"ble-heart-rate": make("ble-heart-rate")}) as room:
        await room.grows("ble-heart-rate")
        adapter = room.bluez.unplug("hci0")
        found = await room.gateway.device("ble-heart-rate", "offline", 30)
        assert found["message"]
        room.bluez.plug(adapter)
        await room.grows("ble-heart-rate")


async def test_a_lost_link_is_made_again(tmp_path: Path) -> None:
    strap = make("ble-heart-rate")
    async with ward(tmp_path, {"ble-heart-rate": strap}) as room:
        air = room.bluez.hosted[strap.address]
        for count in range(1, 4):
            await room.grows("ble-heart-rate", 2)
            assert air.connects == count
            air.drop()
            await until(lambda: air.connects == count + 1, 30)  # noqa: B023


async def test_a_bond_by_passkey_and_a_bond_that_the_device_forgot(tmp_path: Path) -> None:
    strap = secure(make("ble-heart-rate"), 123456)
    async with ward(tmp_path, {"ble-heart-rate": strap}, passkey="123456") as room:
        await room.grows("ble-heart-rate")
        air = room.bluez.hosted[strap.address]
        assert (strap.bonded, air.pairings) == (True, 1)
        air.lose_bond()
        await until(lambda: strap.bonded, 60)
        await room.grows("ble-heart-rate")
        assert air.pairings == 2


async def test_ten_meters_on_five_connections(tmp_path: Path) -> None:
    meters = {f"ble-glucose.{seed}": make("ble-glucose", seed, every_seconds=0) for seed in range(10)}
    async with ward(tmp_path, meters) as room:
        room.bluez.adapter.slots = 5
        for name in meters:

            async def all_of_it(name: str = name) -> bool:
                return len(await room.readings(name)) == 10

            await room.comes(all_of_it, 60)


async def test_a_device_of_another_kind_is_named(tmp_path: Path) -> None:
    devices = {"ble-glucose": make("ble-heart-rate"), "ble-thermometer": make("ble-thermometer")}
    async with ward(tmp_path, devices) as room:
        await room.grows("ble-thermometer")

        async def told() -> bool:
            found = {one["id"]: one for one in (await room.gateway.client.devices())["devices"]}["ble-glucose"]
            return found["status"] != "online" and "heart rate" in found["message"].lower()

        await room.comes(told)
