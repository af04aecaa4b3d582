"""Token routes: list, create and revoke tokens of the API over TCP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatepost.agent.api.auth.principal import LOCAL
from gatepost.agent.api.http.responses import JsonResponse
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.core.errors import BadInput
from gatepost.agent.core.topic_filter import is_filter
from gatepost.agent.settings.units import WrongUnit, parse_duration

if TYPE_CHECKING:
    from gatepost.agent.api.schemas.responses import NewToken, TokenList, TokenView

CREATED = 201


async def every(request: ApiRequest) -> TokenList:
    return {"tokens": [token.as_dict() for token in request.authenticator.tokens.every()]}


async def create(request: ApiRequest) -> JsonResponse[NewToken]:
    """The only time that the token's text is told."""
    body = request.body
    if body.name is not None and (body.name == LOCAL.name or body.name != body.name.strip()):
        raise BadInput(f"name: {body.name!r} cannot be the name of a token", "choose another one")
    for key, filters in (("publish", body.publish), ("subscribe", body.subscribe)):
        for each in filters or ():
            if not is_filter(each):
                raise BadInput(f"{key}: {each[:64]!r} is not a topic filter", "such as devices/+/data or alarms/#")
    token, text = await request.authenticator.tokens.create(
        body.role, body.name, _seconds(body.expires), body.publish, body.subscribe
    )
    request.app.audit.record(
        "token-created", id=token.id, name=token.name, role=token.role, expires=body.expires, by=request.principal.name
    )
    return JsonResponse({**token.as_dict(), "token": text}, CREATED, {"location": f"/api/v1/tokens/{token.id}"})


async def revoke(request: ApiRequest) -> TokenView:
    token = await request.authenticator.tokens.revoke(request.path["id"])
    request.app.audit.record("token-revoked", id=token.id, name=token.name, role=token.role, by=request.principal.name)
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
