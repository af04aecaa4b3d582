"""bluetoothd is restarted, killed, or hangs: under a scan, under a connection."""

from __future__ import annotations

import asyncio

import pytest

from gatepost.drivers.ble.link.gatt_link import GattLink
from gatepost.drivers.ble.twin.daemon import TwinDaemon
from gatepost.drivers.link import LinkFailed, Reason
from tests.ble.link.rig import LONG, Rig, Strap, read, subscribe
from tests.support.failing import failing
from tests.support.waiting import until

ADDRESS = "C0:FF:EE:00:00:01"
LIMIT = 5.0


async def reopen(link: GattLink, limit: float = LIMIT) -> None:
    """Open it as a runner does: again after a failure, and a pause."""
    async with asyncio.timeout(limit):
        while True:
            try:
                return await link.open(limit)
            except LinkFailed as failure:
                if failure.reason not in (Reason.NO_SERVICE, Reason.NO_ADAPTER):
                    raise
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("killed", [False, True], ids=["restarted", "killed"])
async def test_under_a_scan(bluez: TwinDaemon, rig: Rig, killed: bool) -> None:
    link, _ = rig.link(ADDRESS)
    opening = asyncio.create_task(reopen(link))
    await until(lambda: bluez.adapter.discovering)
    await bluez.restart(killed=killed)
    bluez.place(Strap())
    await asyncio.wait_for(opening, LIMIT)
    assert bluez.adapter.scans >= 2


@pytest.mark.parametrize("killed", [False, True], ids=["restarted", "killed"])
async def test_under_a_connection(bluez: TwinDaemon, rig: Rig, killed: bool) -> None:
    bluez.place(strap := Strap())
    link, events = await rig.opened(ADDRESS)
    await subscribe(link)
    await bluez.restart(killed=killed)
    await until(lambda: events.losses)
    assert link.peripheral is None
    await asyncio.wait_for(link.close(1.0), 1.0)
    await reopen(link)
    await subscribe(link)
    strap.send(strap.stream, b"again")
    await until(lambda: events.octets == [b"again"])
    assert len(events.losses) == 1


async def test_killed_and_gone_for_a_while(bluez: TwinDaemon, rig: Rig) -> None:
    bluez.place(Strap())
    link, events = await rig.opened(ADDRESS)
    await bluez.kill()
    await until(lambda: events.losses)
    await link.close(1.0)
    with failing(LinkFailed, reason=Reason.NO_SERVICE):
        await link.open(LIMIT)
    await bluez.start()
    await reopen(link)


async def test_killed_with_the_scan_of_another_device_under_way(bluez: TwinDaemon, rig: Rig) -> None:
    bluez.place(Strap())
    link, events = rig.link(ADDRESS)
    other, _ = rig.link("C0:FF:EE:00:00:02")
    await link.open(LIMIT)
    opening = asyncio.create_task(reopen(other))
    await until(lambda: bluez.adapter.discovering)
    await bluez.restart(killed=True)
    await until(lambda: events.losses)
    await link.close(1.0)
    bluez.place(Strap("C0:FF:EE:00:00:02"))
    await reopen(link)
    await asyncio.wait_for(opening, LIMIT)


async def test_a_request_to_a_daemon_that_was_killed_fails_at_once(bluez: TwinDaemon, rig: Rig) -> None:
    air = bluez.place(Strap())
    link, _ = await rig.opened(ADDRESS)
    assert link.peripheral is not None
    site = link.peripheral.characteristics[1]
    air.stick(site.uuid)
    asking = asyncio.create_task(link.peripheral.read(site, LIMIT))
    await asyncio.sleep(0.05)
    await bluez.kill()
    with pytest.raises(LinkFailed):
        await asyncio.wait_for(asking, 1.0)


async def test_a_daemon_that_hangs_costs_no_more_than_the_limits(bluez: TwinDaemon, rig: Rig) -> None:
    bluez.place(Strap())
    link, _ = await rig.opened(ADDRESS)
    bluez.hang()
    with pytest.raises(TimeoutError):
        await read(link, timeout=0.1)
    await asyncio.wait_for(link.close(0.2), 1.0)
    bluez.resume()
    await reopen(link)


async def test_a_scan_whose_start_was_answered_too_late_blocks_no_other(bluez: TwinDaemon, rig: Rig) -> None:
    bluez.adapter.slow_starts, bluez.adapter.start_takes = 1, 1.5  # the scanner waits for one second
    link, _ = rig.link(ADDRESS)
    with failing(LinkFailed, reason=Reason.SCAN):
        await link.open(LIMIT)
    await link.close(1.0)
    bluez.place(Strap())
    await link.open(LIMIT)
    assert bluez.adapter.scans == 2


async def test_a_loss_that_no_signal_told_of_is_noticed_and_mended(bluez: TwinDaemon, rig: Rig) -> None:
    air = bluez.place(Strap())
    link, events = await rig.opened(ADDRESS)
    bluez.hang()
    air.drop()  # what it would say now is lost
    bluez.resume()
    assert link.peripheral is not None
    with failing(LinkFailed, reason=Reason.IO):
        await read(link)
    await link.close(1.0)
    await reopen(link)
    assert await read(link) == LONG
    assert air.connects == 2
    assert events.losses == []


async def test_a_pause_ends_when_the_service_comes_back(bluez: TwinDaemon, rig: Rig) -> None:
    link, _ = rig.link(ADDRESS)
    await bluez.kill()
    with pytest.raises(LinkFailed):
        await link.open(LIMIT)
    pause = asyncio.create_task(link.usable_again())
    await asyncio.sleep(0.05)
    assert not pause.done()
    await bluez.start()
    await asyncio.wait_for(pause, LIMIT)
    pause = asyncio.create_task(link.usable_again())  # nothing is wrong with it: another failure is to wait
    await asyncio.sleep(0.05)
    assert not pause.done()
    await bluez.adapter.power(False)
    await bluez.adapter.power(True)
    await asyncio.wait_for(pause, LIMIT)
