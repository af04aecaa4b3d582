"""Gateway routes: health, status, statistics, settings, reload, doctor."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from gatepost.agent.api.handlers.brokers import is_connected, states
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.api.websocket.broadcaster import BROADCASTER
from gatepost.agent.core.clock import rfc3339
from gatepost.agent.diagnostics.agent_checks import findings

if TYPE_CHECKING:
    from gatepost.agent.api.schemas.responses import (
        BrokerView,
        ClockState,
        FindingList,
        HealthDetailed,
        HealthReport,
        ListenerHealth,
        ListenerView,
        ReloadResult,
        StatsReport,
        StatusReport,
    )


async def health(request: ApiRequest) -> HealthReport:
    """That this is answered is the news: the event loop turns. Without brokers there is none to be connected to."""
    app = request.app
    connected = is_connected(request)
    well = app.store.state == "ok" and not app.store.loss and (connected or not app.brokers.views())
    return {
        "status": "healthy" if well else "degraded",
        "mqtt_connected": connected,
        "uptime": app.status().get("uptime"),
        "message_count": app.message_log.received,
        "active_subscriptions": len(app.subscriptions.all()),
        "websocket_connections": request.scope["state"][BROADCASTER].clients,
    }


async def health_detailed(request: ApiRequest) -> HealthDetailed:
    """Every part with its state; `degraded` names no reason: `doctor` does. What is idle as it should be is well."""
    app = request.app
    devices, brokers = app.devices.views(), _broker_views(request)
    listening = _listener(request)
    well = (
        listening["state"] in ("off", "ok")
        and app.store.state == "ok"
        and not app.store.loss
        and all(view["condition"] != "error" for view in (*devices, *brokers))
    )
    return {
        "status": "ok" if well else "degraded",
        "parts": {
            "store": {"state": app.store.state, "loss": app.store.loss},
            "clock": clock(request),
            "devices": {view["id"]: view["status"] for view in devices},
            "brokers": {view["name"]: view["state"] for view in brokers},
            "listener": listening,
        },
    }


async def status(request: ApiRequest) -> StatusReport:
    app, gateway = request.app, request.app.settings.gateway
    report = {
        **app.status(),
        "gateway": {"id": gateway.id, "organization": gateway.organization, "labels": gateway.labels},
        "clock": clock(request),
        "store": await app.store.stats(),
        "devices": app.devices.views(),
        **await states(request),
    }
    return cast("StatusReport", report)


async def stats(request: ApiRequest) -> StatsReport:
    app = request.app
    return {
        "uptime": app.status().get("uptime"),
        "store": await app.store.stats(),
        "events_lost": app.events.lost,
        "devices": {view["id"]: view for view in app.devices.views()},
        "brokers": {view["name"]: view for view in _broker_views(request)},
        "listener": cast("ListenerView", app.listener.as_dict()),
    }


async def reload(request: ApiRequest) -> ReloadResult:
    return cast("ReloadResult", await request.app.reload(request.source))


async def doctor(request: ApiRequest) -> FindingList:
    tokens = request.authenticator.tokens
    owners = {token.device for token in tokens.every() if token.device is not None and tokens.get(token.id) is not None}
    return {"findings": await findings(request.app, owners)}


def clock(request: ApiRequest) -> ClockState:
    stamp = request.app.clock.now()
    return {"now": rfc3339(stamp.wall), "synchronised": stamp.synchronised, "boot": request.app.clock.boot_id}


def _listener(request: ApiRequest) -> ListenerHealth:
    shown = request.app.listener.as_dict()
    state = shown["trouble"] or ("ok" if shown["isInitialized"] else "off")
    return {"state": state, "connected": shown["authenticatedClients"]}


def _broker_views(request: ApiRequest) -> list[BrokerView]:
    return [broker.as_dict() for broker in request.app.brokers.views()]
