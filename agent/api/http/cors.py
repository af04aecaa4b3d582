"""CORS policy: no page of another origin may use the API, unless `api.cors_origins` names its origin exactly."""

from __future__ import annotations

from gatepost.agent.api.agent_interface import AgentInterface
from gatepost.agent.api.asgi import ASGIApp, Message, Receive, Scope, Send

METHODS = b"GET, POST, PUT, DELETE"
HEADERS = b"authorization, x-api-key, content-type, if-match, accept"
EXPOSED = b"etag, retry-after, location"
KEPT = b"600"  # seconds that a browser may remember the answer


class CorsPolicy:
    """Cookies are never taken from other origins: such a page sends a token of its own."""

    def __init__(self, inner: ASGIApp, app: AgentInterface) -> None:
        self._inner = inner
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = next((value for name, value in scope["headers"] if name == b"origin"), None)
        named = origin is not None and origin.decode("latin-1") in self._app.settings.api.cors_origins
        if not named or origin is None or scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        allowed = [(b"access-control-allow-origin", origin), (b"vary", b"origin")]
        if scope["method"] == "OPTIONS" and any(
            name == b"access-control-request-method" for name, _ in scope["headers"]
        ):
            allowed += [
                (b"access-control-allow-methods", METHODS),
                (b"access-control-allow-headers", HEADERS),
                (b"access-control-max-age", KEPT),
            ]
            await send({"type": "http.response.start", "status": 204, "headers": allowed})
            await send({"type": "http.response.body", "body": b""})
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *allowed, (b"access-control-expose-headers", EXPOSED)]
            await send(message)

        await self._inner(scope, receive, sending)
