"""Unmodified bleak against the emulated daemon: scan, connect, services, read, write, notify, indicate, lost links."""

from __future__ import annotations

import asyncio

from bleak import BleakClient, BleakScanner
from bleak.exc import BleakGATTProtocolError

from gatepost.drivers.ble.peripheral import ReceivedAdvert
from gatepost.drivers.ble.twin.daemon import TwinDaemon
from gatepost.drivers.ble.uuids import uuid
from tests.ble.twin.strap import ADDRESS, POINT, SITE, STREAM, Strap, find
from tests.support.failing import failing
from tests.support.waiting import until


async def test_scan_connect_read_write_notify_indicate(bluez: TwinDaemon) -> None:
    air = bluez.place(strap := Strap())
    device = await find()
    assert device.name == "Strap"
    notified: list[bytes] = []
    indicated: list[bytes] = []
    async with BleakClient(device) as client:
        assert {uuid(0x180D), uuid(0x180F)} == {service.uuid for service in client.services}
        assert client.services.get_characteristic(STREAM).properties == ["notify"]
        assert await client.read_gatt_char(SITE) == b"\x01"
        await client.start_notify(STREAM, lambda _, data: notified.append(bytes(data)))
        await client.start_notify(POINT, lambda _, data: indicated.append(bytes(data)))
        for number in range(500):
            strap.send(strap.stream, bytes((0, number % 256)))
        await client.write_gatt_char(POINT, b"\x01", response=True)
        await until(lambda: len(notified) == 500 and indicated)
        assert notified == [bytes((0, number % 256)) for number in range(500)]
        assert indicated == [b"ok\x01"]
        with failing(BleakGATTProtocolError, code=0x80):
            await client.write_gatt_char(POINT, b"\xff", response=True)
        await client.stop_notify(STREAM)
        assert strap.send(strap.stream, b"\0\0") is False
    assert strap.heard == [b"\x01"]
    assert not strap.connected
    assert (air.connects, air.disconnects, list(air.reads)) == (1, 1, [SITE])
    assert list(air.writes) == [(POINT, b"\x01"), (POINT, b"\xff")]
    assert bluez.objects.lost == 0


async def test_a_burst_larger_than_every_buffer_arrives_whole(bluez: TwinDaemon) -> None:
    bluez.place(strap := Strap())
    seen: list[bytes] = []
    async with BleakClient(await find()) as client:
        await client.start_notify(STREAM, lambda _, data: seen.append(bytes(data)))
        for number in range(20_000):
            strap.send(strap.stream, number.to_bytes(4, "big") * 50)
        await until(lambda: len(seen) == 20_000, 60)
        assert seen == [number.to_bytes(4, "big") * 50 for number in range(20_000)]
    assert bluez.objects.lost == 0


async def test_a_value_longer_than_the_mtu_is_cut(bluez: TwinDaemon) -> None:
    bluez.place(strap := Strap())
    seen: list[bytes] = []
    async with BleakClient(await find()) as client:
        assert client.services.get_characteristic(STREAM).max_write_without_response_size == 244
        await client.start_notify(STREAM, lambda _, data: seen.append(bytes(data)))
        strap.send(strap.stream, bytes(400))
        await until(lambda: seen)
    assert seen == [bytes(244)]


async def test_what_the_flags_do_not_allow_is_refused(bluez: TwinDaemon) -> None:
    bluez.place(Strap())
    async with BleakClient(await find()) as client:
        with failing(BleakGATTProtocolError, code=0x02):
            await client.read_gatt_char(STREAM)
        with failing(BleakGATTProtocolError, code=0x06):
            await client.write_gatt_char(SITE, b"\0", response=True)


async def test_advertisements_come_one_for_one(bluez: TwinDaemon) -> None:
    air = bluez.place(Strap(), by_hand=True)
    seen: list[bytes] = []
    async with BleakScanner(lambda device, data: seen.append(data.manufacturer_data.get(0x499, b""))):
        for number in range(50):
            air.advertise(ReceivedAdvert(ADDRESS, "Strap", -50, {}, {0x499: bytes([number])}))
        await until(lambda: len(seen) == 50)
    assert seen == [bytes([number]) for number in range(50)]


async def test_nothing_is_heard_without_discovery_and_the_strength_goes_with_it(bluez: TwinDaemon) -> None:
    air = bluez.place(Strap(), by_hand=True)
    air.advertise()
    assert bluez.adapter.devices == {}
    async with BleakScanner():
        air.advertise()
        device = bluez.adapter.devices[ADDRESS]
        assert bluez.objects.value(device.path, "org.bluez.Device1", "RSSI") == -60
    assert bluez.objects.value(device.path, "org.bluez.Device1", "RSSI") is None


async def test_a_lost_link_is_told_and_the_objects_stay(bluez: TwinDaemon) -> None:
    air = bluez.place(Strap())
    gone = asyncio.Event()
    client = BleakClient(await find(), disconnected_callback=lambda _: gone.set())
    await client.connect()
    objects = len(bluez.objects.tree)
    air.drop()
    await asyncio.wait_for(gone.wait(), 5)
    assert not client.is_connected
    assert len(bluez.objects.tree) == objects
    await client.disconnect()


async def test_a_client_that_did_not_disconnect_is_subscribed_again(bluez: TwinDaemon) -> None:
    """The real daemon subscribes the dead client again: why disconnect() belongs to every lost link."""
    air = bluez.place(strap := Strap())
    old = BleakClient(await find())
    await old.connect()
    await old.start_notify(STREAM, lambda *_: None)
    air.drop()
    async with BleakClient(await find()):
        assert strap.stream.subscribed
    await old.disconnect()
    async with BleakClient(await find()):
        assert not strap.stream.subscribed


async def test_battery_of_the_daemon(bluez: TwinDaemon) -> None:
    bluez.place(strap := Strap())
    async with BleakClient(await find()):
        path = bluez.adapter.devices[ADDRESS].path
        await until(lambda: bluez.objects.value(path, "org.bluez.Battery1", "Percentage") == 0x58)
        strap.send(strap.level, b"\x40")
        assert bluez.objects.value(path, "org.bluez.Battery1", "Percentage") == 0x40
    assert "org.bluez.Battery1" not in bluez.objects.tree[path]
