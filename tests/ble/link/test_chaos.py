"""Everything goes wrong at random for a while; then every device is back, and nothing was left behind."""

from __future__ import annotations

import asyncio
import random

from gatepost.drivers.ble.peripheral import GattError
from gatepost.drivers.ble.twin.daemon import DaemonTiming, TwinDaemon
from gatepost.drivers.ble.twin.hosted_peripheral import HostedPeripheral
from gatepost.drivers.ble.twin.private_bus import PrivateBus
from gatepost.drivers.link import LinkFailed
from tests.ble.link.rig import QUICK, Rig, Strap, read, subscribe
from tests.support.waiting import until

DEVICES, SLOTS = 8, 5
FAULTS = ("drop", "vanish", "refuse", "busy", "bond", "restart", "kill", "power", "unplug", "hang", "forget", "stick")


async def play(fault: str, bluez: TwinDaemon, air: HostedPeripheral, dice: random.Random) -> None:
    adapter = next(iter(bluez.adapters.values()))
    match fault:
        case "drop":
            air.drop()
        case "vanish":
            air.vanish()
        case "refuse":
            air.refusals.append(dice.choice(["le-connection-abort-by-local", "br-connection-canceled", "I/O error"]))
        case "busy":
            air.busy = dice.randrange(4)
        case "bond":
            air.lose_bond()
        case "restart" | "kill":
            await bluez.restart(killed=fault == "kill")
        case "power":
            await adapter.power(False)
            await asyncio.sleep(dice.random() * 0.1)
            await adapter.power(True)
        case "unplug":
            bluez.unplug(adapter.name)
            await asyncio.sleep(dice.random() * 0.1)
            bluez.plug(adapter)
        case "hang":
            bluez.hang()
            await asyncio.sleep(dice.random() * 0.3)
            bluez.resume()
        case "forget":
            if air.address in adapter.devices:
                adapter.forget(adapter.devices[air.address])
        case "stick":
            air.stick(0x2A38)


async def serve(number: int, rig: Rig, strap: Strap, good: list[int], ending: asyncio.Event) -> None:
    """As a runner does: open, speak, close, again."""
    link, events = rig.link(strap.address)
    while not ending.is_set():
        before = len(events.values)
        try:
            await link.open(1.0)
            await subscribe(link)
            await read(link, timeout=0.5)
            strap.send(strap.stream, b"beat")
            await until(lambda before=before: len(events.values) > before, 0.5)
            good[number] += 1
        except (LinkFailed, GattError, TimeoutError, AssertionError):
            await asyncio.sleep(0.02)
        await link.close(0.5)


async def test_after_all_faults_every_device_is_back_and_nothing_is_left_behind(bus: PrivateBus) -> None:
    dice = random.Random(11)
    rig = Rig(QUICK._replace(stuck=1000))
    async with TwinDaemon(bus.address, timing=DaemonTiming(connect=0.02, resolve=0.02, disconnect=0.05)) as bluez:
        bluez.adapter.slots = SLOTS
        straps = [Strap(f"C0:FF:EE:00:00:{number:02X}", encrypted=number % 3 == 0) for number in range(DEVICES)]
        airs = [bluez.place(strap) for strap in straps]
        good, ending = [0] * DEVICES, asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for number, strap in enumerate(straps):
                group.create_task(serve(number, rig, strap, good, ending))
            for fault in dice.sample(FAULTS * 3, len(FAULTS) * 3):
                await play(fault, bluez, dice.choice(airs), dice)
                await asyncio.sleep(dice.random() * 0.1)
            for air in airs:
                air.appear()
                air.refusals.clear()
                air.busy = 0
                air.stuck.clear()
            before = list(good)
            await until(lambda: all(now >= then + 2 for now, then in zip(good, before, strict=True)), 30.0)
            ending.set()
        radio = rig.ble.radio()
        adapter = radio.known("hci0")
        await until(lambda: not adapter.claims and not any(strap.connected for strap in straps))
        assert not adapter.turn.locked()
        assert not radio.pairing.devices
        assert adapter.slots.used == 0
        await rig.close()
        mine = [task.get_name() for task in asyncio.all_tasks() if "drivers/ble/twin" not in repr(task)]
        assert [name for name in mine if name.startswith(("connect", "scan", "leave", "disconnect", "forget"))] == []
