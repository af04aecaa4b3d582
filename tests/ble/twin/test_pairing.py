"""Pairing, encrypted characteristics and lost bonds, as the real daemon plays them."""

from __future__ import annotations

import asyncio

import pytest
from bleak import BleakClient
from bleak.exc import BleakDBusError, BleakError
from dbus_fast import Message

from gatepost.drivers.ble.twin.daemon import TwinDaemon
from gatepost.drivers.ble.twin.private_bus import PrivateBus
from tests.ble.twin.strap import ADDRESS, SITE, PairingAgent, Strap, find
from tests.support.waiting import until


async def test_without_an_agent_pairing_fails_and_an_encrypted_read_hangs(bluez: TwinDaemon) -> None:
    air = bluez.place(strap := Strap(encrypted=True))
    async with BleakClient(await find()) as client:
        with pytest.raises(BleakDBusError, match="AuthenticationFailed"):
            await client.pair()
        reading = asyncio.create_task(client.read_gatt_char(SITE))
        await asyncio.wait({reading}, timeout=0.1)
        assert not reading.done()
        air.drop()
        with pytest.raises(BleakError, match="Not connected"):
            await reading
    assert not strap.bonded


async def test_just_works(bluez: TwinDaemon, bus: PrivateBus) -> None:
    air = bluez.place(strap := Strap(encrypted=True))
    async with PairingAgent(bus.address), BleakClient(await find()) as client:
        await client.pair()
        assert strap.bonded
        assert await client.read_gatt_char(SITE) == b"\x01"
        reply = await client._backend._pair()
        assert reply.error_name == "org.bluez.Error.AlreadyExists"
    assert air.pairings == 1
    async with BleakClient(await find()) as client:  # bonded: the link is encrypted from its start
        assert await client.read_gatt_char(SITE) == b"\x01"
    assert air.pairings == 1


async def test_an_encrypted_read_pairs_by_itself_where_an_agent_lets_it(bluez: TwinDaemon, bus: PrivateBus) -> None:
    bluez.place(strap := Strap(encrypted=True))
    async with PairingAgent(bus.address) as agent, BleakClient(await find()) as client:
        assert await client.read_gatt_char(SITE) == b"\x01"
        assert agent.asked == ["RequestAuthorization"]
        assert strap.bonded


async def test_a_peripheral_may_refuse_instead(bluez: TwinDaemon) -> None:
    bluez.place(Strap(encrypted=True)).unpaired = "refuse"
    async with BleakClient(await find()) as client:
        with pytest.raises(BleakDBusError, match="NotPermitted") as refused:
            await client.read_gatt_char(SITE)
        assert refused.value.dbus_error_details == "Not paired"


@pytest.mark.parametrize(
    ("way", "capability", "answer", "asked", "bonded"),
    [
        ("passkey", "KeyboardDisplay", 123456, ["RequestPasskey"], True),
        ("passkey", "KeyboardOnly", 123457, ["RequestPasskey"], False),
        ("passkey", "NoInputNoOutput", None, [], False),
        ("pin", "KeyboardDisplay", "123456", ["RequestPinCode"], True),
        ("confirm", "DisplayYesNo", None, ["RequestConfirmation"], True),
        ("confirm", "NoInputNoOutput", None, [], False),
        ("none", "KeyboardDisplay", None, [], False),
    ],
)
async def test_ways_of_pairing(
    bluez: TwinDaemon,
    bus: PrivateBus,
    way: str,
    capability: str,
    answer: int | str | None,
    asked: list[str],
    bonded: bool,
) -> None:
    strap = Strap(encrypted=True)
    strap.pairing, strap.passkey = way, 123456
    bluez.place(strap)
    async with PairingAgent(bus.address, capability, answer) as agent, BleakClient(await find()) as client:
        if bonded:
            await client.pair()
        else:
            with pytest.raises(BleakDBusError, match="AuthenticationFailed"):
                await client.pair()
        assert agent.asked == asked
    assert strap.bonded is bonded


async def test_an_agent_that_rejects(bluez: TwinDaemon, bus: PrivateBus) -> None:
    strap = Strap()
    strap.pairing = "confirm"
    bluez.place(strap)
    async with PairingAgent(bus.address, "DisplayYesNo", reject=True), BleakClient(await find()) as client:
        with pytest.raises(BleakDBusError, match="AuthenticationRejected"):
            await client.pair()


async def test_pairing_connects(bluez: TwinDaemon, bus: PrivateBus) -> None:
    bluez.place(strap := Strap(encrypted=True))
    async with PairingAgent(bus.address), BleakClient(await find(), pair=True) as client:
        assert await client.read_gatt_char(SITE) == b"\x01"
    assert strap.bonded


async def test_a_lost_bond_connects_and_falls_until_it_is_unpaired(bluez: TwinDaemon, bus: PrivateBus) -> None:
    air = bluez.place(Strap(encrypted=True))
    async with PairingAgent(bus.address):
        async with BleakClient(await find()) as client:
            await client.pair()
        air.lose_bond()
        for _ in range(2):
            with pytest.raises(BleakError, match="disconnected"):
                await BleakClient(await find()).connect()
        await BleakClient(await find()).unpair()
        async with BleakClient(await find()) as client:
            await client.pair()
            assert await client.read_gatt_char(SITE) == b"\x01"
    assert air.pairings == 2


async def test_an_agent_leaves_with_its_client(bluez: TwinDaemon, bus: PrivateBus) -> None:
    async with PairingAgent(bus.address):
        assert bluez.agents.of("") is not None
    await until(lambda: bluez.agents.of("") is None)


@pytest.mark.parametrize("how", ["cancel", "drop"])
async def test_a_pairing_that_does_not_end_can_be_ended(bluez: TwinDaemon, bus: PrivateBus, how: str) -> None:
    strap = Strap()
    strap.pairing = "confirm"
    air = bluez.place(strap)
    async with PairingAgent(bus.address, "DisplayYesNo", "nothing") as agent, BleakClient(await find()) as client:
        pairing = asyncio.create_task(client.pair())
        await until(lambda: agent.asked)
        if how == "drop":
            air.drop()
        else:
            path, device = bluez.adapter.devices[ADDRESS].path, "org.bluez.Device1"
            cancel = Message("org.bluez", path, device, "CancelPairing")
            assert (await agent.bus.call(cancel)).error_name is None
            assert (await agent.bus.call(cancel)).error_name == "org.bluez.Error.DoesNotExist"
        with pytest.raises(BleakDBusError, match="AuthenticationCanceled"):
            await pairing
    assert not strap.bonded
