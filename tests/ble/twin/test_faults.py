"""Every fault that the emulated daemon can play, seen through unmodified bleak."""

from __future__ import annotations

import asyncio

import pytest
from bleak import BleakClient, BleakScanner
from bleak.backends.bluezdbus.adapter import BleakAdapterBlueZDBus
from bleak.exc import BleakDBusError, BleakDeviceNotFoundError, BleakError, BleakGATTProtocolError

from gatepost.drivers.ble.twin.daemon import TwinDaemon
from gatepost.drivers.ble.twin.daemon_state import DaemonTiming
from gatepost.drivers.ble.twin.private_bus import PrivateBus
from gatepost.drivers.ble.uuids import uuid
from tests.ble.twin.strap import ADDRESS, SITE, STREAM, Strap, find
from tests.support.failing import failing
from tests.support.waiting import until


async def test_a_vanished_peripheral_never_answers_and_the_attempt_can_be_cancelled(bluez: TwinDaemon) -> None:
    air = bluez.place(Strap())
    device = await find()
    air.vanish()
    with pytest.raises(TimeoutError):
        await BleakClient(device).connect(timeout=0.1)
    assert (air.attempts, air.connects) == (1, 0)
    air.appear()
    async with BleakClient(device):
        assert air.connects == 1


async def test_refused_connections(bluez: TwinDaemon) -> None:
    air = bluez.place(Strap())
    device = await find()
    air.refusals.append("le-connection-timeout")
    with pytest.raises(BleakDBusError, match="le-connection-timeout"):
        await BleakClient(device).connect()
    air.refusals.append("le-connection-abort-by-local")  # bleak tries again by itself
    async with BleakClient(device):
        assert (air.attempts, air.connects) == (3, 1)
    air.always = "le-connection-refused"
    for _ in range(2):
        with pytest.raises(BleakDBusError, match="le-connection-refused"):
            await BleakClient(device).connect()


async def test_in_progress(bluez: TwinDaemon) -> None:
    air = bluez.place(Strap())
    device = await find()
    air.busy = 1
    with pytest.raises(BleakDBusError, match="InProgress"):
        await BleakClient(device).connect()
    async with BleakClient(device):
        assert air.connects == 1


async def test_two_attempts_at_once(bluez: TwinDaemon) -> None:
    air = bluez.place(Strap())
    device = await find()
    air.vanish()
    first = asyncio.create_task(BleakClient(device).connect(timeout=0.3))
    await until(lambda: air.attempts == 1)
    with pytest.raises(BleakDBusError, match="InProgress"):
        await BleakClient(device).connect(timeout=0.3)
    with pytest.raises((TimeoutError, BleakDBusError)):
        await first


async def test_a_stuck_read_ends_with_the_link(bluez: TwinDaemon) -> None:
    air = bluez.place(Strap())
    air.stick(SITE)
    async with BleakClient(await find()) as client:
        reading = asyncio.create_task(client.read_gatt_char(SITE))
        await asyncio.wait({reading}, timeout=0.05)
        assert not reading.done()
        air.drop()
        with pytest.raises(BleakError):
            await reading


@pytest.mark.parametrize("killed", [True, False])
async def test_a_restart_ends_discovery_and_makes_all_objects_anew(bluez: TwinDaemon, killed: bool) -> None:
    bluez.place(Strap())
    seen: list[str] = []
    scanner = BleakScanner(lambda device, data: seen.append(device.address))
    await scanner.start()
    await until(lambda: seen)
    await bluez.restart(killed=killed)
    assert bluez.adapter.devices == {}
    with pytest.raises(BleakDBusError, match="No discovery started"):
        await scanner.stop()
    assert (await find()).address == ADDRESS


