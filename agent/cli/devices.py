"""`gatepost devices`: the devices and how each is."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from agent.cli.common import Config, Json, Socket, connected, new
from agent.cli.human import ago, count, span
from agent.cli.show import say, say_json, state, table

verb = new()


@verb.command("devices")
def show(
    device: Annotated[str | None, typer.Argument(help="Explain this one.")] = None,
    socket: Socket = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show the devices, or one of them with the commands it understands.

    \b
    Example:
      gatepost devices
      gatepost devices oximeter-1
    """
    client = connected(socket, config)
    answer = client.devices() if device is None else client.device(device)
    if json:
        say_json(answer)
    elif device is not None:
        _explain(answer)
    elif not answer["devices"]:
        say("no device is configured")
    else:
        table(
            ("device", "status", "driver", "port", "readings", "last", "faults", "why"),
            rows(answer["devices"]),
            ("status",),
        )


def rows(devices: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [
        (
            device["id"],
            device["status"],
            device["driver"],
            device.get("port"),
            count(device.get("readings")),
            ago(device.get("last_reading")),
            count(faults) if (faults := sum((device.get("faults") or {}).values())) else None,
            device.get("message"),
        )
        for device in devices
    ]


def _explain(device: dict[str, Any]) -> None:
    say(f"{device['id']}: {state(device['status'])} since {ago(device.get('since'))}")
    if device.get("message"):
        say(f"  why       {device['message']}")
    if device.get("hint"):
        say(f"  to do     {device['hint']}")
    say(f"  driver    {device['driver']} at {device.get('port') or '-'}")
    say(f"  readings  {count(device.get('readings'))}, the last {ago(device.get('last_reading'))}")
    every = device.get("every")
    stopped = "" if device.get("monitoring", True) else ", monitoring is stopped"
    say(f"  every     {span(every) if every else 'reading'}{stopped}")
    for kind, number in (device.get("faults") or {}).items():
        if number:
            say(f"  fault     {kind}: {count(number)}")
    for command in device.get("commands") or []:
        say(f"  command   {command['name']}: {command['title']}")
