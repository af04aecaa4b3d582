"""BLE devices of `gatepost simulate`: what to set, and a drop to paste."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import typer

from agent.cli.show import say, say_as_is, say_line
from agent.errors import GatepostError
from drivers.driver import Driver

VARIABLE = "DBUS_SYSTEM_BUS_ADDRESS"


async def run(
    chosen: list[tuple[str, type[Driver], Any]],
    bus: Path | None,
    seed: int,
    speed: float,
    json: bool,
    until: Callable[[], Awaitable[None]],
) -> None:
    """Raises GatepostError where no bus can be had."""
    try:
        from drivers.ble.twin.bus import NoBus
        from drivers.ble.twin.stage import Stage, drop
    except ImportError as error:
        raise GatepostError(f"simulating BLE needs {error.name}", "it comes with Gatepost on Linux") from None
    made = made_of(chosen, seed)
    try:
        async with Stage([peripheral for _, _, peripheral in made], bus, speed=speed) as stage:
            settings = drop({name: (driver, peripheral.address) for name, driver, peripheral in made})
            if json:
                devices = [{"name": name, "driver": driver, "address": each.address} for name, driver, each in made]
                say_line({"bus": stage.bus.address, "devices": devices, "drop": settings})
            else:
                _tell(made, stage.bus.address, settings)
            await until()
    except NoBus as error:
        raise GatepostError(str(error), "BLE devices are simulated on a private D-Bus") from None


def made_of(chosen: list[tuple[str, type[Driver], Any]], seed: int) -> list[tuple[str, str, Any]]:
    """A name, its driver, and the device; the next seed for each further one of a kind."""
    from drivers.ble.twin.devices.catalogue import BROADCASTERS, make

    out: list[tuple[str, str, Any]] = []
    counts: dict[str, int] = {}
    for name, kind, options in chosen:
        number = counts[name] = counts.get(name, 0) + 1
        given = seed + number - 1
        try:
            device = make(name, given) if name in BROADCASTERS else kind.twin(options, given)
        except ValueError as error:
            raise typer.BadParameter(f"{name}: {error}") from None
        out.append((f"{name}-{number}", kind.name, device))
    if len({device.address for _, _, device in out}) < len(out):
        raise typer.BadParameter("two of these devices would have one address; name one of them only")
    return out


def _tell(made: list[tuple[str, str, Any]], address: str, settings: str) -> None:
    names = ", ".join(f"{peripheral.name} ({peripheral.address})" for _, _, peripheral in made)
    say(f"In the air: {names}. Ctrl-C ends it.")
    say()
    say("Start the agent with this bus, in place of the system's:")
    say_as_is(f"  export {VARIABLE}={address}")
    say()
    say("Settings for it, for example as conf.d/simulated.yaml:")
    say_as_is(settings.rstrip("\n"))
