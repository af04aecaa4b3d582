"""`GET /ws`: a request like every other until its handler takes the connection over."""

from __future__ import annotations

from functools import partial
from typing import Any

from gatepost.agent.api.auth.authenticator import address_of, holds
from gatepost.agent.api.auth.principal import LOCAL
from gatepost.agent.api.auth.sessions import check_origin
from gatepost.agent.api.http.asgi import Receive, Scope, Send
from gatepost.agent.api.http.errors import body_of
from gatepost.agent.api.http.responses import JsonResponse
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.api.websocket.connection import WebSocketConnection
from gatepost.agent.api.websocket.handshake import VERSION, HandshakeWrong, accept, wrong

SWITCH = "gatepost.websocket"  # the extension of the scope with which the server hands the connection over
HUB = "hub"  # in the scope's state
UPGRADE_REQUIRED = 426


async def listen(ask: ApiRequest) -> JsonResponse:
    """Refusals are answers as everywhere; a browser's cookie counts only from the gateway's own page."""
    if ask.who is not LOCAL and ask.header("authorization") is None:
        check_origin(ask.headers, required=True)
    selection = ask.query.selection()
    try:
        switch = ask.scope.get("extensions", {}).get(SWITCH)
        if switch is None or ask.scope["method"] != "GET":
            raise wrong()
        protocol = accept(ask.scope["headers"])
    except HandshakeWrong as error:
        headers = {"upgrade": "websocket", "connection": "upgrade", "sec-websocket-version": VERSION}
        return JsonResponse(body_of(error), UPGRADE_REQUIRED, headers)
    hub, address = ask.scope["state"][HUB], address_of(ask.scope)
    hub.check_room(ask.who, address)
    still = partial(holds, ask.gate, ask.who, ask.scope)
    return UpgradedResponse(WebSocketConnection(hub, protocol, ask.who, still, selection, address), switch)


class UpgradedResponse(JsonResponse):
    """No answer of HTTP: the connection is the client's from now on."""

    def __init__(self, client: WebSocketConnection, switch: Any) -> None:
        self._client = client
        self._switch = switch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = self._switch()
        if given is not None:  # else it is gone already
            self._client.begin(*given)
