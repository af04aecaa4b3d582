"""Adapters that are off, missing, pulled out, stuck; no daemon, no bus."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gatepost.drivers.ble.twin.daemon import TwinDaemon
from gatepost.drivers.ble.twin.private_bus import PrivateBus
from gatepost.drivers.link import LinkFailed, Reason
from tests.ble.link.rig import QUICK, Rig, Strap
from tests.support.failing import failing
from tests.support.waiting import until

ADDRESS = "C0:FF:EE:00:00:01"
LIMIT = 5.0


async def test_an_adapter_that_is_off_is_waited_for_and_not_switched_on(bluez: TwinDaemon, rig: Rig) -> None:
    bluez.place(Strap())
    await bluez.adapter.power(False)
    link, events = rig.link(ADDRESS)
    opening = asyncio.create_task(link.open(LIMIT))
    await until(lambda: events.waits)
    key, message, hint = events.waits[0]
    assert key == "adapter-off"
    assert "hci0" in message
    assert "power on" in hint
    await asyncio.sleep(0.1)
    assert not bluez.adapter.powered
    await bluez.adapter.power(True)
    await asyncio.wait_for(opening, LIMIT)
    assert list(dict.fromkeys(events.keys)) == ["adapter-off", "waiting"]


async def test_an_adapter_that_goes_off_while_a_device_is_awaited(bluez: TwinDaemon, rig: Rig) -> None:
    link, events = rig.link(ADDRESS)
    opening = asyncio.create_task(link.open(LIMIT))
    await until(lambda: bluez.adapter.discovering)
    await bluez.adapter.power(False)
    await until(lambda: "adapter-off" in events.keys)
    bluez.place(Strap())
    await bluez.adapter.power(True)
    await asyncio.wait_for(opening, LIMIT)


async def test_an_adapter_that_was_off_for_a_moment_is_scanned_anew(bluez: TwinDaemon, rig: Rig) -> None:
    link, _ = rig.link(ADDRESS)
    opening = asyncio.create_task(link.open(LIMIT))
    await until(lambda: bluez.adapter.discovering)
    await bluez.adapter.power(False)
    await bluez.adapter.power(True)
    bluez.place(Strap())
    await asyncio.wait_for(opening, LIMIT)


async def test_an_adapter_that_goes_off_ends_its_connections(bluez: TwinDaemon, rig: Rig) -> None:
    bluez.place(Strap())
    link, events = await rig.opened(ADDRESS)
    await bluez.adapter.power(False)
    await until(lambda: events.losses)
    await link.close(1.0)
    opening = asyncio.create_task(link.open(LIMIT))
    await until(lambda: "adapter-off" in events.keys)
    await bluez.adapter.power(True)
    await asyncio.wait_for(opening, LIMIT)


async def test_an_adapter_that_is_pulled_out_and_comes_back(bluez: TwinDaemon, rig: Rig) -> None:
    bluez.place(Strap())
    link, events = await rig.opened(ADDRESS)
    adapter = bluez.unplug("hci0")
    await until(lambda: events.losses)
    await link.close(1.0)
    with failing(LinkFailed, reason=Reason.NO_ADAPTER) as missing:
        await link.open(LIMIT)
    assert "plugged in" in missing.value.hint
    bluez.plug(adapter)
    await asyncio.wait_for(link.open(LIMIT), LIMIT)


async def test_an_adapter_that_goes_without_a_word_about_its_connections(bluez: TwinDaemon, rig: Rig) -> None:
    bluez.place(Strap())
    link, events = await rig.opened(ADDRESS)
    bluez.objects.remove(bluez.adapter.path)
    await until(lambda: events.losses)
    assert link.peripheral is None


async def test_an_adapter_that_is_pulled_out_while_a_device_is_awaited(bluez: TwinDaemon, rig: Rig) -> None:
    link, _ = rig.link(ADDRESS)
    opening = asyncio.create_task(link.open(LIMIT))
    await until(lambda: bluez.adapter.discovering)
    bluez.unplug("hci0")
    with failing(LinkFailed, reason=Reason.NO_ADAPTER):
        await asyncio.wait_for(opening, LIMIT)


async def test_the_adapter_that_the_settings_name(bus: PrivateBus, rig: Rig) -> None:
    async with TwinDaemon(bus.address, ("hci0", "hci1")) as bluez:
        bluez.place(Strap())
        await rig.opened(ADDRESS, adapter="hci1")
        assert bluez.adapters["hci1"].scans == 1
        assert bluez.adapters["hci0"].scans == 0
        wrong, _ = rig.link(ADDRESS, adapter="hci7")
        with failing(LinkFailed, reason=Reason.NO_ADAPTER) as missing:
            await wrong.open(LIMIT)
        assert "hci7" in missing.value.message


async def test_without_a_name_the_first_adapter_that_is_on(bus: PrivateBus, rig: Rig) -> None:
    async with TwinDaemon(bus.address, ("hci0", "hci1")) as bluez:
        bluez.place(Strap())
        await bluez.adapters["hci0"].power(False)
        await rig.opened(ADDRESS)
        assert bluez.adapters["hci1"].scans == 1


async def test_a_daemon_that_is_not_there_yet(bus: PrivateBus, rig: Rig) -> None:
    link, _ = rig.link(ADDRESS)
    with failing(LinkFailed, reason=Reason.NO_SERVICE) as missing:
        await link.open(LIMIT)
    assert "systemctl" in missing.value.hint
    async with TwinDaemon(bus.address) as bluez:
        bluez.place(Strap())
        await asyncio.wait_for(link.open(LIMIT), LIMIT)


async def test_no_bus_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    rig = Rig()
    link, _ = rig.link(ADDRESS)
    for _ in range(2):
        with failing(LinkFailed, reason=Reason.NO_SERVICE):
            await link.open(LIMIT)
    await rig.close()


async def test_a_stuck_adapter_is_power_cycled_and_not_too_often(bus: PrivateBus) -> None:
    rig = Rig(QUICK._replace(stuck=3, first_cycle=60.0))
    async with TwinDaemon(bus.address) as bluez:
        air = bluez.place(Strap())
        air.always = "Software caused connection abort"
        link, events = rig.link(ADDRESS)
        opening = asyncio.create_task(link.open(LIMIT))
        powers: list[bool] = []
        power = bluez.adapter.power

        async def watched(on: bool) -> None:
            powers.append(on)
            await power(on)

        bluez.objects.settable(bluez.adapter.path, "org.bluez.Adapter1", "Powered", watched)
        await until(lambda: powers == [False, True])
        attempts = air.attempts
        await until(lambda: air.attempts > attempts + 4)
        assert powers == [False, True]
        air.always = None
        await asyncio.wait_for(opening, LIMIT)
        assert "radio" in events.keys
        await rig.close()


async def test_a_scanner_that_hears_nobody_is_made_anew(bus: PrivateBus) -> None:
    rig = Rig(QUICK._replace(quiet=0.05, last_quiet=0.2))
    async with TwinDaemon(bus.address) as bluez:
        bluez.adapter.not_receiving = True
        bluez.place(Strap())
        link, _ = rig.link(ADDRESS)
        opening = asyncio.create_task(link.open(LIMIT))
        await until(lambda: bluez.adapter.scans >= 3)
        bluez.adapter.not_receiving = False
        await asyncio.wait_for(opening, LIMIT)
        await rig.close()


async def test_nobody_scans_when_nobody_waits(bluez: TwinDaemon, rig: Rig) -> None:
    bluez.place(Strap())
    await rig.opened(ADDRESS)
    await until(lambda: not bluez.adapter.discovering)
    assert bluez.adapter.scans == 1
    other, _ = rig.link("C0:FF:EE:00:00:02")
    opening = asyncio.create_task(other.open(LIMIT))
    await until(lambda: bluez.adapter.discovering)
    opening.cancel()
    await asyncio.wait((opening,))
    await until(lambda: not bluez.adapter.discovering)


async def test_one_scanner_serves_all_and_pauses_while_one_connects(bus: PrivateBus, rig: Rig) -> None:
    async with TwinDaemon(bus.address) as bluez:
        seen: list[bool] = []
        airs = [bluez.place(Strap(f"C0:FF:EE:00:00:{number:02X}")) for number in range(3)]
        reach = type(airs[0]).reach

        for air in airs:

            async def watched(of: object = air) -> None:
                seen.append(bluez.adapter.discovering)
                await reach(of)  # type: ignore[arg-type]

            air.reach = watched  # type: ignore[method-assign]
        links = [rig.link(air.address)[0] for air in airs]
        await asyncio.wait_for(asyncio.gather(*(link.open(LIMIT) for link in links)), LIMIT)
        assert seen == [False, False, False]
