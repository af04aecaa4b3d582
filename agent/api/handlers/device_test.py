"""Device test route: the first readings of a device before it is configured, one JSON object a line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import orjson

from gatepost.agent.api.handlers.devices import no_device
from gatepost.agent.api.handlers.scan import check_port_free, jobs_of
from gatepost.agent.api.http.responses import StreamingResponse
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.core.errors import BadInput, Conflict

if TYPE_CHECKING:
    from gatepost.agent.api.jobs.device_test import DeviceTest

UNSAVED = "device-test"  # the id of a device that has none yet
LINE = orjson.OPT_APPEND_NEWLINE


async def run(request: ApiRequest) -> StreamingResponse:
    """One at a time. Raises InvalidSettings, Conflict."""
    from gatepost.agent.api.jobs.device_test import DeviceTest

    app, body = request.app, request.body
    if body.device is not None and body.device not in app.settings.devices:
        raise no_device(body.device)
    name = body.device or UNSAVED
    _check_free(request, body.settings)
    device = (await app.changes.tried("devices", name, body.settings)).devices[name]
    if device.driver == "mqtt":
        raise BadInput("driver: a device that speaks MQTT connects by itself", "save it, and watch it connect")
    jobs = jobs_of(request)
    if jobs.device_test.locked():
        raise Conflict("another device is being tested", "wait until that is done", "busy")
    test = DeviceTest(name, device, app.registry, app.clock, jobs.resolve)
    lines = _lines(test, body.seconds, jobs.device_test)
    app.audit.record("device-tested", device=body.device, driver=device.driver, by=request.principal.name)
    return StreamingResponse(lines, request.closing, still_valid=request.validity)


async def _lines(test: DeviceTest, seconds: float, turn: asyncio.Lock) -> AsyncGenerator[bytes, None]:
    async with turn, aclosing(test.lines(seconds)) as lines:
        async for line in lines:
            yield orjson.dumps(line, option=LINE)


def _check_free(request: ApiRequest, wanted: Mapping[str, Any]) -> None:
    """Raises Conflict where a configured device has the port or the address."""
    settings, port, address = request.app.settings, wanted.get("port"), wanted.get("address")
    if isinstance(port, str):
        check_port_free(settings, port)
    for name, device in settings.devices.items():
        if isinstance(address, str) and device.address is not None and address.upper() == device.address.upper():
            hint = "remove that device first, or look at its own readings"
            raise Conflict(f"{name} has {device.address}", hint, "port-in-use")
