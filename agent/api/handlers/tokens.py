"""Tokens: who may use the API over TCP, and with which rights."""

from __future__ import annotations

from typing import Any

from gatepost.agent.api.auth.principal import LOCAL
from gatepost.agent.api.auth.topic_permissions import is_filter
from gatepost.agent.api.http.responses import JsonResponse
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.core.errors import BadInput
from gatepost.agent.settings.units import WrongUnit, parse_duration

CREATED = 201


async def every(ask: ApiRequest) -> dict[str, Any]:
    return {"tokens": [token.as_dict() for token in ask.gate.tokens.every()]}


async def create(ask: ApiRequest) -> JsonResponse:
    """The only time that the token's text is told."""
    body = ask.body
    if body.name is not None and (body.name == LOCAL.name or body.name != body.name.strip()):
        raise BadInput(f"name: {body.name!r} cannot be the name of a token", "choose another one")
    for key, filters in (("publish", body.publish), ("subscribe", body.subscribe)):
        for each in filters or ():
            if not is_filter(each):
                raise BadInput(f"{key}: {each[:64]!r} is no topic filter", "such as devices/+/data or alarms/#")
    token, text = await ask.gate.tokens.create(
        body.role, body.name, _seconds(body.expires), body.publish, body.subscribe
    )
    ask.app.audit.record(
        "token-created", id=token.id, name=token.name, role=token.role, expires=body.expires, by=ask.who.name
    )
    return JsonResponse({**token.as_dict(), "token": text}, CREATED, {"location": f"/api/v1/tokens/{token.id}"})


async def revoke(ask: ApiRequest) -> dict[str, Any]:
    token = await ask.gate.tokens.revoke(ask.path["id"])
    ask.app.audit.record("token-revoked", id=token.id, name=token.name, role=token.role, by=ask.who.name)
    return token.as_dict()


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        seconds = parse_duration(text)
    except WrongUnit as error:
        raise BadInput(f"expires: {error}", "a duration such as 30d, or null") from None
    if not 1 <= seconds <= 36525 * 86400:
        raise BadInput("expires: a token lives from 1s to 36525d", "null = until it is revoked")
    return seconds
