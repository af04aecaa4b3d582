"""Unmodified bleak against the emulated daemon: scan, connect, services, read, write, notify, indicate."""

from __future__ import annotations

import asyncio

import pytest
from bleak import BleakClient, BleakScanner
from bleak.exc import BleakDBusError, BleakError, BleakGATTProtocolError

from drivers.ble.peripheral import Advert, GattError
from drivers.ble.twin.daemon import Daemon
from drivers.ble.twin.peripheral import TwinCharacteristic, TwinPeripheral, TwinService
from drivers.ble.uuids import uuid
from tests.ble.conftest import until

ADDRESS = "C0:FF:EE:00:00:01"
SERVICE, VALUE, STREAM, POINT = (uuid(number) for number in (0x180D, 0x2A38, 0x2A37, 0x2A39))


class Strap(TwinPeripheral):
    interval = 0.0
    advert_interval = 0.02

    def __init__(self, address: str = ADDRESS, encrypted: bool = False) -> None:
        self.heard: list[bytes] = []
        self.stream = TwinCharacteristic(0x2A37, "notify")
        self.point = TwinCharacteristic(0x2A39, "write indicate", on_write=self._told, encrypted=encrypted)
        self.site = TwinCharacteristic(0x2A38, "read", b"\x01", encrypted=encrypted)
        heart = TwinService(0x180D, [self.stream, self.site, self.point])
        battery = TwinService(0x180F, [TwinCharacteristic(0x2A19, "read notify", b"\x58")])
        super().__init__("Strap", address, [heart, battery])

    def _told(self, data: bytes) -> None:
        if data == b"\xff":
            raise GattError("no", 0x80)
        self.heard.append(data)
        self.send(self.point, b"ok" + data)


async def test_scan_connect_read_write_notify_indicate(bluez: Daemon) -> None:
    air = bluez.place(strap := Strap())
    device = await BleakScanner.find_device_by_address(ADDRESS, timeout=5)
    assert device is not None
    assert device.name == "Strap"
    notified: list[bytes] = []
    indicated: list[bytes] = []
    async with BleakClient(device) as client:
        assert {SERVICE, uuid(0x180F)} == {service.uuid for service in client.services}
        assert client.services.get_characteristic(STREAM).properties == ["notify"]
        assert await client.read_gatt_char(VALUE) == b"\x01"
        await client.start_notify(STREAM, lambda _, data: notified.append(bytes(data)))
        await client.start_notify(POINT, lambda _, data: indicated.append(bytes(data)))
        for number in range(500):
            strap.send(strap.stream, bytes((0, number % 256)))
        await client.write_gatt_char(POINT, b"\x01", response=True)
        await until(lambda: len(notified) == 500 and indicated)
        assert notified == [bytes((0, number % 256)) for number in range(500)]
        assert indicated == [b"ok\x01"]
        with pytest.raises(BleakGATTProtocolError) as refused:
            await client.write_gatt_char(POINT, b"\xff", response=True)
        assert refused.value.code == 0x80
        await client.stop_notify(STREAM)
        assert strap.send(strap.stream, b"\0\0") is False
    assert strap.heard == [b"\x01"]
    assert not strap.connected
    assert (air.connects, air.disconnects, list(air.reads)) == (1, 1, [VALUE])
    assert list(air.writes) == [(POINT, b"\x01"), (POINT, b"\xff")]
    assert bluez.objects.lost == 0


async def test_advertisements_come_one_for_one(bluez: Daemon) -> None:
    class Beacon(Strap):
        advert_interval = 0.0

    air = bluez.place(Beacon())
    seen: list[bytes] = []
    async with BleakScanner(lambda device, data: seen.append(data.manufacturer_data.get(0x499, b""))):
        for number in range(50):
            air.advertise(Advert(ADDRESS, "Strap", -50, {}, {0x499: bytes([number])}))
        await until(lambda: len(seen) == 50)
    assert seen == [bytes([number]) for number in range(50)]


async def test_a_lost_link_is_told_and_the_objects_stay(bluez: Daemon) -> None:
    air = bluez.place(Strap())
    device = await BleakScanner.find_device_by_address(ADDRESS, timeout=5)
    gone = asyncio.Event()
    client = BleakClient(device, disconnected_callback=lambda _: gone.set())
    await client.connect()
    objects = len(bluez.objects.tree)
    air.drop()
    await asyncio.wait_for(gone.wait(), 5)
    assert not client.is_connected
    assert len(bluez.objects.tree) == objects
    await client.disconnect()


@pytest.mark.parametrize("agent", [True, False])
async def test_pair(bluez: Daemon, bus, agent: bool) -> None:
    bluez.place(strap := Strap(encrypted=True))
    device = await BleakScanner.find_device_by_address(ADDRESS, timeout=5)
    async with BleakClient(device) as client:
        if not agent:
            with pytest.raises(BleakDBusError, match="AuthenticationFailed"):
                await client.pair()
            assert not strap.bonded
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.read_gatt_char(VALUE), 0.2)
            return
        owner = await registered_agent(bus.address)
        await client.pair()
        assert strap.bonded
        assert await client.read_gatt_char(VALUE) == b"\x01"
        owner.disconnect()
        await owner.wait_for_disconnect()


async def registered_agent(address: str, capability: str = "NoInputNoOutput"):
    from dbus_fast import Message
    from dbus_fast.aio import MessageBus

    bus = await MessageBus(bus_address=address).connect()
    for member, signature, body in (
        ("RegisterAgent", "os", ["/agent", capability]),
        ("RequestDefaultAgent", "o", ["/agent"]),
    ):
        reply = await bus.call(
            Message("org.bluez", "/org/bluez", "org.bluez.AgentManager1", member, signature=signature, body=body)
        )
        assert reply.error_name is None
    return bus


async def test_a_lost_bond_connects_and_falls(bluez: Daemon, bus) -> None:
    air = bluez.place(Strap(encrypted=True))
    device = await BleakScanner.find_device_by_address(ADDRESS, timeout=5)
    owner = await registered_agent(bus.address)
    async with BleakClient(device) as client:
        await client.pair()
    air.lose_bond()
    device = await BleakScanner.find_device_by_address(ADDRESS, timeout=5)
    with pytest.raises(BleakError, match="disconnected"):
        await BleakClient(device).connect()
    await BleakClient(device).unpair()
    device = await BleakScanner.find_device_by_address(ADDRESS, timeout=5)
    async with BleakClient(device) as client:
        await client.pair()
        assert await client.read_gatt_char(VALUE) == b"\x01"
    assert air.pairings == 2
    owner.disconnect()
    await owner.wait_for_disconnect()
