"""`gatepost drivers`: which drivers are installed, and all about one of them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from gatepost.agent.cli.support.agent_access import Json
from gatepost.agent.cli.support.option_help import options
from gatepost.agent.cli.support.output import say, say_as_is, say_json, table
from gatepost.agent.core.errors import NotFound
from gatepost.agent.devices.builtin_commands import GENERIC
from gatepost.drivers.driver import Command, Driver, Registry

INDENT = 13
SCREEN = 70


def drivers_verb(
    name: Annotated[str | None, typer.Argument(help="Explain only this one.")] = None, json: Json = False
) -> None:
    """List the installed drivers, or explain one.

    Line settings, metrics, options, commands, and an example drop. Needs no agent.

    \b
    Example:
      gatepost drivers lines
    """
    registry = Registry.installed()
    if name is None:
        found = [_short(driver) for driver in registry]
        if json:
            say_json({"drivers": found})
        else:
            table(
                ("driver", "what", "metrics"),
                [(one["name"], one["title"], ", ".join(one["metrics"])) for one in found],
                below=("metrics", "what"),
                listing=True,
            )
        return
    if name not in registry:
        raise unknown(name, registry)
    told = explained(registry.get(name))
    if json:
        say_json(told)
    else:
        _print(told)


def explained(driver: type[Driver]) -> dict[str, Any]:
    """All about a driver, for JSON."""
    return {
        **_short(driver),
        "source": driver.source,
        "line": msgspec.to_builtins(driver.line),
        "every": driver.default_interval,
        "pace": driver.aggregation,
        "silence": driver.silence,
        "options": options(driver.options_type),
        "commands": [_command(command) for command in _commands(driver)],
        "example": example(driver),
    }


def example(driver: type[Driver]) -> str:
    """A drop for conf.d that configures one."""
    from yaml import safe_dump

    port = {
        "serial": "port: /dev/serial/by-id/usb-...",
        "ble": 'address: "AA:BB:CC:DD:EE:FF"',
        "w1": "port: 28-0316a2794bff",
    }
    lines = ["devices:", "  my-device:", f"    driver: {driver.name}"]
    if driver.transport != "mqtt":
        lines.append(f"    {port.get(driver.transport, 'port: ...')}")
    shown: dict[str, Any] = getattr(driver, "example_options", {})
    needed = [one for one in options(driver.options_type) if one["required"] and one["name"] not in shown]
    if shown or needed:
        lines.append("    options:")
        dumped = safe_dump(shown, sort_keys=False, allow_unicode=True, width=SCREEN) if shown else ""
        lines += [f"      {line}" for line in dumped.splitlines()]
        lines += [f"      {one['name']}: ...  # {one['type']}" for one in needed]
    return "\n".join(lines) + "\n"


def _short(driver: type[Driver]) -> dict[str, Any]:
    return {"name": driver.name, "title": driver.title, "transport": driver.transport, "metrics": list(driver.metrics)}


def _commands(driver: type[Driver]) -> list[Command]:
    """Each once: a driver's own takes the place of what every device has under that name."""
    return list({command.name: command for command in (*GENERIC, *driver.commands)}.values())


def _command(command: Command) -> dict[str, Any]:
    return {
        "name": command.name,
        "title": command.title,
        "parameters": options(command.parameters),
        "example": command.example,
    }


def unknown(name: str, registry: Registry) -> NotFound:
    from gatepost.agent.settings.problem import suggestion

    hint = suggestion(name, registry.names, "`gatepost drivers`")
    return NotFound(f"no driver {name!r} is installed", hint)


def _print(told: dict[str, Any]) -> None:
    say(f"{told['name']}: {told['title']}")
    if told["source"]:
        say(f"  source     {told['source']}")
    if told["transport"] == "serial":
        line = told["line"]
        flow = "" if line["flow"] == "none" else f", {line['flow']}"
        say(f"  line       {line['baudrate']} baud, {line['bytesize']}{line['parity']}{line['stopbits']:g}{flow}")
    say(f"  metrics    {', '.join(told['metrics']) or 'as its options say'}")
    pace = f"every {told['every']:g} s, the {told['pace']}" if told["every"] else "every reading"
    say(f"  reports    {pace}; `every` changes it")
    for option in told["options"]:
        _say("option", f"{option['name']}: {option['type']}; {_default(option)}", option["description"])
    for command in told["commands"]:
        takes = [one["name"] if one["required"] else f"[{one['name']}]" for one in command["parameters"]]
        _say("command", f"{command['name']}({', '.join(takes)}): {command['title']}")
        for one in command["parameters"]:
            _say("", f"  {one['name']}: {one['type']}", f"  {one['description']}" if one["description"] else "")
    say("\nA drop for conf.d:\n")
    say_as_is(told["example"].rstrip())


def _say(label: str, text: str, more: str = "") -> None:
    say(f"  {label:11}{text}", INDENT + 2)
    if more:
        say(" " * (INDENT + 2) + more, INDENT + 2 + len(more) - len(more.lstrip()))


def _default(option: dict[str, Any]) -> str:
    value = option["default"]
    if option["required"]:
        return "must be given"
    if value is None or value in ("", [], {}):
        return "may be left out"
    return f"default {value if isinstance(value, str) else msgspec.json.encode(value).decode()}"
