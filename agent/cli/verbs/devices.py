"""`gatepost devices`: the devices and how each is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from gatepost.agent.cli.support.agent_access import Config, Json, Socket, connected, device_names
from gatepost.agent.cli.support.formatting import ago, count, since, span
from gatepost.agent.cli.support.output import labelled, say, say_json, state, table

BELOW = ("why", "port", "driver")
PATHS = ("port",)
STOPPED = "monitoring-stopped"


def devices_verb(
    device: Annotated[str | None, typer.Argument(help="Explain only this one.", autocompletion=device_names)] = None,
    socket: Socket = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show the devices, or explain one with its commands.

    \b
    Example:
      gatepost devices
      gatepost devices oximeter-1
    """
    client = connected(socket, config)
    answer: Mapping[str, Any] = client.devices() if device is None else client.device(device)
    if json:
        say_json(answer)
    elif device is not None:
        explain(answer)
    elif not answer["devices"]:
        say("no device is configured")
    else:
        table(
            ("device", "status", "driver", "port", "readings", "last", "faults", "why"),
            rows(answer["devices"]),
            states=("status",),
            below=BELOW,
            paths=PATHS,
        )


def rows(devices: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    return [
        (
            device["id"],
            condition(device),
            device["driver"],
            device.get("port"),
            count(device.get("readings")),
            ago(device.get("last_reading")),
            count(faults) if (faults := sum((device.get("faults") or {}).values())) else None,
            why(device),
        )
        for device in devices
    ]


def condition(device: Mapping[str, Any]) -> str:
    """The status as brokers are told it, with the reason's key: `online`, `offline (asleep)`."""
    reason = device.get("reason") if device["status"] in ("offline", "error") else None
    return f"{device['status']} ({reason})" if reason else str(device["status"])


def why(device: Mapping[str, Any]) -> str | None:
    """Why it is as it is, or why it says nothing."""
    message = device.get("message") or None
    if device.get("monitoring", True) or (message and device.get("reason") != STOPPED):
        return message
    return f"{message or 'reporting stopped by a command'}; `gatepost send {device['id']} start_monitoring`"


def explain(device: Mapping[str, Any]) -> None:
    say(f"{device['id']}: {state(condition(device))} {since(device.get('since'))}")
    every, last = device.get("every"), device.get("last_reading")
    lines = [
        ("why", device.get("message") or why(device)),
        ("to do", device.get("hint")),
        ("driver", device["driver"] + (f" at {device['port']}" if device.get("port") else "")),
        ("readings", count(device.get("readings")) + (f", the last {ago(last)}" if last else "")),
        ("pace", f"a reading every {span(every)}" if every else "every reading"),
    ]
    lines += [("fault", f"{kind}: {count(number)}") for kind, number in (device.get("faults") or {}).items() if number]
    lines += [("command", _command(command)) for command in device.get("commands") or []]
    labelled(lines)


def _command(command: dict[str, Any]) -> str:
    told = f"{command['name']}({parameters(command.get('parameters') or {})}): {command['title']}"
    example = " ".join(f"{name}={_typed(value)}" for name, value in (command.get("example") or {}).items())
    told = f"{told}; such as {example}" if example else told
    return told if command.get("allowed", True) else f"{told} (not allowed: see commands.allow)"


def _typed(value: object) -> str:
    """As `gatepost send` takes it: JSON, or text."""
    import orjson

    return value if isinstance(value, str) else orjson.dumps(value).decode()


def parameters(schema: dict[str, Any]) -> str:
    """`interval, duration` of a command's JSON Schema; `[duration]` may be left out."""
    schema = _resolved(schema, schema)
    required = schema.get("required") or []
    return ", ".join(name if name in required else f"[{name}]" for name in schema.get("properties") or {})


def _resolved(schema: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    found: dict[str, Any] = (whole.get("$defs") or {}).get(name, schema)
    return found
