"""Find a peripheral, connect it, speak with it, lose it, have it back."""

from __future__ import annotations

import asyncio

import pytest

from gatepost.drivers.ble.peripheral import GattCharacteristic, GattError
from gatepost.drivers.ble.twin.daemon import TwinDaemon
from gatepost.drivers.link import LinkFailed, Reason
from tests.ble.link.rig import EVENT, LONG, POINT, SITE, STREAM, Kind, Rig, Strap, read, reason, subscribe
from tests.support.failing import failing
from tests.support.waiting import until

ADDRESS = "C0:FF:EE:00:00:01"
LIMIT = 5.0


async def test_a_device_is_found_by_its_address_in_any_case_and_read_and_written(bluez: TwinDaemon, rig: Rig) -> None:
    bluez.place(strap := Strap())
    bluez.place(Strap("C0:FF:EE:00:00:02", "Other"))
    link, events = rig.link("c0:ff:ee:00:00:01")
    assert link.peripheral is None
    await asyncio.wait_for(link.open(1.0), LIMIT)
    peripheral = link.peripheral
    assert peripheral is not None
    assert events.keys == ["waiting"]
    assert (peripheral.address, peripheral.name, peripheral.mtu) == (ADDRESS, "Strap", 247)
    assert events.status == {"signal_strength": -60, "battery": 88}
    assert await read(link) == LONG  # longer than the MTU
    point = peripheral.find(POINT)
    assert point is not None
    assert point.properties == {"write", "write-without-response"}
    await peripheral.write(point, b"\x01")
    await peripheral.write(point, b"\x02", response=False)
    await until(lambda: strap.heard == [b"\x01", b"\x02"])
    with failing(GattError, code=0x80):
        await peripheral.write(point, b"\xff")
    assert link.statistics() == {"connects": 1, "notifications": 0, "rssi": -60}
    assert link.counters() == {}


async def test_notifications_and_indications_reach_the_ears_in_order(bluez: TwinDaemon, rig: Rig) -> None:
    bluez.place(strap := Strap())
    link, events = await rig.opened(ADDRESS)
    await subscribe(link, STREAM)
    await subscribe(link, EVENT)
    for number in range(300):
        strap.send(strap.stream, number.to_bytes(2, "big"))
    strap.send(strap.event, b"once")
    await until(lambda: len(events.values) == 301)
    assert events.octets == [number.to_bytes(2, "big") for number in range(300)] + [b"once"]
    assert (events.values[0].uuid, events.values[0].handle) == (STREAM, strap.stream.handle)
    assert events.values[0].service == strap.stream.service
    peripheral = link.peripheral
    assert peripheral is not None
    stream = peripheral.find(STREAM)
    assert stream is not None
    await peripheral.unsubscribe(stream)
    assert not strap.stream.subscribed


async def test_what_is_read_is_not_taken_for_a_notification(bluez: TwinDaemon, rig: Rig) -> None:
    bluez.place(strap := Strap())
    link, events = await rig.opened(ADDRESS)
    await subscribe(link)
    assert await read(link, STREAM) == b"now"
    strap.send(strap.stream, b"then")
    await until(lambda: events.values)
    assert events.octets == [b"then"]


async def test_a_notification_during_a_read_is_not_lost(bluez: TwinDaemon, rig: Rig) -> None:
    air = bluez.place(strap := Strap())
    link, events = await rig.opened(ADDRESS)
    await subscribe(link)
    air.stick(STREAM)
    asking = asyncio.create_task(read(link, STREAM, 0.2))
    await asyncio.sleep(0.05)
    strap.send(strap.stream, b"between")
    with pytest.raises(TimeoutError):
        await asking
    await until(lambda: events.octets == [b"between"])


async def test_a_name_is_enough_or_its_beginning_or_a_pattern(bluez: TwinDaemon, rig: Rig) -> None:
    bluez.place(Strap("C0:FF:EE:00:00:01", "Polar H10 1234ABCD"))
    bluez.place(Strap("C0:FF:EE:00:00:02", "A&D_UA-651BLE_AABBCC"))
    for name, address in (("Polar H10", "C0:FF:EE:00:00:01"), ("*UA-651BLE*", "C0:FF:EE:00:00:02")):
        link, _ = await rig.opened(name)
        assert link.peripheral is not None
        assert link.peripheral.address == address


