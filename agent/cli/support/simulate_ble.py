"""BLE devices of `gatepost simulate`: what to set, and a drop to paste."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from gatepost.agent.cli.support.output import say, say_as_is, say_line
from gatepost.agent.core.errors import GatepostError
from gatepost.drivers.driver import Driver

if TYPE_CHECKING:
    from gatepost.drivers.ble.twin.peripheral import TwinPeripheral
    from gatepost.drivers.ble.twin.private_bus import PrivateBus

VARIABLE = "DBUS_SYSTEM_BUS_ADDRESS"


async def run(
    chosen: list[tuple[str, type[Driver], Any]],
    options: dict[str, Any],
    bus: Path | None,
    seed: int,
    speed: float,
    json: bool,
    ending: Callable[[], asyncio.Event],
) -> None:
    """`options`: the options as they were written; `ending` gives what is set at the end. Raises GatepostError where no
    bus can be had."""
    try:
        from gatepost.drivers.ble.twin.emulated_bluetooth import EmulatedBluetooth, SimulatedEntry, settings_text
        from gatepost.drivers.ble.twin.private_bus import NoBus
    except ImportError as error:
        raise GatepostError(f"simulating BLE needs {error.name}", "it comes with Gatepost on Linux") from None
    made = made_of(chosen, seed)
    end = ending()
    try:
        async with EmulatedBluetooth([device for _, _, device in made], bus, speed=speed) as stage:
            placed = [SimulatedEntry(name, driver, device.address, options) for name, driver, device in made]
            if json:
                devices = [{"name": each.name, "driver": each.driver, "address": each.address} for each in placed]
                say_line({"bus": stage.bus.address, "devices": devices, "drop": settings_text(placed)})
            else:
                _tell([device for _, _, device in made], stage.bus.address, settings_text(placed))
            await _until(end, stage.bus)
    except NoBus as error:
        raise GatepostError(str(error), "BLE devices are simulated on a private D-Bus") from None


async def _until(end: asyncio.Event, bus: PrivateBus) -> None:
    """Raises GatepostError when the bus ends first."""
    over, broken = asyncio.create_task(end.wait()), asyncio.create_task(bus.broken())
    await asyncio.wait({over, broken}, return_when=asyncio.FIRST_COMPLETED)
    over.cancel()
    broken.cancel()
    if not end.is_set():
        raise GatepostError(f"the bus at {bus.socket} ended")


def made_of(chosen: list[tuple[str, type[Driver], Any]], seed: int) -> list[tuple[str, str, TwinPeripheral]]:
    """A name, its driver, and the device; the next seed for each further one of a kind. A device whose options tell how
    to bond gives nothing without."""
    from gatepost.drivers.ble.twin.devices.catalogue import VARIANTS, secure, variant

    out: list[tuple[str, str, TwinPeripheral]] = []
    counts: dict[str, int] = {}
    for name, kind, options in chosen:
        number = counts[name] = counts.get(name, 0) + 1
        seeded = seed + number - 1
        device = variant(name, seeded, options) if name in VARIANTS else kind.twin(options, seeded)
        if passkey := getattr(options, "passkey", ""):
            secure(device, int(passkey))
        elif getattr(options, "pair", "") == "always":
            secure(device)
        out.append((f"{name}-{number}", kind.name, device))
    if len({device.address for _, _, device in out}) < len(out):
        raise typer.BadParameter("two of these devices would have one address; name one of them only")
    return out


def _tell(devices: list[TwinPeripheral], address: str, settings: str) -> None:
    say(f"Simulated: {', '.join(f'{each.name} ({each.address})' for each in devices)}. Ctrl-C ends it.")
    say()
    say("Start the agent with this bus, in place of the system's:")
    say_as_is(f"  export {VARIABLE}={address}")
    say()
    say("Settings for it, for example as conf.d/simulated.yaml:")
    say_as_is(settings.rstrip("\n"))
