"""Bonding over the emulated bus: Just Works, passkeys, refusals, and bonds that the peripheral lost."""

from __future__ import annotations

import asyncio

import pytest

from gatepost.drivers.ble.peripheral import GattError
from gatepost.drivers.ble.twin.daemon import TwinDaemon
from gatepost.drivers.link import LinkFailed, Reason
from tests.ble.link.rig import LONG, SITE, STREAM, Kind, Rig, Strap, read, reason, subscribe
from tests.support.failing import failing
from tests.support.waiting import until

ADDRESS = "C0:FF:EE:00:00:01"
LIMIT = 5.0


async def test_an_encrypted_read_bonds_by_itself_with_the_agent(bluez: TwinDaemon, rig: Rig) -> None:
    air = bluez.place(strap := Strap(encrypted=True))
    link, _ = await rig.opened(ADDRESS)
    assert await read(link) == LONG
    assert strap.bonded
    assert air.pairings == 1
    await subscribe(link)


async def test_a_refused_read_bonds_and_is_made_again(bluez: TwinDaemon, rig: Rig) -> None:
    air = bluez.place(strap := Strap(encrypted=True))
    air.unpaired = "refuse"
    link, _ = await rig.opened(ADDRESS)
    assert not strap.bonded
    assert await read(link) == LONG
    assert strap.bonded
    assert link.counters()["refused"] == 1
    assert link.statistics()["bonds"] == 1


async def test_a_refused_subscription_bonds_and_is_made_again(bluez: TwinDaemon, rig: Rig) -> None:
    air = bluez.place(strap := Strap(encrypted=True))
    air.unpaired = "refuse"
    link, events = await rig.opened(ADDRESS)
    await subscribe(link, STREAM)
    strap.send(strap.stream, b"1")
    await until(lambda: events.octets == [b"1"])


async def test_always_bonds_before_anything_is_asked(bluez: TwinDaemon, rig: Rig) -> None:
    air = bluez.place(strap := Strap(encrypted=True))
    link, _ = await rig.opened(ADDRESS, Kind(pair="always"))
    assert strap.bonded
    assert not air.reads
    await link.close(1.0)
    await link.open(LIMIT)
    assert air.pairings == 1
    assert await read(link) == LONG


async def test_a_passkey_is_typed(bluez: TwinDaemon, rig: Rig) -> None:
    air = bluez.place(strap := Strap(encrypted=True))
    strap.pairing, strap.passkey = "passkey", 12345
    link, _ = await rig.opened(ADDRESS, Kind(passkey="012345"))
    assert bluez.agents.asked == ["RequestPasskey"]
    assert await read(link) == LONG
    assert air.pairings == 1


async def test_a_wrong_passkey_says_so(bluez: TwinDaemon, rig: Rig) -> None:
    bluez.place(strap := Strap(encrypted=True))
    strap.pairing, strap.passkey = "passkey", 12345
    link, _ = rig.link(ADDRESS, Kind(passkey="000001"))
    with failing(LinkFailed, reason=Reason.PAIRING) as failed:
        await link.open(LIMIT)
    assert "passkey" in failed.value.hint
    assert "000001" not in failed.value.message
    await until(lambda: not strap.connected)


async def test_a_device_with_a_passkey_that_the_settings_do_not_have(bluez: TwinDaemon, rig: Rig) -> None:
    bluez.place(strap := Strap(encrypted=True))
    strap.pairing, strap.passkey = "passkey", 12345
    link, _ = await rig.opened(ADDRESS)
    with failing(LinkFailed, reason=Reason.PAIRING):
        await read(link)
    assert "RequestPasskey" not in bluez.agents.asked


async def test_never_leaves_a_refusal_as_it_is(bluez: TwinDaemon, rig: Rig) -> None:
    air = bluez.place(strap := Strap(encrypted=True))
    air.unpaired = "refuse"
    link, _ = await rig.opened(ADDRESS, Kind(pair="never"))
    with failing(GattError, code=0x05):
        await read(link)
    assert not strap.bonded


async def test_never_and_an_encrypted_read_that_hangs_costs_its_limit(bluez: TwinDaemon, rig: Rig) -> None:
    bluez.place(strap := Strap(encrypted=True))
    link, _ = await rig.opened(ADDRESS, Kind(pair="never"))
    with pytest.raises(TimeoutError):
        await read(link, timeout=0.1)
    assert not strap.bonded


async def test_a_device_that_wants_no_bond_keeps_its_refusal(bluez: TwinDaemon, rig: Rig) -> None:
    bluez.place(strap := Strap(encrypted=True))
    strap.pairing = "none"
    link, _ = await rig.opened(ADDRESS)
    with failing(LinkFailed, reason=Reason.PAIRING):
        await read(link)


async def test_a_driver_may_bond_by_itself(bluez: TwinDaemon, rig: Rig) -> None:
    air = bluez.place(strap := Strap())
    link, _ = await rig.opened(ADDRESS)
    assert link.peripheral is not None
    await link.peripheral.pair(1.0)
    assert strap.bonded
    await link.peripheral.pair(1.0)
    assert air.pairings == 1


