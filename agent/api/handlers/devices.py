"""Devices: which there are, how each is, what each understands; register, change, remove one."""

from __future__ import annotations

from typing import Any

import msgspec

from gatepost.agent.api.handlers import settings_editing
from gatepost.agent.api.http.responses import JsonResponse
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.core.errors import BadInput, NotFound
from gatepost.agent.settings.editor import ChangeResult
from gatepost.drivers.driver import Command


async def every(ask: ApiRequest) -> dict[str, Any]:
    found = [view.as_dict() for view in ask.app.devices.views()]
    return {"devices": [{**view, **settings_editing.about(ask, "devices", view["id"])} for view in found]}


async def one(ask: ApiRequest) -> JsonResponse:
    return _shown(ask, ask.path["id"])


async def create(ask: ApiRequest) -> JsonResponse:
    return await _put(ask, settings_editing.name_of(ask.body.device_id), True)


async def replace(ask: ApiRequest) -> JsonResponse:
    return await _put(ask, settings_editing.name_of(ask.path["id"]), False)


async def remove(ask: ApiRequest) -> dict[str, Any]:
    device = ask.path["id"]
    await ask.app.editor.remove("devices", device, settings_editing.terms_of(ask))
    return {"id": device, "removed": True}


async def _put(ask: ApiRequest, device: str, new: bool) -> JsonResponse:
    settings = settings_editing.settings_of(ask)
    if settings.pop("device_id", device) != device:
        raise BadInput("device_id: is another one than that of the path", "a device cannot be renamed")
    if "type" in settings:
        if "driver" in settings:
            raise BadInput("type: is the same as driver", "give one of them")
        settings["driver"] = settings.pop("type")
    changed = await ask.app.editor.put("devices", device, settings, settings_editing.terms_of(ask, new))
    return _shown(ask, device, changed)


def _shown(ask: ApiRequest, device: str, changed: ChangeResult | None = None) -> JsonResponse:
    view = ask.app.devices.get(device)
    if view is None:
        raise no_device(device)
    commands = [described(command) for command in ask.app.devices.commands(device).values()]
    body = {**view.as_dict(), "commands": commands, **settings_editing.about(ask, "devices", device)}
    return settings_editing.answer(body, f"devices/{device}", changed)


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
