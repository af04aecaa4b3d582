"""Routes of setting up and service: the agent's log, scans, tests, settings, downloads."""

from __future__ import annotations

from gatepost.agent.api.handlers import downloads, logs
from gatepost.agent.api.http.router import Route
from gatepost.agent.api.schemas import requests

V1 = "/api/v1"

SERVICE_ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        f"{V1}/backup",
        downloads.backup,
        "A backup of this gateway, as `gatepost backup` makes it; it holds secrets and readings",
        "a compressed archive",
        time=None,
        role="admin",
    ),
    Route(
        "GET",
        f"{V1}/support-bundle",
        downloads.support_bundle,
        "A support bundle, as `gatepost doctor --bundle` makes it: no secrets, no patients",
        "a compressed archive",
        time=None,
        role="admin",
    ),
    Route(
        "GET",
        f"{V1}/logs",
        logs.logs,
        "The newest lines of the agent's own log, oldest first; with `follow` live ones after them, one a line",
        '{"logs": [...]}; with `follow` lines of application/x-ndjson',
        query=requests.LogQuery,
        role="operator",
        other="application/x-ndjson",
    ),
)