async def test_a_bond_that_the_peripheral_lost_is_made_anew(bluez: TwinDaemon, rig: Rig) -> None:
    air = bluez.place(strap := Strap(encrypted=True))
    link, _ = await rig.opened(ADDRESS)
    await read(link)
    air.lose_bond()
    await link.close(1.0)
    await asyncio.wait_for(link.open(LIMIT), LIMIT)
    assert strap.bonded
    assert air.pairings == 2
    assert link.counters()["forgotten"] == 1
    assert await read(link) == LONG


async def test_a_storm_of_connections_that_end_at_once_shows_a_lost_bond(bluez: TwinDaemon, rig: Rig) -> None:
    air = bluez.place(strap := Strap(encrypted=True))
    link, events = await rig.opened(ADDRESS)
    await read(link)
    await link.close(1.0)
    strap.bonded = False
    air.always = "le-connection-abort-by-local"  # bleak tries again by itself, for as long as it may
    opening = asyncio.create_task(link.open(LIMIT))
    await until(lambda: link.counters().get("forgotten"))
    assert "timeout" not in events.keys
    air.always = None
    await asyncio.wait_for(opening, LIMIT)
    assert await read(link) == LONG
    assert air.pairings == 2


async def test_a_bond_that_the_peripheral_lost_and_a_read_that_it_refuses(bluez: TwinDaemon, rig: Rig) -> None:
    air = bluez.place(strap := Strap(encrypted=True))
    link, _ = await rig.opened(ADDRESS)
    await read(link)
    assert air.device is not None
    assert air.device.link is not None
    air.device.link.encrypted = False  # the daemon believes in the bond, the peripheral does not
    air.unpaired = "refuse"
    with failing(LinkFailed, reason=Reason.BOND_LOST):
        await read(link)
    strap.bonded = False
    await link.close(1.0)
    await asyncio.wait_for(link.open(LIMIT), LIMIT)
    assert air.pairings == 2
    assert await read(link, SITE) == LONG


async def test_bonds_survive_the_daemon_and_the_agent_is_there_again(bluez: TwinDaemon, rig: Rig) -> None:
    air = bluez.place(Strap(encrypted=True))
    other = Strap("C0:FF:EE:00:00:02", encrypted=True)
    link, events = await rig.opened(ADDRESS)
    await read(link)
    await bluez.restart()
    await until(lambda: events.losses)
    await link.close(1.0)
    await link.open(LIMIT)
    await read(link)
    assert air.pairings == 1
    bluez.place(other)
    second, _ = rig.link(other.address)
    await second.open(LIMIT)
    await read(second)
    assert other.bonded


async def test_the_agent_speaks_for_devices_of_the_settings_only(bluez: TwinDaemon, rig: Rig) -> None:
    from dbus_fast import BusType, Message, MessageType
    from dbus_fast.aio import MessageBus

    bluez.place(Strap())
    await rig.opened(ADDRESS)
    agent = bluez.agents.of("")
    assert agent is not None

    async def ask(device: str) -> MessageType:
        ways = (agent.owner, agent.path, "org.bluez.Agent1", "RequestAuthorization", "o", [device])
        return (await bluez.objects.call(*ways)).message_type

    assert await ask("/org/bluez/hci0/dev_C0_FF_EE_00_00_01") is MessageType.METHOD_RETURN
    assert await ask("/org/bluez/hci0/dev_C0_FF_EE_00_00_99") is MessageType.ERROR
    # Nobody but bluetoothd is answered.
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    body = ["/org/bluez/hci0/dev_C0_FF_EE_00_00_01"]
    message = Message(agent.owner, agent.path, "org.bluez.Agent1", "RequestAuthorization", signature="o", body=body)
    assert (await bus.call(message)).message_type is MessageType.ERROR
    bus.disconnect()
    await bus.wait_for_disconnect()


async def test_a_device_that_hangs_up_for_want_of_a_passkey_says_so_until_it_is_mended(
    bluez: TwinDaemon, rig: Rig
) -> None:
    bluez.place(strap := Strap(encrypted=True))
    strap.pairing, strap.passkey = "passkey", 12345
    link, events = await rig.opened(ADDRESS)
    with pytest.raises(LinkFailed) as failed:
        await read(link)
    assert "wants a passkey" in failed.value.message
    assert "`passkey`" in failed.value.hint
    strap.hang_up()
    await until(lambda: events.losses)
    assert reason(events.losses[0]) == "pairing"
    await link.close(1.0)
    await bluez.take_away(bluez.hosted[ADDRESS])
    events.waits.clear()
    opening = asyncio.create_task(link.open(LIMIT))
    await until(lambda: events.waits)
    assert events.keys == ["pairing"]
    opening.cancel()
    await asyncio.wait((opening,))


async def test_a_device_that_needs_a_bond_which_the_settings_forbid_says_so(bluez: TwinDaemon, rig: Rig) -> None:
    air = bluez.place(Strap(encrypted=True))
    air.unpaired = "refuse"
    link, events = await rig.opened(ADDRESS, Kind(pair="never"))
    with pytest.raises(GattError):
        await read(link)
    await link.close(1.0)
    events.waits.clear()
    await bluez.take_away(air)
    opening = asyncio.create_task(link.open(LIMIT))
    await until(lambda: events.waits)
    key, message, hint = events.waits[0]
    assert (key, "pair: never" in message, "pair: auto" in hint) == ("pairing", True, True)
    opening.cancel()
    await asyncio.wait((opening,))
