"""What the log says beside readings: what is owed, lost, refused, done."""

from __future__ import annotations

from typing import Any

from gatepost.agent.api.handlers.brokers import no_broker
from gatepost.agent.api.http.router import ApiRequest


async def backlog(ask: ApiRequest) -> dict[str, Any]:
    return {"backlog": await ask.app.store.backlog.undelivered()}


async def gaps(ask: ApiRequest) -> dict[str, Any]:
    return {"gaps": await ask.app.store.gaps(ask.query.limit)}


async def dead_letters(ask: ApiRequest) -> dict[str, Any]:
    name = ask.query.broker
    if name is not None and ask.app.brokers.get(name) is None:
        raise no_broker(name)
    return {"dead_letters": await ask.app.store.dead_letters(ask.query.limit, name)}


async def audit(ask: ApiRequest) -> dict[str, Any]:
    query = ask.query
    entries = await ask.app.audit.tail(query.limit, query.cursor, query.what)
    return {"audit": entries, "cursor": entries[-1]["seq"] if len(entries) == query.limit else None}
