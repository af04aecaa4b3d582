"""Authorization of commands: the allow list, and validation of the declared parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from gatepost.agent.commands.model import RefusedCommand
from gatepost.agent.settings.problem import in_words
from gatepost.agent.settings.units import DURATION_PATTERN
from gatepost.drivers.driver import Command

EVERY = "*"
WHERE = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
SPELT = "a duration such as 30s"
KINDS = {
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "array": "a list",
    "object": "keys and values",
}
FIELD = re.compile(r"^Object (?P<why>contains unknown|missing required) field `(?P<name>.*)`$", re.DOTALL)


def permitted(allow: Mapping[str, Sequence[str]], subject: str, command: str) -> bool:
    """Whether any pattern that matches `subject` (a device id, or "gateway") lists the command, or "*"."""
    return any(
        fnmatchcase(subject, pattern) and (command in names or EVERY in names) for pattern, names in allow.items()
    )


def validated(command: Command, parameters: dict[str, Any]) -> msgspec.Struct | RefusedCommand:
    """The parameters as the struct that the command declares; a refusal names the parameter and what is expected."""
    try:
        return msgspec.convert(parameters, command.parameters, strict=True)
    except (msgspec.ValidationError, ValueError, TypeError, OverflowError, RecursionError) as error:
        return RefusedCommand("bad-parameters", _explain(str(error), _kinds(command)), _usage(command))


def declared(command: Command) -> list[str]:
    """The names of a command's parameters, as they stand in JSON."""
    return [field.encode_name for field in msgspec.structs.fields(command.parameters)]


def _explain(text: str, kinds: dict[str, str]) -> str:
    """`Expected `bool`, got `str` - at `$.stable`` -> `stable: expected true or false, found text`."""
    parts = WHERE.match(text)
    what, path = (parts["what"], parts["path"] or "") if parts else (text, "")
    inside = path.removeprefix("$").removeprefix(".")
    field = FIELD.match(what)
    if field:
        inside = f"{inside}.{field['name']}".strip(".")
        what = "unknown parameter" if field["why"] == "contains unknown" else "is missing"
    elif what.startswith("Expected") and kinds.get(inside, "").startswith(SPELT):
        what = f"expected {kinds[inside]}"
    what = in_words(what).replace("`", "")
    said = what[:1].lower() + what[1:]
    return f"{inside[:100]}: {said[:300]}." if inside else f"{said[:400]}."


def _usage(command: Command) -> str:
    """`Parameters of set_interval: interval (a duration such as 30s, ...).`; what may be left out in brackets."""
    wanted = {field.encode_name for field in msgspec.structs.fields(command.parameters) if field.required}
    shown = [f"{name if name in wanted else f'[{name}]'} ({kind})" for name, kind in _kinds(command).items()]
    return f"Parameters of {command.name}: {', '.join(shown)}." if shown else f"{command.name} takes no parameters."


def _kinds(command: Command) -> dict[str, str]:
    """What each parameter of a command is, in words."""
    schemas = msgspec.json.schema(command.parameters)["$defs"]
    properties = schemas[command.parameters.__name__]["properties"]
    return {name: _kind(what, schemas) for name, what in properties.items()}


def _kind(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    if "$ref" in schema:
        schema = schemas.get(schema["$ref"].rpartition("/")[2], {})
    low, high = schema.get("minimum"), schema.get("maximum")
    if "anyOf" in schema:
        choices = [choice for choice in schema["anyOf"] if choice.get("type") != "null"]
        if any(choice.get("pattern") == DURATION_PATTERN for choice in choices):
            return next((f"{SPELT}, {_bounds(one)} seconds" for one in choices if "maximum" in one), SPELT)
        return " or ".join(_kind(choice, schemas) for choice in choices)
    if "enum" in schema:
        return "|".join(str(value) for value in schema["enum"])
    word = KINDS.get(schema.get("type", ""), "any")
    return word if low is None and high is None else f"{word}, {_bounds(schema)}"


def _bounds(schema: dict[str, Any]) -> str:
    """`0 to 86400`, `at least 1`."""
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None or high is None:
        return f"at least {low:g}" if low is not None else f"at most {high:g}"
    return f"{low:g} to {high:g}"
