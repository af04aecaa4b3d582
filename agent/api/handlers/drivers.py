"""The installed drivers: their names, and what one of them takes; one is loaded only when it is asked for."""

from __future__ import annotations

from typing import Any

import msgspec

from gatepost.agent.api.handlers.devices import described
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.core.errors import NotFound


async def every(ask: ApiRequest) -> dict[str, Any]:
    return {"drivers": ask.app.registry.names}


async def one(ask: ApiRequest) -> dict[str, Any]:
    """With the JSON Schema of its options."""
    name = ask.path["driver"]
    if name not in ask.app.registry:
        raise NotFound(f"there is no driver {name!r}", "`gatepost drivers` lists them")
    driver = ask.app.registry.get(name)
    return {
        "name": name,
        "title": driver.title,
        "options": msgspec.json.schema(driver.options_type),
        "commands": [described(command) for command in driver.commands],
    }
