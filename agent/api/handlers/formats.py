"""Payload format routes: the formats that brokers can be given, and one with the JSON Schema of its options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.uplink.formats import catalogue

if TYPE_CHECKING:
    from gatepost.agent.api.schemas.responses import FormatList, FormatView


async def every(request: ApiRequest) -> FormatList:
    """Names only: a format is loaded when it is asked for."""
    return {"formats": catalogue.names()}


async def one(request: ApiRequest) -> FormatView:
    name = request.path["format"]
    if name == catalogue.DEVICES:
        return {"name": name, "summary": catalogue.DEVICES_SUMMARY, "options": {}}
    kind = catalogue.load(name)
    options: dict[str, Any] = msgspec.json.schema(kind.options_type)
    return {"name": name, "summary": kind.summary, "options": options}
