"""Listener routes: devices that speak MQTT to the gateway, and ending their connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.core.errors import NotFound

if TYPE_CHECKING:
    from gatepost.agent.api.schemas.responses import HungUp, ListenerView, RefusedMessageList


async def show(request: ApiRequest) -> ListenerView:
    return cast("ListenerView", request.app.listener.as_dict())


async def refused(request: ApiRequest) -> RefusedMessageList:
    return cast("RefusedMessageList", {"refused": request.app.listener.refused()})


async def hang_up(request: ApiRequest) -> HungUp:
    """The device may connect again at once: what keeps it away is the end of its token."""
    device = request.path["device"]
    count = request.app.listener.hang_up(device)
    if not count:
        raise NotFound(f"{device} is not connected", "`gatepost listener` lists who is")
    request.app.audit.record("device-hung-up", device=device, connections=count, by=request.principal.name)
    return {"device": device, "ended": count}
