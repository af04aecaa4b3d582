"""A device that only advertises: heard, never connected."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gatepost.drivers.ble.peripheral import ReceivedAdvert
from gatepost.drivers.ble.twin.daemon import TwinDaemon
from gatepost.drivers.ble.uuids import uuid
from gatepost.drivers.link import LinkFailed
from tests.ble.link.rig import Heard, Kind, Rig, Strap, reason
from tests.support.waiting import until

ADDRESS = "C0:FF:EE:00:00:01"
LIMIT = 5.0


class Beacon(Strap):
    advert_interval = 0.0

    def advertisement(self) -> ReceivedAdvert:
        return ReceivedAdvert(
            self.address, self.name, self.rssi, {uuid(0xFCD2): b"\x40\x02\x10\x27"}, {0x0499: b"\x05"}
        )


def listener(rig: Rig, wanted: str) -> tuple[Any, Heard]:
    return rig.link(wanted, Kind(advertisement=True))


async def test_every_advertisement_of_the_device_is_data_and_nothing_is_connected(bluez: TwinDaemon, rig: Rig) -> None:
    air = bluez.place(beacon := Beacon(name="ATC_1"))
    other = bluez.place(Beacon("C0:FF:EE:00:00:02", "ATC_2"))
    link, events = listener(rig, ADDRESS)
    opening = asyncio.create_task(link.open(LIMIT))
    await until(lambda: bluez.adapter.discovering)
    assert events.keys == ["waiting"]
    other.advertise()
    air.advertise()
    await asyncio.wait_for(opening, LIMIT)
    await until(lambda: events.values)
    advert = events.values[0]
    assert (advert.address, advert.name, advert.rssi) == (ADDRESS, "ATC_1", -60)
    assert advert.service_data == {uuid(0xFCD2): b"\x40\x02\x10\x27"}
    assert advert.manufacturer_data == {0x0499: b"\x05"}
    beacon.rssi = -61
    air.advertise()
    other.advertise()
    await until(lambda: len(events.values) == 2)
    assert {value.address for value in events.values} == {ADDRESS}
    assert air.attempts == 0
    assert link.statistics() == {"advertisements": 2, "rssi": -61}
    assert events.status == {"signal_strength": -60}  # a decibel is no news
    await link.close(1.0)
    air.advertise()
    await until(lambda: not bluez.adapter.discovering)
    assert len(events.values) == 2
    with pytest.raises(LinkFailed):
        await link.send(b"x", 1.0)


async def test_by_name(bluez: TwinDaemon, rig: Rig) -> None:
    air = bluez.place(Beacon(name="Ruuvi ABCD"))
    link, events = listener(rig, "Ruuvi")
    opening = asyncio.create_task(link.open(LIMIT))
    await until(lambda: bluez.adapter.discovering)
    air.advertise()
    await asyncio.wait_for(opening, LIMIT)
    await until(lambda: events.values)


async def test_the_adapter_is_lost_and_comes_back(bluez: TwinDaemon, rig: Rig) -> None:
    air = bluez.place(beacon := Beacon())
    link, events = listener(rig, ADDRESS)
    opening = asyncio.create_task(link.open(LIMIT))
    await until(lambda: bluez.adapter.discovering)
    air.advertise()
    await asyncio.wait_for(opening, LIMIT)
    await bluez.adapter.power(False)
    await until(lambda: events.losses)
    assert reason(events.losses[0]) == "adapter-off"
    await link.close(1.0)
    opening = asyncio.create_task(link.open(LIMIT))
    await until(lambda: "adapter-off" in events.keys)
    await bluez.adapter.power(True)
    await until(lambda: bluez.adapter.discovering)
    beacon.rssi = -70
    air.advertise()
    await asyncio.wait_for(opening, LIMIT)


@pytest.mark.parametrize("killed", [False, True], ids=["restarted", "killed"])
async def test_the_daemon_comes_anew(bluez: TwinDaemon, rig: Rig, killed: bool) -> None:
    air = bluez.place(beacon := Beacon())
    link, events = listener(rig, ADDRESS)
    opening = asyncio.create_task(link.open(LIMIT))
    await until(lambda: bluez.adapter.discovering)
    air.advertise()
    await asyncio.wait_for(opening, LIMIT)
    await bluez.restart(killed=killed)
    await until(lambda: bluez.adapter.discovering or events.losses)
    if events.losses:
        await link.close(1.0)
        opening = asyncio.create_task(link.open(LIMIT))
        await until(lambda: bluez.adapter.discovering)
    else:
        await until(lambda: bluez.adapter.discovering)
    for rssi in (-70, -50):
        beacon.rssi = rssi
        heard = len(events.values)
        air.advertise()
        await until(lambda before=heard: len(events.values) > before)
        await asyncio.sleep(0.05)
        assert len(events.values) == heard + 1  # the scan before is not told of it too


async def test_beside_a_connected_device_one_scanner_serves_both(bluez: TwinDaemon, rig: Rig) -> None:
    air = bluez.place(beacon := Beacon())
    bluez.place(Strap("C0:FF:EE:00:00:02"))
    link, events = listener(rig, ADDRESS)
    opening = asyncio.create_task(link.open(LIMIT))
    await until(lambda: bluez.adapter.discovering)
    air.advertise()
    await asyncio.wait_for(opening, LIMIT)
    other, _ = rig.link("C0:FF:EE:00:00:02")
    await asyncio.wait_for(other.open(LIMIT), LIMIT)
    await until(lambda: bluez.adapter.discovering)
    heard = len(events.values)
    beacon.rssi = -50
    air.advertise()
    await until(lambda: len(events.values) > heard)
