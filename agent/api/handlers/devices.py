"""Device routes: list them with their state and commands; register, change, remove one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from gatepost.agent.api.handlers import settings_editing
from gatepost.agent.api.http.responses import JsonResponse
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.commands.authorization import permitted
from gatepost.agent.core.errors import BadInput, NotFound
from gatepost.agent.settings.editor import ChangeResult
from gatepost.agent.settings.problem import perhaps
from gatepost.drivers.driver import Command

if TYPE_CHECKING:
    from gatepost.agent.api.schemas.responses import CommandView, DeviceList, DeviceRemoved, DeviceView


async def every(request: ApiRequest) -> DeviceList:
    views = request.app.devices.views()
    for view in views:
        settings_editing.add_configuration(request, "devices", view["id"], view)
    return {"devices": views}


async def one(request: ApiRequest) -> JsonResponse[DeviceView]:
    return _shown(request, request.path["id"])


async def create(request: ApiRequest) -> JsonResponse[DeviceView]:
    return await _put(request, settings_editing.name_of(request.body.device_id), True)


async def replace(request: ApiRequest) -> JsonResponse[DeviceView]:
    return await _put(request, settings_editing.name_of(request.path["id"]), False)


async def remove(request: ApiRequest) -> DeviceRemoved:
    device = request.path["id"]
    await request.app.editor.remove("devices", device, settings_editing.terms_of(request))
    return {"id": device, "removed": True}


async def _put(request: ApiRequest, device: str, new: bool) -> JsonResponse[DeviceView]:
    settings = settings_editing.settings_of(request)
    if settings.pop("device_id", device) != device:
        raise BadInput("device_id: differs from the path", "a device cannot be renamed")
    if "type" in settings:
        if "driver" in settings:
            raise BadInput("type, driver: both name the driver", "give only one of them")
        settings["driver"] = settings.pop("type")
    changed = await request.app.editor.put("devices", device, settings, settings_editing.terms_of(request, new))
    return _shown(request, device, changed)


def _shown(request: ApiRequest, device: str, changed: ChangeResult | None = None) -> JsonResponse[DeviceView]:
    view = request.app.devices.get(device)
    if view is None:
        raise no_device(device, request.app.settings.devices)
    allow = request.app.settings.commands.allow
    view["commands"] = [
        {**described(command), "allowed": permitted(allow, device, command.name)}
        for command in request.app.devices.commands(device).values()
    ]
    settings_editing.add_configuration(request, "devices", device, view)
    return settings_editing.answer(view, f"devices/{device}", changed)


def described(command: Command) -> CommandView:
    """A command with the JSON Schema of its parameters."""
    return {
        "name": command.name,
        "title": command.title,
        "parameters": {"type": "object"} if command.free else msgspec.json.schema(command.parameters),
        "timeout": command.timeout,
        "example": command.example,
    }


def no_device(device: str, known: Iterable[str] = ()) -> NotFound:
    return NotFound(f"there is no device {device!r}", perhaps(device, known) or "`gatepost devices` lists them")
