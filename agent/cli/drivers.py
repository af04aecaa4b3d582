"""`gatepost drivers`: which drivers are installed, and all about one of them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from agent.cli.common import Json, new
from agent.cli.show import say, say_as_is, say_json, table
from agent.devices.generic import GENERIC
from agent.errors import NotFound
from drivers.driver import Command, Driver, Registry

verb = new()


@verb.command("drivers")
def show(
    name: Annotated[str | None, typer.Argument(help="Explain this one.")] = None,
    json: Json = False,
) -> None:
    """List the installed drivers, or explain one: line settings, metrics, options, commands, and an example drop.
    Needs no agent.

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
        "every": driver.every,
        "pace": driver.pace,
        "silence": driver.silence,
        "options": options(driver.options_type),
        "commands": [_command(command) for command in (*GENERIC, *driver.commands)],
        "example": example(driver),
    }


def options(kind: type[msgspec.Struct]) -> list[dict[str, Any]]:
    """Each option: name, type in words, default, whether it must be given."""
    told: Any = msgspec.inspect.type_info(kind)
    return [
        {
            "name": field.encode_name,
            "type": words(field.type),
            "required": field.required,
            "default": None if field.required else _default(field),
        }
        for field in told.fields
    ]


def words(kind: Any) -> str:
    """`one of json, csv`, `text`, `list of text`, `whole number or nothing`."""
    name = type(kind).__name__
    plain = {
        "StrType": "text",
        "IntType": "whole number",
        "FloatType": "number",
        "BoolType": "true or false",
        "NoneType": "nothing",
        "AnyType": "anything",
    }
    match name:
        case "Metadata":
            told = (kind.extra_json_schema or {}).get("description")
            return f"{words(kind.type)} ({told})" if told else words(kind.type)
        case "LiteralType":
            return "one of " + ", ".join(map(str, kind.values))
        case "UnionType":
            return " or ".join(words(part) for part in kind.types)
        case "ListType" | "VarTupleType" | "SetType":
            return f"list of {words(kind.item_type)}"
        case "DictType":
            return f"map of {words(kind.value_type)}"
        case "StructType":
            return "{" + ", ".join(field.encode_name for field in kind.fields) + "}"
    return plain.get(name, name.removesuffix("Type").lower())


def example(driver: type[Driver]) -> str:
    """A drop for conf.d that configures one."""
    port = {"serial": "port: /dev/serial/by-id/usb-...", "ble": 'address: "AA:BB:CC:DD:EE:FF"'}
    lines = ["devices:", "  my-device:", f"    driver: {driver.name}"]
    lines.append(f"    {port.get(driver.transport, 'port: ...')}")
    required = [option for option in options(driver.options_type) if option["required"]]
    if required:
        lines.append("    options:")
        lines += [f"      {option['name']}: ...  # {option['type']}" for option in required]
    return "\n".join(lines) + "\n"


def _short(driver: type[Driver]) -> dict[str, Any]:
    return {
        "name": driver.name,
        "title": driver.title,
        "transport": driver.transport,
        "metrics": list(driver.metrics),
    }


def _command(command: Command) -> dict[str, Any]:
    return {
        "name": command.name,
        "title": command.title,
        "parameters": options(command.parameters),
        "example": command.example,
    }


def _default(field: Any) -> Any:
    if field.default is not msgspec.NODEFAULT:
        return msgspec.to_builtins(field.default)
    return msgspec.to_builtins(field.default_factory())


def unknown(name: str, registry: Registry) -> NotFound:
    from agent.settings.problem import closest

    meant = closest(name, registry.names)
    return NotFound(f"no driver {name!r} is installed", f"did you mean {meant}?" if meant else "`gatepost drivers`")


def _print(told: dict[str, Any]) -> None:
    say(f"{told['name']}: {told['title']}")
    if told["source"]:
        say(f"  after      {told['source']}")
    if told["transport"] == "serial":
        line = told["line"]
        flow = "" if line["flow"] == "none" else f", {line['flow']}"
        say(f"  line       {line['baudrate']} baud, {line['bytesize']}{line['parity']}{line['stopbits']:g}{flow}")
    say(f"  metrics    {', '.join(told['metrics']) or 'as its options say'}")
    pace = f"every {told['every']:g} s, the {told['pace']}" if told["every"] else "every reading"
    say(f"  reports    {pace}; `every` changes it")
    for option in told["options"]:
        default = (
            "must be given" if option["required"] else f"default {msgspec.json.encode(option['default']).decode()}"
        )
        say(f"  option     {option['name']}: {option['type']}; {default}")
    for command in told["commands"]:
        takes = ", ".join(f"{one['name']}: {one['type']}" for one in command["parameters"])
        say(f"  command    {command['name']}({takes}): {command['title']}")
    say("\nA drop for conf.d:\n")
    say_as_is(told["example"].rstrip())
