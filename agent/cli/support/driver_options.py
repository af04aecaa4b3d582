"""Options of a driver from the command line: `KEY=VALUE` pairs."""

from __future__ import annotations

from typing import Any

import msgspec

from gatepost.agent.cli.verbs.send import parsed
from gatepost.drivers.driver import Driver


def parse_driver_options(kind: type[Driver], pairs: list[str]) -> dict[str, Any]:
    """`every=30` -> {"every": 30}. What is JSON, and only as text what the driver wants, stays text: a passkey is no
    number. Raises BadParameter for what is not KEY=VALUE."""
    values = parsed(pairs)
    types = {field.encode_name: field.type for field in msgspec.structs.fields(kind.options_type)}
    for pair in pairs:
        name, _, text = pair.partition("=")
        if name in types and not _fits(values[name], types[name]) and _fits(text, types[name]):
            values[name] = text
    return values


def _fits(value: Any, wanted: Any) -> bool:
    try:
        msgspec.convert(value, wanted)
    except msgspec.ValidationError:
        return False
    return True
