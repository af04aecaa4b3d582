"""`gatepost simulate`: a simulated device on a PTY, or simulated BLE devices on a bus, for trials without hardware."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import typer

from gatepost.agent.cli.support.agent_access import Json
from gatepost.agent.cli.support.driver_options import parse_driver_options
from gatepost.agent.cli.support.output import say, say_line
from gatepost.agent.cli.verbs.drivers import unknown
from gatepost.agent.core.errors import GatepostError
from gatepost.drivers.driver import Driver, Registry


def simulate_verb(
    drivers: Annotated[list[str], typer.Argument(metavar="DRIVER...", help="`gatepost drivers` lists them.")],
    link: Annotated[
        Path | None, typer.Option("--link", help="Serial: where the device appears, a symbolic link; 1-wire: a folder.")
    ] = None,
    connect: Annotated[
        str | None,
        typer.Option(
            "--connect", metavar="HOST:PORT", help="Of a device that connects by itself: the gateway's address."
        ),
    ] = None,
    udp: Annotated[
        str | None,
        typer.Option("--udp", metavar="HOST:PORT", help="Of a device that speaks UDP: the address where it answers."),
    ] = None,
    bus: Annotated[
        Path | None, typer.Option("--bus", help="BLE: the bus's socket; default in a new temporary folder.")
    ] = None,
    url: Annotated[str | None, typer.Option("--url", help="MQTT: mqtt:// or mqtts://, of the listener.")] = None,
    device: Annotated[str | None, typer.Option("--device", help="MQTT: its id in the settings.")] = None,
    password: Annotated[
        str | None, typer.Option("--password", envvar="GATEPOST_DEVICE_TOKEN", help="MQTT: its token.")
    ] = None,
    ca: Annotated[Path | None, typer.Option("--ca", help="MQTT: the CA certificate of the gateway.")] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", "-o", metavar="KEY=VALUE", help="An option of the driver.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same readings.")] = 0,
    speed: Annotated[
        float, typer.Option("--speed", min=0.001, help="How many times faster than the real device.")
    ] = 1.0,
    json: Json = False,
) -> None:
    """Run simulated devices until Ctrl-C.

    One serial device on a PTY, configured as `port: LINK`; one that connects to `port: listen://...`; one that answers
    at `port: udp://...`; or any number of BLE devices, without an adapter: start the agent with the printed bus, where
    an emulated bluetoothd answers. A driver named twice is two devices.

    \b
    Example:
      gatepost simulate lines --link /tmp/probe --option format=csv --option 'columns=["t","h"]'
      gatepost simulate ble-heart-rate ble-glucose
      gatepost simulate mqtt --url mqtt://127.0.0.1:1883 --device plug-3 --password gp_...
    """
    registry = Registry.installed()
    if _is_ble(drivers[0], registry):
        if link is not None or connect is not None or udp is not None:
            raise typer.BadParameter("a BLE device has no --link, --connect or --udp; it is found by its address")
        from gatepost.agent.cli.support.simulate_ble import run

        chosen = _each(drivers, registry, option or [])
        asyncio.run(run(chosen, parse_driver_options(chosen[0][1], option or []), bus, seed, speed, json, ending))
        return
    kind = registry.get(drivers[0])
    if kind.transport == "mqtt":
        from gatepost.agent.cli.support.simulate_mqtt import SimulatedClient
        from gatepost.agent.cli.support.simulate_mqtt import run as run_mqtt

        if url is None or device is None:
            raise typer.BadParameter("a device that speaks MQTT needs --url and --device")
        client = SimulatedClient(url, device, password, None if ca is None else str(ca))
        asyncio.run(run_mqtt(kind.twin(None, seed), client, speed, json, ending))
        return
    if kind.transport not in ("serial", "w1"):
        raise GatepostError(f"{kind.name} is not a serial device; a PTY cannot simulate it")
    if len(drivers) > 1:
        raise typer.BadParameter("one serial device at a time; start another `gatepost simulate` for the next")
    if bus is not None:
        raise typer.BadParameter(f"{kind.name} is a serial device; it needs --link, not --bus")
    wired = WiredDevice(kind, _options(kind, option or []), seed, speed, json)
    asyncio.run(_running_at(link, connect, udp, wired))


class WiredDevice(NamedTuple):
    """One that is simulated on a line of its own, and how."""

    kind: type[Driver]
    options: Any
    seed: int
    speed: float
    json: bool

    def twin(self) -> Any:
        return self.kind.twin(self.options, self.seed)

    def announce(self, what: str, **facts: str) -> None:
        if self.json:
            say_line({"driver": self.kind.name, **facts})
        else:
            say(f"{self.kind.name} {what}; Ctrl-C ends it")


def _is_ble(name: str, registry: Registry) -> bool:
    """Raises NotFound for a name that means nothing."""
    if name in registry:
        return registry.get(name).transport == "ble"
    from gatepost.drivers.ble.twin.devices.catalogue import VARIANTS

    if name not in VARIANTS:
        raise unknown(name, registry)
    return True


def _each(names: list[str], registry: Registry, pairs: list[str]) -> list[tuple[str, type[Driver], Any]]:
    """Name, driver and options of each BLE device; raises NotFound, GatepostError or BadParameter."""
    from gatepost.drivers.ble.twin.devices.catalogue import driver_of

    out = []
    for name in names:
        if not _is_ble(name, registry):
            raise GatepostError(f"{name} is not a BLE device", "simulate it by itself, with --link")
        driver = driver_of(name)
        if driver not in registry:
            raise unknown(driver, registry)
        kind = registry.get(driver)
        out.append((name, kind, _options(kind, pairs)))
    return out


def _running_at(
    link: Path | None, connect: str | None, udp: str | None, device: WiredDevice
) -> Coroutine[Any, Any, None]:
    """The device at the one place that is named; raises BadParameter, GatepostError."""
    serial = device.kind.transport == "serial"
    if udp is not None:
        if link is not None or connect is not None:
            raise typer.BadParameter("--udp is for a device without --link and --connect")
        return _run_udp(device, udp)
    if connect is not None:
        if not serial or link is not None:
            raise typer.BadParameter("--connect is for a serial device without --link")
        return _run_connecting(device, connect)
    if link is None:
        raise typer.BadParameter("a serial device needs --link: where it appears, for example --link /tmp/device")
    if link.is_symlink() and link.exists():  # one whose device has gone is replaced
        hint = f"end that one, or name another place with --link; if nothing runs there: rm {link}"
        raise GatepostError(f"{link} leads to {link.readlink()}: another simulated device may run there", hint)
    if link.exists():
        raise GatepostError(f"{link} exists already", "name another place with --link")
    return _run_pty(device, link) if serial else _run_w1(device, link)


async def _run_pty(device: WiredDevice, link: Path) -> None:
    from gatepost.drivers.testing.pty import PtyTwin

    end = ending()
    try:
        async with PtyTwin(device.twin(), link, speed=device.speed) as twin:
            device.announce(f"speaks at {link} ({twin.device})", link=str(link), device=twin.device)
            await end.wait()
    except OSError as error:
        raise GatepostError(f"{link}: {error.strerror}", "name another place with --link") from error


async def _run_connecting(device: WiredDevice, place: str) -> None:
    """A device that connects to a listener of the agent, and connects again when it is disconnected."""
    from random import Random

    from gatepost.drivers.backoff import Backoff
    from gatepost.drivers.network.twin_client import TcpTwin

    host, port = _place(place, "--connect")
    end = ending()
    backoff = Backoff(Random(device.seed), 0.5, 10.0)  # noqa: S311  # a simulation
    async with TcpTwin(device.twin(), host, port, backoff, speed=device.speed):
        device.announce(f"connects to {place}", connect=place)
        await end.wait()


async def _run_udp(device: WiredDevice, place: str) -> None:
    """A device that answers datagrams of the agent."""
    from gatepost.drivers.network.udp_twin import UdpTwin

    twin = device.kind.datagram_twin(device.options, device.seed)
    if twin is None:
        raise GatepostError(f"{device.kind.name} does not speak UDP", "simulate it with --link or --connect")
    host, port = _place(place, "--udp")
    end = ending()
    try:
        async with UdpTwin(twin, host, port, speed=device.speed):
            device.announce(f"answers at {place}", udp=place)
            await end.wait()
    except OSError as error:
        raise GatepostError(f"{place}: {error.strerror or error}", "name another place with --udp") from error


def _place(text: str, option: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise typer.BadParameter(f"{option}: expected HOST:PORT, not {text!r}")
    return host.strip("[]"), int(port)


async def _run_w1(device: WiredDevice, folder: Path) -> None:
    """A sensor of the kernel's 1-wire bus is a folder with a file."""
    from gatepost.drivers.onewire.twin import W1Folder

    end = ending()
    sensor = W1Folder(device.twin(), folder)
    try:
        sensor.update()
        device.announce(f"is at {folder}", link=str(folder), device=str(folder / "w1_slave"))
        running = asyncio.create_task(sensor.run(device.speed))
        await end.wait()
        running.cancel()
        await asyncio.wait([running])
    except OSError as error:
        raise GatepostError(f"{folder}: {error.strerror}", "name another place with --link") from error


def ending() -> asyncio.Event:
    """Set at Ctrl-C or SIGTERM from now on: what was made is taken away then."""
    end = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    return end


def _options(kind: type[Driver], pairs: list[str]) -> Any:
    """The driver's options, those of its example where it cannot do without any; raises BadParameter."""
    values = parse_driver_options(kind, pairs)
    if not values and any(field.required for field in msgspec.structs.fields(kind.options_type)):
        values = kind.example_options
    try:
        return msgspec.convert(values, kind.options_type)
    except msgspec.ValidationError as error:
        raise typer.BadParameter(f"{error}; `gatepost drivers {kind.name}` explains the options") from None
