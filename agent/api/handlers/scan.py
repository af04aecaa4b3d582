"""Scan routes: start one, look at it, cancel it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

from gatepost.agent.api.http.responses import JsonResponse
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.api.jobs.service_jobs import JOBS, ServiceJobs
from gatepost.agent.core.errors import Conflict
from gatepost.agent.settings.model import Settings

if TYPE_CHECKING:
    from gatepost.agent.api.schemas.service_responses import ScanShown, ScanView

ACCEPTED = 202


def jobs_of(request: ApiRequest) -> ServiceJobs:
    jobs: ServiceJobs = request.scope["state"][JOBS]
    return jobs


def check_port_free(settings: Settings, port: str) -> None:
    """Raises Conflict where a configured device has the port."""
    for name, device in settings.devices.items():
        if device.port is not None and _real(device.port) == _real(port):
            raise Conflict(f"{name} has {port}", "remove that device first, or look at its own readings", "port-in-use")


def _real(port: str) -> str:
    return port if "://" in port else os.path.realpath(port)


async def start(request: ApiRequest) -> JsonResponse[ScanView]:
    body = request.body
    for port in body.ports:
        check_port_free(request.app.settings, port)
    scan = jobs_of(request).scans.start(body.kind, body.seconds, body.ask, body.ports)
    request.app.audit.record("scan-started", kind=body.kind, ask=body.ask or None, by=request.principal.name)
    return JsonResponse(cast("ScanView", scan), ACCEPTED)


async def show(request: ApiRequest) -> ScanShown:
    return {"scan": cast("ScanView | None", jobs_of(request).scans.newest)}


async def cancel(request: ApiRequest) -> ScanShown:
    return {"scan": cast("ScanView", await jobs_of(request).scans.cancel())}
