"""Log routes: backlog, gaps, dead letters, audit."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from gatepost.agent.api.handlers.brokers import get_broker
from gatepost.agent.api.http.router import ApiRequest

if TYPE_CHECKING:
    from gatepost.agent.api.schemas.responses import (
        AuditEntry,
        AuditPage,
        BacklogView,
        DeadLetter,
        DeadLetters,
        GapList,
        LossView,
    )


async def backlog(request: ApiRequest) -> BacklogView:
    return {"backlog": await request.app.store.backlog.undelivered()}


async def gaps(request: ApiRequest) -> GapList:
    return {"gaps": await request.app.store.gaps(request.query.limit)}


async def gaps_seen(request: ApiRequest) -> LossView:
    await request.app.store.loss_seen()
    return {"loss": request.app.store.loss}


async def dead_letters(request: ApiRequest) -> DeadLetters:
    name = request.query.broker
    if name is not None:
        get_broker(request, name)
    letters = await request.app.store.dead_letters(request.query.limit, name)
    return {"dead_letters": cast("list[DeadLetter]", letters)}


async def audit(request: ApiRequest) -> AuditPage:
    query = request.query
    entries = await request.app.audit.tail(query.limit, query.cursor, query.what)
    cursor = entries[-1]["seq"] if len(entries) == query.limit else None
    return {"audit": cast("list[AuditEntry]", entries), "cursor": cursor}
