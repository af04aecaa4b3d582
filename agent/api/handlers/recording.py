"""Recording route: the header, then the octets in both directions, as long as the client listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from msgspec.structs import replace

from gatepost.agent.api.handlers.devices import no_device
from gatepost.agent.api.http.responses import StreamingResponse
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.devices.recorder import DeviceRecorder
from gatepost.drivers import recording
from gatepost.drivers.installed import version
from gatepost.drivers.recording import RecordingHeader


async def of_device(request: ApiRequest) -> StreamingResponse:
    device = request.path["id"]
    if request.app.devices.get(device) is None:
        raise no_device(device, request.app.settings.devices)
    header, tape = request.app.devices.recorder(device)
    return StreamingResponse(
        _moments(replace(header, gateway_version=version("gatepost")), tape, request),
        request.closing,
        still_valid=request.validity,
    )


async def _moments(header: RecordingHeader, tape: DeviceRecorder, request: ApiRequest) -> AsyncGenerator[bytes, None]:
    began = request.app.clock.monotonic()
    news = asyncio.Event()
    with tape.listen() as queue:
        queue.on_moment = news.set
        yield header.line()
        while True:
            await news.wait()
            news.clear()
            moments = queue.take()
            yield b"".join(recording.line(moment._replace(at=moment.at - began)) for moment in moments)
