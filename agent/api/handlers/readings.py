"""Reading routes: stored ones, newest first, in the payload form of format `devices`; live ones as they are taken."""

from __future__ import annotations

from asyncio import QueueEmpty
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

import orjson

from gatepost.agent.api.handlers.devices import no_device
from gatepost.agent.api.http.responses import StreamingResponse
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.api.schemas.requests import FollowQuery, HistoryQuery
from gatepost.agent.api.websocket.broadcaster import TAKEN
from gatepost.agent.core.errors import BadInput
from gatepost.agent.core.events import Event, EventQueue
from gatepost.agent.store import csv_export
from gatepost.agent.store.reading_payload import payload

if TYPE_CHECKING:
    from gatepost.agent.api.schemas.responses import ReadingList
    from gatepost.agent.api.schemas.service_responses import CurveList
    from gatepost.agent.core.views import ReadingPayload

WAITING = 1000  # live readings that wait for a slow client before the oldest are dropped
PAGE = 100  # readings of a page that names no limit
CHUNK = 200  # lines that go out together
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LINE = orjson.OPT_APPEND_NEWLINE


async def of_device(request: ApiRequest) -> ReadingList | CurveList | StreamingResponse:
    if request.query.resolution is not None:
        from gatepost.agent.api.handlers.curves import of_device as curves_of_device

        return await curves_of_device(request)
    if request.query.values is not None:
        raise BadInput("values: needs resolution", "add resolution=auto, or leave values out")
    return await _found(request, request.path["id"])


async def of_all(request: ApiRequest) -> ReadingList | StreamingResponse:
    return await _found(request, request.query.device)


async def _found(request: ApiRequest, device: str | None) -> ReadingList | StreamingResponse:
    """JSON with a page, or, to those who accept `text/csv`, all that was asked for: from `cursor` on to the end, or
    `limit` readings."""
    page = await page_of(request, device, request.query.limit or PAGE, request.query.cursor)
    if "text/csv" not in (request.header("accept") or "").lower():
        return page
    kind = b"text/csv; charset=utf-8; header=present"
    return StreamingResponse(_csv(request, device, page), request.closing, kind, request.validity)


async def _csv(request: ApiRequest, device: str | None, page: ReadingList) -> AsyncGenerator[bytes, None]:
    yield csv_export.header() + csv_export.rows(page["readings"])
    left = None if request.query.limit is None else request.query.limit - len(page["readings"])
    while page["cursor"] is not None and (left is None or left > 0):
        page = await page_of(request, device, CHUNK if left is None else left, page["cursor"])
        yield csv_export.rows(page["readings"])
        left = None if left is None else left - len(page["readings"])


async def follow(request: ApiRequest) -> StreamingResponse:
    device = request.query.device
    if device is not None and request.app.devices.get(device) is None:
        raise no_device(device)  # nothing would ever come
    return StreamingResponse(_live(request), request.closing, still_valid=request.validity)


async def page_of(request: ApiRequest, device: str | None, limit: int, cursor: int | None) -> ReadingList:
    """`cursor` leads to the next page, null after the last one; a page of a long search may be short, or empty.

    A device that was removed from the settings is known as long as its history is kept; NotFound for others.
    """
    query: HistoryQuery = request.query
    store, gateway = request.app.store, request.app.settings.gateway.id
    search = store.queries.history if query.order == "newest" else store.queries.history_onward
    records = await search(device, query.metric, micros(query.since), micros(query.until), limit, cursor)
    searched = cursor is None and records.cursor is None
    if device is not None and searched and not records and request.app.devices.get(device) is None:
        raise no_device(device, request.app.settings.devices)
    readings = [payload(store, gateway, record) for record in records]
    return {"readings": cast("list[ReadingPayload]", readings), "cursor": records.cursor}


async def _live(request: ApiRequest) -> AsyncGenerator[bytes, None]:
    """Lines of readings; where the client was too slow, a line `{"lost": count}`."""
    wanted: FollowQuery = request.query
    with request.app.events.listen(WAITING) as heard:
        reported = 0
        first, seen = await _last(request, wanted)
        yield first
        while True:
            lines = [
                orjson.dumps(event.data, option=LINE)
                for event in await _some(heard)
                if _matches(event, wanted) and event.data.get("id") not in seen
            ]
            if heard.lost > reported:
                lines.insert(0, orjson.dumps({"lost": heard.lost - reported}, option=LINE))
                reported = heard.lost
            if lines:
                yield b"".join(lines)


async def _last(request: ApiRequest, wanted: FollowQuery) -> tuple[bytes, set[str]]:
    """The newest stored readings, oldest first, and their ids: some may come again as live ones."""
    if not wanted.last:
        return b"", set()
    store, gateway = request.app.store, request.app.settings.gateway.id
    records = await store.queries.history(wanted.device, wanted.metric, None, None, wanted.last, None)
    found = [payload(store, gateway, record) for record in reversed(records)]
    return b"".join(orjson.dumps(reading, option=LINE) for reading in found), {reading["id"] for reading in found}


async def _some(heard: EventQueue) -> list[Event]:
    """What waits, at least one event and at most CHUNK."""
    events = [await heard.get()]
    try:
        while len(events) < CHUNK:
            events.append(heard.get_nowait())
    except QueueEmpty:
        pass
    return events


def _matches(event: Event, wanted: FollowQuery) -> bool:
    return (
        event.kind == TAKEN
        and wanted.device in (None, event.data.get("device_id"))
        and wanted.metric in (None, event.data.get("metric_type"))
    )


def micros(moment: datetime | None) -> int | None:
    """Microseconds since 1970."""
    return None if moment is None else (moment - EPOCH) // timedelta(microseconds=1)
