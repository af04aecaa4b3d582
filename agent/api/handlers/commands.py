"""Commands through the desk, as over MQTT; and the ledger of those that were let through."""

from __future__ import annotations

import uuid
from typing import Any

import orjson

from gatepost.agent.api.handlers.devices import no_device
from gatepost.agent.api.http.errors import REJECTED
from gatepost.agent.api.http.responses import JsonResponse
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.commands.model import CommandRequest
from gatepost.agent.core.clock import rfc3339
from gatepost.agent.store.command_ledger import LedgerEntry

ACCEPTED = 202


async def to_device(ask: ApiRequest) -> JsonResponse:
    return await _through_the_desk(ask, ask.path["id"])


async def to_gateway(ask: ApiRequest) -> JsonResponse:
    return await _through_the_desk(ask, None)


async def of_device(ask: ApiRequest) -> dict[str, Any]:
    device = ask.path["id"]
    if ask.app.devices.get(device) is None:
        raise no_device(device)
    entries = await ask.app.store.ledger.history(device, ask.query.limit, ask.query.cursor)
    cursor = entries[-1].recorded if len(entries) == ask.query.limit else None
    return {"commands": [as_dict(entry) for entry in entries], "cursor": cursor}


def as_dict(entry: LedgerEntry) -> dict[str, Any]:
    """A ledger entry; the response without what a retry would need only."""
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


async def _through_the_desk(ask: ApiRequest, target: str | None) -> JsonResponse:
    """The command's response is the answer; one that was rejected also has the status of its error.

    A command without an id gets one: each request is a command of its own.
    """
    members = orjson.loads(ask.raw)
    members.setdefault("id", uuid.uuid4().hex)
    request = CommandRequest(source=ask.source, target=target, payload=orjson.dumps(members), trusted=True)
    response = await ask.app.dispatcher.handle(request)
    status = 200
    if response.status == "accepted":
        status = ACCEPTED
    elif response.status == "rejected":
        status = REJECTED.get((response.error or {}).get("key", ""), 409)
    return JsonResponse(orjson.Fragment(response.as_bytes()), status)
