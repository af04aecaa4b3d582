"""Broker test route: settings of a broker, saved or not, tried step by step."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

import msgspec

from gatepost.agent.api.handlers.brokers import no_broker
from gatepost.agent.api.handlers.scan import jobs_of
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.core.errors import BadInput, Conflict

if TYPE_CHECKING:
    from gatepost.agent.api.schemas.service_responses import BrokerTestView, ConnectionStepView

UNSAVED = "connection-test"  # the name of a broker that has none yet


async def run(request: ApiRequest) -> BrokerTestView:
    """One at a time. Raises InvalidSettings, also for a kept secret that would go to another address."""
    from gatepost.agent.api.jobs.connection_test import BrokerTester

    app, body = request.app, request.body
    if body.broker is not None and body.broker not in app.settings.brokers:
        raise no_broker(body.broker)
    if body.settings is not None:
        settings = (await app.changes.tried("brokers", body.broker or UNSAVED, body.settings)).brokers
        broker = settings[body.broker or UNSAVED]
    elif body.broker is not None:
        broker = app.settings.brokers[body.broker]
    else:
        raise BadInput("broker, settings: one of the two is missing", "a broker by its name, or its settings")
    jobs = jobs_of(request)
    if jobs.broker_test.locked():
        raise Conflict("another broker is being tested", "wait until that is done", "busy")
    async with jobs.broker_test:
        running = None if body.broker is None else app.brokers.get(body.broker)
        in_use = running is not None and running.as_dict()["state"] not in ("disconnected", "refused")
        gateway, began = app.settings.gateway, time.monotonic()
        tester = BrokerTester(broker, gateway.id, gateway.organization, jobs.resolve, in_use)
        steps = await tester.run()
    app.audit.record("broker-tested", broker=body.broker, by=request.principal.name)
    return {
        "ok": not any(step.state in ("failed", "skipped") for step in steps),
        "url": broker.url,
        "seconds": round(time.monotonic() - began, 2),
        "steps": cast("list[ConnectionStepView]", [msgspec.structs.asdict(step) for step in steps]),
    }
