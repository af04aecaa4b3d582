"""Command routes: send one through the dispatcher, as over MQTT; list the ledger of a device."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, cast

import orjson

from gatepost.agent.api.handlers.devices import no_device
from gatepost.agent.api.http.errors import REJECTED
from gatepost.agent.api.http.responses import JsonResponse
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.commands.model import CommandRequest
from gatepost.agent.core.clock import rfc3339
from gatepost.agent.store.command_ledger import LedgerEntry

if TYPE_CHECKING:
    from gatepost.agent.api.schemas.responses import CommandOutcome, LedgerEntryView, LedgerPage

ACCEPTED = 202


async def to_device(request: ApiRequest) -> JsonResponse[CommandOutcome]:
    return await _dispatched(request, request.path["id"])


async def to_gateway(request: ApiRequest) -> JsonResponse[CommandOutcome]:
    return await _dispatched(request, None)


async def of_device(request: ApiRequest) -> LedgerPage:
    device = request.path["id"]
    if request.app.devices.get(device) is None:
        raise no_device(device, request.app.settings.devices)
    return await _ledger(request, device)


async def of_all(request: ApiRequest) -> LedgerPage:
    return await _ledger(request, None)


async def _ledger(request: ApiRequest, device: str | None) -> LedgerPage:
    entries = await request.app.store.ledger.history(device, request.query.limit, request.query.cursor)
    cursor = entries[-1].recorded if len(entries) == request.query.limit else None
    return {"commands": [as_dict(entry) for entry in entries], "cursor": cursor}


def as_dict(entry: LedgerEntry) -> LedgerEntryView:
    """A ledger entry; its response without the members that only a retry needs."""
    return {
        "id": entry.id,
        "device_id": entry.target or None,
        "command": entry.command,
        "source": entry.source,
        "status": entry.state,
        "recorded": rfc3339(entry.recorded),
        "finished": None if entry.finished is None else rfc3339(entry.finished),
        "response": None if entry.response is None else orjson.Fragment(entry.response),
    }


async def _dispatched(request: ApiRequest, target: str | None) -> JsonResponse[CommandOutcome]:
    """The command's response is the answer; one that was rejected also has the status of its error.

    A command without an id gets one: each request is a command of its own.
    """
    members = orjson.loads(request.raw)
    members.setdefault("id", uuid.uuid4().hex)
    command = CommandRequest(source=request.source, target=target, payload=orjson.dumps(members), trusted=True)
    response = await request.app.dispatcher.handle(command)
    status = 200
    if response.status == "accepted":
        status = ACCEPTED
    elif response.status == "rejected":
        status = REJECTED.get((response.error or {}).get("key", ""), 409)
    return JsonResponse(cast("CommandOutcome", orjson.Fragment(response.as_bytes())), status)
