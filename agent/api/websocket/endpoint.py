"""WebSocket endpoint `GET /ws`: a request like any other until its handler takes the connection over."""

from __future__ import annotations

from typing import Any

from gatepost.agent.api.asgi import Receive, Scope, Send
from gatepost.agent.api.auth.authenticator import address_of, bearer
from gatepost.agent.api.auth.principal import LOCAL
from gatepost.agent.api.auth.sessions import check_origin
from gatepost.agent.api.http.errors import body_of
from gatepost.agent.api.http.responses import JsonResponse
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.api.websocket.broadcaster import BROADCASTER
from gatepost.agent.api.websocket.connection import WebSocketConnection
from gatepost.agent.api.websocket.event_filter import EventSelection
from gatepost.agent.api.websocket.handshake import VERSION, accept, wrong
from gatepost.agent.core.errors import HandshakeWrong

SWITCH = "gatepost.websocket"  # the extension of the scope with which the server hands the connection over
UPGRADE_REQUIRED = 426


async def listen(request: ApiRequest) -> JsonResponse[Any]:
    return upgrade(request, request.query.selection())


def upgrade(request: ApiRequest, selection: EventSelection, bare: bool = False) -> JsonResponse[Any]:
    """Refusals are answers as everywhere; a browser's cookie counts only from the gateway's own page."""
    if request.principal is not LOCAL and bearer(request.headers) is None:
        check_origin(request.headers, required=True)
    try:
        switch = request.scope.get("extensions", {}).get(SWITCH)
        if switch is None or request.scope["method"] != "GET":
            raise wrong()
        protocol = accept(request.scope["headers"])
    except HandshakeWrong as error:
        headers = {"upgrade": "websocket", "connection": "upgrade", "sec-websocket-version": VERSION}
        return JsonResponse(body_of(error), UPGRADE_REQUIRED, headers)
    broadcaster, address = request.scope["state"][BROADCASTER], address_of(request.scope)
    broadcaster.check_room(request.principal, address)
    principal, validity = request.principal, request.validity
    client = WebSocketConnection(broadcaster, protocol, principal, validity, selection, address, bare)
    return UpgradedResponse(client, switch)


class UpgradedResponse(JsonResponse[None]):
    """Response without HTTP: hands the connection over to the client's protocol."""

    def __init__(self, client: WebSocketConnection, switch: Any) -> None:
        self._client = client
        self._switch = switch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = self._switch()
        if connection is not None:  # else it is gone already
            self._client.begin(*connection)