async def test_two_entries_that_fit_the_same_name_get_a_peripheral_each(bluez: TwinDaemon, rig: Rig) -> None:
    bluez.place(Strap("C0:FF:EE:00:00:01", "UA-651"))
    bluez.place(Strap("C0:FF:EE:00:00:02", "UA-651"))
    links = [rig.link("UA-651")[0] for _ in range(2)]
    await asyncio.wait_for(asyncio.gather(*(link.open(LIMIT) for link in links)), LIMIT)
    assert {link.peripheral.address for link in links if link.peripheral} == {"C0:FF:EE:00:00:01", "C0:FF:EE:00:00:02"}


async def test_a_lost_link_is_told_once_and_comes_back(bluez: TwinDaemon, rig: Rig) -> None:
    air = bluez.place(strap := Strap())
    link, events = await rig.opened(ADDRESS)
    await subscribe(link)
    strap.send(strap.stream, b"1")
    await until(lambda: events.values)
    air.drop()
    await until(lambda: events.losses)
    assert reason(events.losses[0]) == "io"
    assert link.peripheral is None
    await link.close(1.0)
    await link.open(LIMIT)
    await subscribe(link)
    strap.send(strap.stream, b"2")
    await until(lambda: len(events.values) == 2)
    assert len(events.losses) == 1
    assert (link.statistics()["connects"], link.statistics()["notifications"]) == (2, 2)
    assert link.statistics()["lost"] == 1
    assert events.octets == [b"1", b"2"]
    # A client that did not disconnect would be subscribed again by the daemon, for nobody.
    assert air.device is not None
    assert [len(clients) for clients in air.device._gatt._subscribers.values()] == [1]


async def test_a_request_under_way_fails_when_the_link_is_lost(bluez: TwinDaemon, rig: Rig) -> None:
    air = bluez.place(Strap())
    link, _ = await rig.opened(ADDRESS)
    air.stick(SITE)
    asking = asyncio.create_task(read(link, timeout=LIMIT))
    await asyncio.sleep(0.05)
    air.drop()
    with failing(LinkFailed, reason=Reason.IO):
        await asking


async def test_nothing_is_heard_after_close(bluez: TwinDaemon, rig: Rig) -> None:
    air = bluez.place(strap := Strap())
    link, events = await rig.opened(ADDRESS)
    await subscribe(link)
    peripheral = link.peripheral
    assert peripheral is not None
    await link.close(1.0)
    await until(lambda: not strap.connected)
    assert air.disconnects == 1
    assert (events.values, events.losses) == ([], [])
    with pytest.raises(LinkFailed):
        await peripheral.read(peripheral.characteristics[0])
    await link.close(1.0)


async def test_a_sleepy_device_is_caught_each_time_it_shows_itself_and_left_alone_after_data(
    bluez: TwinDaemon, rig: Rig
) -> None:
    strap = Strap()
    strap.sleeps = True
    air = bluez.place(strap)
    link, events = rig.link(ADDRESS, Kind(streams=False))
    for number in range(2):
        opening = asyncio.create_task(link.open(LIMIT))
        await until(lambda: bluez.adapter.discovering)
        assert not opening.done()
        air.wake()
        await asyncio.wait_for(opening, LIMIT)
        await subscribe(link)
        strap.send(strap.stream, b"120/80")
        await until(lambda count=number: len(events.values) == count + 1)
        air.drop()
        await until(lambda count=number: len(events.losses) == count + 1)
        await link.close(1.0)
    attempts = air.attempts
    opening = asyncio.create_task(link.open(LIMIT))
    await until(lambda: bluez.adapter.discovering)
    air.wake()
    await asyncio.sleep(0.1)
    assert air.attempts == attempts  # it still advertises, but has given what it had
    air.wake()
    await asyncio.wait_for(opening, LIMIT)


async def test_what_cannot_be_done_says_so(bluez: TwinDaemon, rig: Rig) -> None:
    bluez.place(Strap())
    link, _ = rig.link(ADDRESS)
    with failing(LinkFailed, reason=Reason.SETTINGS):
        await link.send(b"x", 1.0)
    await link.open(LIMIT)
    assert not link.can_pause
    link.pause()
    link.resume()
    peripheral = link.peripheral
    assert peripheral is not None
    assert peripheral.find("nothing") is None
    assert peripheral.find(STREAM, "nothing") is None
    with failing(GattError, code=0x0A):
        await peripheral.read(GattCharacteristic(SITE, 999, "", frozenset({"read"})))
    with pytest.raises(GattError):
        await peripheral.read(next(each for each in peripheral.characteristics if each.uuid == POINT))
