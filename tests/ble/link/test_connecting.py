"""Connections that fail, hang, are there already, or are too many."""

from __future__ import annotations

import asyncio

import pytest

from gatepost.drivers.ble.link.gatt_link import GattLink
from gatepost.drivers.ble.twin.daemon import TwinDaemon
from gatepost.drivers.ble.twin.daemon_state import DaemonTiming
from gatepost.drivers.ble.twin.peripheral import TwinCharacteristic, TwinService
from gatepost.drivers.ble.twin.private_bus import PrivateBus
from tests.ble.link.rig import LONG, QUICK, SITE, Heard, Kind, Rig, Strap, read, reason, subscribe
from tests.support.waiting import until

ADDRESS = "C0:FF:EE:00:00:01"
LIMIT = 5.0


@pytest.mark.parametrize("refusal", ["le-connection-abort-by-local", "br-connection-canceled", "br-connection-busy"])
async def test_what_passes_by_itself_is_tried_again(bluez: TwinDaemon, rig: Rig, refusal: str) -> None:
    air = bluez.place(Strap())
    air.refusals.extend([refusal] * 2)
    link, events = rig.link(ADDRESS)
    await asyncio.wait_for(link.open(LIMIT), LIMIT)
    assert air.attempts >= 3
    assert set(events.keys) <= {"waiting", "radio", "timeout"}
    assert await read(link) == LONG


async def test_a_device_that_vanished_costs_the_limit_and_is_caught_when_it_is_back(
    bluez: TwinDaemon, rig: Rig
) -> None:
    air = bluez.place(Strap())
    link, events = rig.link(ADDRESS)
    reach = air.reach
    air.reach = asyncio.Event().wait  # type: ignore[method-assign,assignment]
    opening = asyncio.create_task(link.open(LIMIT))
    await until(lambda: "timeout" in events.keys)
    assert "nearer" in events.waits[-1][2]
    air.reach = reach  # type: ignore[method-assign]
    await asyncio.wait_for(opening, LIMIT)
    assert link.counters()["timeout"] >= 1


async def test_others_connect_after_one_that_vanished(bluez: TwinDaemon) -> None:
    rig = Rig(QUICK._replace(fresh=4.0, undo=2.0))  # an attempt takes 1 s: what was seen before it still counts
    gone = bluez.place(Strap())
    bluez.place(Strap("C0:FF:EE:00:00:02"))
    gone.reach = asyncio.Event().wait  # type: ignore[method-assign,assignment]
    first, _ = rig.link(ADDRESS)
    second, _ = rig.link("C0:FF:EE:00:00:02")
    waiting = asyncio.create_task(first.open(LIMIT))
    await until(lambda: gone.attempts)
    async with asyncio.timeout(4 * LIMIT):  # the attempt before takes its second, and what undoes it another two
        await second.open(LIMIT)
    waiting.cancel()
    await asyncio.wait((waiting,))


async def test_a_device_that_went_while_others_had_their_turn_is_not_tried(bus: PrivateBus) -> None:
    rig = Rig(QUICK._replace(fresh=0.05, reappear=0.1))
    async with TwinDaemon(bus.address) as bluez:
        air = bluez.place(Strap())
        link, _ = rig.link(ADDRESS)
        adapter = rig.ble.radio().known("hci0")
        async with adapter.turn:
            opening = asyncio.create_task(link.open(LIMIT))
            await until(lambda: adapter.slots.used)
            air.vanish()
            await asyncio.sleep(0.1)
        await until(lambda: not adapter.slots.used)  # it had its turn, and gave everything back
        assert air.attempts == 0
        air.appear()
        await asyncio.wait_for(opening, LIMIT)
        await rig.close()


async def test_a_vanished_peripheral_costs_no_more_than_the_limits_to_leave(bluez: TwinDaemon, rig: Rig) -> None:
    air = bluez.place(Strap())
    link, _ = await rig.opened(ADDRESS)
    air.vanish()
    air.stick(SITE)
    with pytest.raises(TimeoutError, match="2a38"):
        await read(link, timeout=0.1)
    await asyncio.wait_for(link.close(0.5), 1.0)
    air.appear()
    air.stuck.clear()
    await asyncio.wait_for(link.open(LIMIT), LIMIT)


