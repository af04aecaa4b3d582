"""The gateway as a whole: health, status, counts, settings, what is the matter."""

from __future__ import annotations

from typing import Any

from gatepost.agent.api.handlers.brokers import states
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.core.clock import rfc3339
from gatepost.agent.diagnostics.agent_checks import findings
from gatepost.agent.settings.redacted_view import shown

LAST_GOOD = "last good settings"
WELL = {"devices": ("online", "stopped", "starting"), "brokers": ("connected", "disconnected")}


async def health(ask: ApiRequest) -> dict[str, Any]:
    """That this is answered is the news: the event loop turns."""
    return {"status": "ok"}


async def health_detailed(ask: ApiRequest) -> dict[str, Any]:
    """Every part with its state; `degraded` names no reason: `doctor` does."""
    app = ask.app
    parts = {
        "store": {"state": app.store.state},
        "clock": clock(ask),
        "devices": {view["id"]: view["status"] for view in map(as_dict, app.devices.views())},
        "brokers": {view["name"]: view["state"] for view in map(as_dict, app.brokers.views())},
    }
    well = parts["store"]["state"] == "ok" and all(
        state in good for kind, good in WELL.items() for state in parts[kind].values()
    )
    return {"status": "ok" if well else "degraded", "parts": parts}


async def status(ask: ApiRequest) -> dict[str, Any]:
    app, gateway = ask.app, ask.app.settings.gateway
    return {
        **app.status(),
        "gateway": {"id": gateway.id, "organization": gateway.organization, "labels": gateway.labels},
        "clock": clock(ask),
        "store": await app.store.stats(),
        "devices": [view.as_dict() for view in app.devices.views()],
        **await states(ask),
    }


async def stats(ask: ApiRequest) -> dict[str, Any]:
    app = ask.app
    return {
        "uptime": app.status().get("uptime"),
        "store": await app.store.stats(),
        "events_lost": app.events.lost,
        "devices": {view["id"]: view for view in map(as_dict, app.devices.views())},
        "brokers": {view["name"]: view for view in map(as_dict, app.brokers.views())},
    }


async def settings(ask: ApiRequest) -> dict[str, Any]:
    told = ask.app.status().get("settings") or {}
    lines = shown(ask.app.settings, ask.app.origins)
    if told.get("last_good"):  # the files say something else, or nothing that could be read
        lines = [{**line, "origin": LAST_GOOD} for line in lines]
    return {"settings": lines}


async def reload(ask: ApiRequest) -> dict[str, Any]:
    return await ask.app.reload(ask.source)


async def doctor(ask: ApiRequest) -> dict[str, Any]:
    return {"findings": await findings(ask.app)}


def clock(ask: ApiRequest) -> dict[str, Any]:
    stamp = ask.app.clock.now()
    return {"now": rfc3339(stamp.wall), "synchronised": stamp.synchronised, "boot": ask.app.clock.boot_id}


def as_dict(view: Any) -> dict[str, Any]:
    found: dict[str, Any] = view.as_dict()
    return found
