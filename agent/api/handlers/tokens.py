"""Token routes: list, create and revoke tokens of the API over TCP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatepost.agent.api.auth.principal import LOCAL
from gatepost.agent.api.http.responses import JsonResponse
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.core.errors import BadInput, NotFound
from gatepost.agent.core.topic_filter import is_filter
from gatepost.agent.settings.units import WrongUnit, parse_duration

if TYPE_CHECKING:
    from gatepost.agent.api.schemas.requests import TokenBody
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
                raise BadInput(f"{key}: {each[:64]!r} is not a topic filter", "such as devices/+/data or ward/#")
    if body.kiosk:
        check_kiosk(body.role, body.device)
    elif (body.role is None) is (body.device is None):
        raise BadInput("role: a token has a role or a device", "one of the two")
    if body.device is not None:
        _check_device(request, body)
    token, text = await request.authenticator.tokens.create(
        body.role or ("viewer" if body.kiosk else "device"),
        body.name or body.device,
        _seconds(body.expires),
        body.publish,
        body.subscribe,
        body.device,
        body.kiosk,
    )
    request.app.audit.record(
        "token-created",
        id=token.id,
        name=token.name,
        role=token.role,
        device=token.device,
        kiosk=token.kiosk or None,
        expires=body.expires,
        by=request.principal.name,
    )
    return JsonResponse({**token.as_dict(), "token": text}, CREATED, {"location": f"/api/v1/tokens/{token.id}"})


def check_kiosk(role: str | None, device: str | None = None) -> None:
    """Raises BadInput."""
    if role not in (None, "viewer") or device is not None:
        raise BadInput("kiosk: a board is always a viewer, never a device", "leave role and device out")


def _check_device(request: ApiRequest, body: TokenBody) -> None:
    device = request.app.settings.devices.get(str(body.device))
    if device is None:
        raise NotFound(f"there is no device {body.device}", "`gatepost devices` lists them")
    if device.driver != "mqtt":
        raise BadInput(f"device: {body.device} does not speak MQTT to the gateway", "only devices of driver mqtt do")
    if carrier := device.options.get("via"):
        raise BadInput(f"device: {body.device} comes over the connection of {carrier}", f"make the token for {carrier}")
    if body.publish is not None or body.subscribe is not None:
        raise BadInput("publish: a device has its own topics, and no others", "leave publish and subscribe out")


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
