"""Driver routes: the installed drivers, and one with its options; a driver is loaded only when it is asked for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from gatepost.agent.api.handlers.devices import described
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.core.errors import NotFound

if TYPE_CHECKING:
    from gatepost.agent.api.schemas.responses import DriverList, DriverView


async def every(request: ApiRequest) -> DriverList:
    registry = request.app.registry
    return {"drivers": registry.names, "titles": await asyncio.to_thread(registry.titles)}


async def one(request: ApiRequest) -> DriverView:
    """With the JSON Schema of its options."""
    name = request.path["driver"]
    if name not in request.app.registry:
        raise NotFound(f"there is no driver {name!r}", "`gatepost drivers` lists them")
    driver = request.app.registry.get(name)
    return {
        "name": name,
        "title": driver.title,
        "transport": driver.transport,
        "options": msgspec.json.schema(driver.options_type),
        "commands": [described(command) for command in driver.commands],
    }