async def test_a_connection_left_by_a_killed_process_is_adopted(bluez: TwinDaemon, rig: Rig) -> None:
    air = bluez.place(strap := Strap())
    bluez.connect_stale(air)
    link, events = rig.link(ADDRESS)
    await asyncio.wait_for(link.open(LIMIT), LIMIT)
    assert (air.attempts, air.connects) == (0, 1)
    await subscribe(link)
    strap.send(strap.stream, b"1")
    await until(lambda: events.octets == [b"1"])
    await link.close(1.0)
    await until(lambda: not strap.connected)


async def test_a_left_connection_that_cannot_be_adopted_is_closed(bus: PrivateBus, rig: Rig) -> None:
    async with TwinDaemon(bus.address) as bluez:
        air = bluez.place(Strap())
        timing = bluez.state.timing
        bluez.state.timing = DaemonTiming(resolve=60.0)
        bluez.connect_stale(air)
        await asyncio.sleep(0.02)
        bluez.state.timing = timing
        link, events = rig.link(ADDRESS)
        await asyncio.wait_for(link.open(LIMIT), LIMIT)
        assert "timeout" in events.keys
        assert air.connects == 2


async def test_an_attempt_that_is_still_pending_is_ended_and_then_the_device_forgotten(
    bluez: TwinDaemon, rig: Rig
) -> None:
    air = bluez.place(Strap())
    air.busy = 3
    removed: list[str] = []
    forget = bluez.adapter.forget

    def watched(device: object) -> None:
        removed.append(device.address)  # type: ignore[attr-defined]
        forget(device)  # type: ignore[arg-type]

    bluez.adapter.forget = watched  # type: ignore[method-assign]
    link, events = rig.link(ADDRESS)
    await asyncio.wait_for(link.open(LIMIT), LIMIT)
    assert "in-progress" in events.keys
    assert removed
    assert link.counters()["forgotten"] >= 1


async def test_the_device_left_the_bus_when_it_is_to_be_connected(bluez: TwinDaemon, rig: Rig) -> None:
    air = bluez.place(Strap())
    link, events = rig.link(ADDRESS)
    # Forgotten at the moment of the attempt, as when the scan stopped: UnknownObject.
    once = [True]
    adapter = bluez.adapter
    receive = adapter.receive

    def forgetful(advert: object, peripheral: object) -> None:
        receive(advert, peripheral)  # type: ignore[arg-type]
        if once and ADDRESS in adapter.devices:
            once.clear()
            asyncio.get_running_loop().call_soon(adapter.forget, adapter.devices[ADDRESS])

    adapter.receive = forgetful  # type: ignore[method-assign]
    await asyncio.wait_for(link.open(LIMIT), LIMIT)
    assert not once
    assert air.connects == 1
    assert set(events.keys) <= {"waiting", "gone"}


async def test_services_that_the_device_does_not_have_any_more_are_forgotten(bluez: TwinDaemon, rig: Rig) -> None:
    bluez.place(strap := Strap())
    link, _ = await rig.opened(ADDRESS)
    await link.close(1.0)
    # New firmware: another service. The daemon shows what it kept.
    added = TwinCharacteristic(0x2A6E, "read", b"\x10")
    strap.services = (*strap.services, TwinService(0x181A, [added]))
    strap.services[-1].handle, added.handle, added.service = 0x0100, 0x0101, strap.services[-1].uuid
    await link.open(LIMIT)
    assert link.peripheral is not None
    assert link.peripheral.find(added.uuid) is None
    await link.close(1.0)
    await asyncio.wait_for(link.open(LIMIT), LIMIT)
    assert link.peripheral is not None
    assert link.peripheral.find(added.uuid) is not None
    assert link.counters()["forgotten"] == 1


