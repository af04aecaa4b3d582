"""`gatepost simulate`: a simulated device on a PTY, for trials without hardware."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from agent.cli.common import Json, new
from agent.cli.drivers import unknown
from agent.cli.send import parsed
from agent.cli.show import say, say_line
from agent.errors import GatepostError
from drivers.driver import Driver, Registry

verb = new()


@verb.command("simulate")
def simulate(
    driver: Annotated[str, typer.Argument(help="`gatepost drivers` lists them.")],
    link: Annotated[Path, typer.Option("--link", help="Where the device appears, a symbolic link.")],
    option: Annotated[
        list[str] | None, typer.Option("--option", "-o", metavar="KEY=VALUE", help="An option of the driver.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="The same seed, the same readings.")] = 0,
    speed: Annotated[float, typer.Option("--speed", min=0.001, help="Times as fast as the device.")] = 1.0,
    json: Json = False,
) -> None:
    """Run a simulated device on a PTY until Ctrl-C. Configure it as `port: LINK`.

    \b
    Example:
      gatepost simulate lines --link /tmp/probe --option format=csv --option 'columns=["t","h"]'
    """
    registry = Registry.installed()
    if driver not in registry:
        raise unknown(driver, registry)
    kind = registry.get(driver)
    if kind.transport != "serial":
        raise GatepostError(f"{driver} is no serial device: a PTY cannot stand in for it")
    if link.exists() and not link.is_symlink():
        raise GatepostError(f"{link} is there and no symbolic link", "name another place with --link")
    asyncio.run(_run(kind, _options(kind, option or []), link, seed, speed, json))


async def _run(kind: type[Driver], options: Any, link: Path, seed: int, speed: float, json: bool) -> None:
    from drivers.serial.pty import PtyTwin

    try:
        async with PtyTwin(kind.twin(options, seed), link, speed=speed) as twin:
            if json:
                say_line({"driver": kind.name, "link": str(link), "device": twin.device})
            else:
                say(f"{kind.name} speaks at {link} ({twin.device}); Ctrl-C ends it")
            await _end()
    except OSError as error:
        raise GatepostError(f"{link}: {error.strerror}", "name another place with --link") from error


async def _end() -> None:
    """Until Ctrl-C or SIGTERM; the link goes with the device."""
    end = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    await end.wait()


def _options(kind: type[Driver], given: list[str]) -> Any:
    """The driver's options; raises BadParameter."""
    try:
        return msgspec.convert(parsed(given), kind.options_type)
    except msgspec.ValidationError as error:
        raise typer.BadParameter(f"{error}; `gatepost drivers {kind.name}` explains the options") from None