async def test_a_killed_daemon_tells_nobody(bluez: TwinDaemon) -> None:
    bluez.place(Strap())
    gone = asyncio.Event()
    client = BleakClient(await find(), disconnected_callback=lambda _: gone.set())
    await client.connect()
    await bluez.kill()
    await asyncio.wait({asyncio.create_task(gone.wait())}, timeout=0.1)
    assert client.is_connected
    assert not gone.is_set()
    with pytest.raises(BleakDBusError, match="ServiceUnknown"):
        await client.disconnect()
    await bluez.start()
    async with BleakClient(await find()) as client:
        assert await client.read_gatt_char(SITE) == b"\x01"


async def test_a_daemon_that_ends_in_order_closes_links(bluez: TwinDaemon) -> None:
    bluez.place(Strap())
    gone = asyncio.Event()
    client = BleakClient(await find(), disconnected_callback=lambda _: gone.set())
    await client.connect()
    await bluez.stop()
    await asyncio.wait_for(gone.wait(), 5)
    await client.disconnect()


async def test_a_daemon_that_hangs(bluez: TwinDaemon) -> None:
    bluez.place(Strap())
    async with BleakClient(await find()) as client:
        bluez.hang()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.read_gatt_char(SITE), 0.1)
        bluez.resume()
        assert await client.read_gatt_char(SITE) == b"\x01"


async def test_bonds_outlive_the_daemon(bluez: TwinDaemon) -> None:
    bluez.adapter.bonds[ADDRESS] = "Strap"
    await bluez.restart()
    assert list(bluez.adapter.devices) == [ADDRESS]
    path = bluez.adapter.devices[ADDRESS].path
    assert bluez.objects.value(path, "org.bluez.Device1", "Paired") is True


async def test_power(bluez: TwinDaemon) -> None:
    bluez.place(Strap())
    gone = asyncio.Event()
    client = BleakClient(await find(), disconnected_callback=lambda _: gone.set())
    await client.connect()
    await bluez.adapter.power(False)
    await asyncio.wait_for(gone.wait(), 5)
    await client.disconnect()
    with pytest.raises(BleakDBusError, match="NotReady"):
        await BleakScanner(bluez={"adapter": "hci0"}).start()
    await bluez.adapter.power(True)
    assert (await find()).address == ADDRESS


async def test_a_deaf_adapter_is_cured_by_its_power(bluez: TwinDaemon) -> None:
    bluez.place(Strap())
    bluez.adapter.not_receiving = True
    assert await BleakScanner.find_device_by_address(ADDRESS, timeout=0.2) is None
    await bluez.adapter.power(False)
    await bluez.adapter.power(True)
    assert (await find()).address == ADDRESS


async def test_an_adapter_is_unplugged_and_comes_back(bluez: TwinDaemon) -> None:
    bluez.place(Strap())
    client = BleakClient(await find())
    await client.connect()
    adapter = bluez.unplug("hci0")
    await until(lambda: not client.is_connected)
    await client.disconnect()
    with pytest.raises(BleakError):
        await BleakScanner().start()
    bluez.plug(adapter)
    assert (await find()).address == ADDRESS


async def test_several_adapters(bus: PrivateBus) -> None:
    async with TwinDaemon(bus.address, adapters=("hci0", "hci1")) as bluez:
        air = bluez.place(Strap())
        device = await BleakScanner.find_device_by_address(ADDRESS, timeout=5, bluez={"adapter": "hci1"})
        assert device is not None
        assert device.details["path"].startswith("/org/bluez/hci1/")
        async with BleakClient(device):
            assert air.device is bluez.adapters["hci1"].devices[ADDRESS]
            assert bluez.adapters["hci0"].devices == {}


async def test_slots(bluez: TwinDaemon) -> None:
    bluez.adapter.slots = 1
    for number in range(2):
        bluez.place(Strap(f"C0:FF:EE:00:00:0{number}"))
    one, two = [await find(f"C0:FF:EE:00:00:0{number}") for number in range(2)]
    async with BleakClient(one):
        with pytest.raises(TimeoutError):
            await BleakClient(two).connect(timeout=0.1)
        waiting = asyncio.create_task(BleakClient(two).connect(timeout=5))
        await asyncio.wait({waiting}, timeout=0.05)
        assert not waiting.done()
    await waiting


