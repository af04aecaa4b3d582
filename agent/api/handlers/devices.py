"""Devices: which there are, how each is, what each understands."""

from __future__ import annotations

from typing import Any

import msgspec

from agent.api.router import Ask
from agent.errors import NotFound
from drivers.driver import Command


async def every(ask: Ask) -> dict[str, Any]:
    return {"devices": [view.as_dict() for view in ask.app.devices.views()]}


async def one(ask: Ask) -> dict[str, Any]:
    device = ask.path["id"]
    view = ask.app.devices.get(device)
    if view is None:
        raise no_device(device)
    understood = ask.app.devices.commands(device)
    return {**view.as_dict(), "commands": [described(command) for command in understood.values()]}


def described(command: Command) -> dict[str, Any]:
    """A command with the JSON Schema of its parameters."""
    return {
        "name": command.name,
        "title": command.title,
        "parameters": msgspec.json.schema(command.parameters),
        "timeout": command.timeout,
        "example": command.example,
    }


def no_device(device: str) -> NotFound:
    return NotFound(f"there is no device {device!r}", "`gatepost devices` lists them")
