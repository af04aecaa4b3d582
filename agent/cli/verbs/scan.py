"""`gatepost scan`: which devices are there, which driver fits, and a drop that configures them."""

from __future__ import annotations

from typing import Annotated

import typer

from gatepost.agent.cli.support.agent_access import Config, Json, Socket, new

Write = Annotated[
    str | None, typer.Option("--write", metavar="NAME", help="Write the drop as conf.d/NAME.yaml beside the settings.")
]

scan_verb = new(no_args_is_help=True)


@scan_verb.callback()
def scan() -> None:
    """Find devices, the driver for each, and its settings.

    \b
    Example:
      gatepost scan ble
      gatepost scan serial --write new-devices
    """


@scan_verb.command()
def ble(
    duration: Annotated[str, typer.Option("--for", metavar="DURATION", help="How long to scan.")] = "15s",
    adapter: Annotated[str | None, typer.Option("--adapter", help="Such as hci0; default: any that is on.")] = None,
    device: Annotated[
        list[str] | None,
        typer.Option("--device", metavar="ADDRESS|NAME", help="Scan for this device only; `*` and `?` are wildcards."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also list devices without a driver.")] = False,
    write: Write = None,
    socket: Socket = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Listen for Bluetooth LE devices.

    Shows each with the driver that fits. Nothing is connected, and a running agent goes on undisturbed; what is
    connected to it does not advertise, so it is listed by what the agent says. A cuff, scale or meter may show itself
    only for some seconds after a measurement. Ctrl-C ends early.

    \b
    Example:
      gatepost scan ble --for 30s
      gatepost scan ble --device 'UA-651*' --write cuff
    """
    from gatepost.agent.cli.support.scan_ble import run

    run(duration, adapter, device or [], everything, write, socket, config, json)


@scan_verb.command()
def serial(
    duration: Annotated[str, typer.Option("--for", metavar="DURATION", help="How long a port may be silent.")] = "3s",
    port: Annotated[
        list[str] | None, typer.Option("--port", metavar="PATH", help="Scan only this port, PTY or socket:// URL.")
    ] = None,
    ask: Annotated[bool, typer.Option("--ask", help="Also identify silent devices by harmless requests.")] = False,
    write: Write = None,
    socket: Socket = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Listen at serial ports, and list 1-wire sensors.

    Every free port is heard with the line settings of the drivers, and what it says is tried with each of them. Nothing
    is sent without --ask; but opening a port resets some boards. Ports of a running agent are left alone. Ctrl-C ends
    early.

    \b
    Example:
      gatepost scan serial
      gatepost scan serial --port /dev/ttyUSB0 --ask --for 10s
    """
    from gatepost.agent.cli.support.scan_serial import run

    run(duration, port or [], ask, write, socket, config, json)