async def test_a_stale_link_hides_the_peripheral_until_it_is_closed(bluez: TwinDaemon) -> None:
    air = bluez.place(strap := Strap())
    bluez.connect_stale(air)
    path = bluez.adapter.devices[ADDRESS].path
    await until(lambda: bluez.objects.value(path, "org.bluez.Device1", "ServicesResolved"))
    assert await BleakScanner.find_device_by_address(ADDRESS, timeout=0.1) is None
    adapter = await BleakAdapterBlueZDBus.get()
    (device,) = await adapter.get_connected_devices(frozenset({uuid(0x180D)}))
    assert strap.connected
    client = BleakClient(device)
    await client.connect()  # adopted: nothing is connected anew
    assert await client.read_gatt_char(SITE) == b"\x01"
    await client.disconnect()
    assert air.connects == 1
    assert (await find()).address == ADDRESS


async def test_a_sleeper_shows_itself_for_a_while(bluez: TwinDaemon) -> None:
    strap = Strap()
    strap.sleeps = True
    air = bluez.place(strap)
    assert await BleakScanner.find_device_by_address(ADDRESS, timeout=0.1) is None
    air.wake(1.0)
    device = await find()
    await until(lambda: not strap.shown)
    waiting = asyncio.create_task(BleakClient(device).connect(timeout=5))
    await until(lambda: air.attempts == 1)
    assert air.connects == 0
    air.wake(1.0)
    await waiting


async def test_a_peripheral_hangs_up(bluez: TwinDaemon) -> None:
    air = bluez.place(strap := Strap())
    client = BleakClient(await find())
    await client.connect()
    strap.hang_up()
    await until(lambda: not client.is_connected)
    assert (strap.connected, air.disconnects) == (False, 1)
    strap.hang_up()
    assert air.disconnects == 1
    await client.disconnect()


async def test_a_device_that_is_not_heard_is_forgotten(bus: PrivateBus) -> None:
    async with TwinDaemon(bus.address, timing=DaemonTiming(forget=0.05)) as bluez:
        air = bluez.place(Strap())
        device = await find()
        air.vanish()
        await until(lambda: bluez.adapter.devices == {})
        with pytest.raises((BleakDeviceNotFoundError, BleakError)):
            await BleakClient(device).connect()


async def test_removed_in_the_middle(bluez: TwinDaemon) -> None:
    bluez.place(strap := Strap())
    client = BleakClient(await find())
    await client.connect()
    await client.start_notify(STREAM, lambda *_: None)
    bluez.adapter.forget(bluez.adapter.devices[ADDRESS])
    await until(lambda: not client.is_connected)
    assert not strap.connected
    assert [path for path in bluez.objects.tree if "dev_" in path] == [] or ADDRESS in bluez.adapter.devices
    await client.disconnect()


async def test_ten_peripherals_at_once(bluez: TwinDaemon) -> None:
    straps = [Strap(f"C0:FF:EE:00:01:{number:02X}") for number in range(10)]
    for strap in straps:
        bluez.place(strap)
    clients = [BleakClient(await find(strap.address)) for strap in straps]
    await asyncio.gather(*(client.connect() for client in clients))
    assert all(strap.connected for strap in straps)
    await asyncio.gather(*(client.disconnect() for client in clients))
    assert not any(strap.connected for strap in straps)


async def test_services_are_stale_until_the_device_is_removed(bluez: TwinDaemon) -> None:
    """A peripheral with another firmware: the daemon goes on with the services that it knows."""
    old = bluez.place(Strap())
    async with BleakClient(await find()):
        pass
    await bluez.take_away(old)
    bluez.place(Strap())
    async with BleakClient(await find()) as client:
        with failing(BleakGATTProtocolError, code=0x01):
            await client.read_gatt_char(SITE)
    await client.unpair()
    async with BleakClient(await find()) as client:
        assert await client.read_gatt_char(SITE) == b"\x01"
