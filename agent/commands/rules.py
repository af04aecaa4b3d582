"""What may be commanded: the allow list, and the declared parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from agent.commands.request import Refusal
from drivers.driver import Command

EVERY = "*"
WHERE = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
FIELD = re.compile(r"^Object (?P<why>contains unknown|missing required) field `(?P<name>.*)`$", re.DOTALL)


def permitted(allow: Mapping[str, Sequence[str]], subject: str, command: str) -> bool:
    """Whether any pattern that matches `subject` (a device id, or "gateway") lists the command, or "*"."""
    return any(
        fnmatchcase(subject, pattern) and (command in names or EVERY in names) for pattern, names in allow.items()
    )


def validated(command: Command, parameters: dict[str, Any]) -> msgspec.Struct | Refusal:
    """The parameters as the struct that the command declares; a refusal names the parameter and what is expected."""
    try:
        return msgspec.convert(parameters, command.parameters, strict=True)
    except (msgspec.ValidationError, ValueError, TypeError, OverflowError, RecursionError) as error:
        return Refusal("bad-parameters", _explain(str(error)), _usage(command))


def declared(command: Command) -> list[str]:
    """The names of a command's parameters, as they stand in JSON."""
    return [field.encode_name for field in msgspec.structs.fields(command.parameters)]


def _explain(text: str) -> str:
    """`Expected `float`, got `str` - at `$.interval`` -> `interval: expected float, got str`."""
    parts = WHERE.match(text)
    what, path = (parts["what"], parts["path"] or "") if parts else (text, "")
    inside = path.removeprefix("$").removeprefix(".")
    field = FIELD.match(what)
    if field:
        inside = f"{inside}.{field['name']}".strip(".")
        what = "unknown parameter" if field["why"] == "contains unknown" else "is missing"
    what = what.replace("`", "")
    said = what[:1].lower() + what[1:]
    return f"{inside[:100]}: {said[:300]}." if inside else f"{said[:400]}."


def _usage(command: Command) -> str:
    """`Parameters of set_interval: interval (number 0..86400 or string).`; what may be left out stands in brackets."""
    schemas = msgspec.json.schema(command.parameters)["$defs"]
    schema = schemas[command.parameters.__name__]
    wanted = schema.get("required", [])
    shown = [
        f"{name} ({_kind(what, schemas)})" if name in wanted else f"[{name}] ({_kind(what, schemas)})"
        for name, what in schema["properties"].items()
    ]
    return f"Parameters of {command.name}: {', '.join(shown)}." if shown else f"{command.name} takes no parameters."


def _kind(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    if "$ref" in schema:
        schema = schemas.get(schema["$ref"].rpartition("/")[2], {})
    if "anyOf" in schema:
        return " or ".join(_kind(choice, schemas) for choice in schema["anyOf"])
    if "enum" in schema:
        return "|".join(str(value) for value in schema["enum"])
    low, high = schema.get("minimum"), schema.get("maximum")
    bounds = "" if low is None and high is None else f" {low if low is not None else ''}..{high or ''}"
    return f"{schema.get('type', 'any')}{bounds}"