async def test_ten_peripherals_on_five_slots(bus: PrivateBus) -> None:
    rig = Rig(QUICK._replace(connect=3.0))
    async with TwinDaemon(bus.address) as bluez:
        bluez.adapter.slots = 5
        straps = [Strap(f"C0:FF:EE:00:00:{number:02X}") for number in range(10)]
        airs = [bluez.place(strap) for strap in straps]
        pairs = [rig.link(strap.address) for strap in straps]
        served: list[int] = []
        enough = asyncio.Event()

        async def serve(number: int) -> None:
            link, events = pairs[number]
            await link.open(LIMIT)
            await subscribe(link)
            straps[number].send(straps[number].stream, bytes([number]))
            await until(lambda: events.values)
            served.append(number)
            await enough.wait()
            await link.close(1.0)

        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            for number in range(10):
                group.create_task(serve(number))
            await until(lambda: len(served) == 5 and sum("waiting-for-slot" in events.keys for _, events in pairs) == 5)
            assert sum(strap.connected for strap in straps) == 5
            enough.set()
        assert sorted(served) == list(range(10))
        assert [events.octets for _, events in pairs] == [[bytes([number])] for number in range(10)]
        assert all(air.connects == 1 for air in airs)
        assert "timeout" not in {key for link, _ in pairs for key in link.counters()}
        await rig.close()


async def test_an_open_that_is_cancelled_leaves_nothing(bluez: TwinDaemon, rig: Rig) -> None:
    air = bluez.place(Strap())
    link, _ = rig.link(ADDRESS)
    for _ in range(12):  # more than slots
        opening = asyncio.create_task(link.open(LIMIT))
        await asyncio.sleep(0.03)
        opening.cancel()
        await asyncio.wait((opening,))
        await link.close(0.5)
    await asyncio.wait_for(link.open(LIMIT), LIMIT)
    await link.close(1.0)
    await until(lambda: air.device is None)


async def test_a_device_out_of_reach_does_not_hold_up_the_others(bus: PrivateBus) -> None:
    rig = Rig(QUICK._replace(connect=5.0, reach=0.2))
    async with TwinDaemon(bus.address) as bluez:
        far, cuff = Strap("C0:FF:EE:00:00:01"), Strap("C0:FF:EE:00:00:02")
        far.connectable = False  # it is heard, and never connects
        air, sleeper = bluez.place(far), bluez.place(cuff, by_hand=True)
        unreachable, _ = rig.link(far.address)
        opening = asyncio.create_task(unreachable.open(LIMIT))
        await until(lambda: air.attempts)
        missed, windows = 0, 6
        for _ in range(windows):
            link, _ = rig.link(cuff.address, Kind(streams=False))
            waking = asyncio.create_task(link.open(LIMIT))
            for _ in range(50):  # it shows itself for half a second
                sleeper.advertise()
                await asyncio.sleep(0.02)
                if waking.done():
                    break
            missed += not waking.done()
            waking.cancel()
            await asyncio.wait((waking,))
            await link.close(1.0)
            await until(lambda: not cuff.connected)
        assert missed == 0
        assert air.attempts > 1
        opening.cancel()
        await asyncio.wait((opening,))
        await rig.close()


async def test_a_device_out_of_reach_has_all_the_time_where_nobody_else_waits(bus: PrivateBus) -> None:
    rig = Rig(QUICK._replace(connect=2.0, reach=0.1))
    async with TwinDaemon(bus.address) as bluez:
        strap = Strap()
        strap.connectable = False
        air = bluez.place(strap)
        link, events = rig.link(strap.address)
        opening = asyncio.create_task(link.open(LIMIT))
        await until(lambda: air.attempts)
        await asyncio.sleep(0.5)
        strap.connectable = True
        air.appear()
        await asyncio.wait_for(opening, LIMIT)
        assert (air.attempts, events.keys) == (1, ["waiting"])
        await rig.close()


async def test_streaming_devices_take_turns_of_a_stated_time(bus: PrivateBus) -> None:
    rig = Rig(QUICK._replace(slots=1, share=0.3))
    async with TwinDaemon(bus.address) as bluez:
        straps = [Strap(f"C0:FF:EE:00:00:0{number}") for number in (1, 2)]
        airs = [bluez.place(strap) for strap in straps]
        links = [rig.link(strap.address) for strap in straps]

        async def serve(link: GattLink, events: Heard) -> None:
            while True:
                await link.open(LIMIT)
                await until(lambda: link.peripheral is None, 10.0)
                await link.close(1.0)

        tasks = [asyncio.create_task(serve(link, events)) for link, events in links]
        await until(lambda: all(air.connects >= 3 for air in airs), 15.0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for link, events in links:
            assert {reason(loss) for loss in events.losses} == {"waiting-for-slot"}
            assert any("turns of 0 s" in message for _, message, _ in events.waits)
            assert "timeout" not in link.counters()
        await rig.close()
