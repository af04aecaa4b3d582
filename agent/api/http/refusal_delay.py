"""Delay of refusals: clients that are refused again and again wait, so that they cost the gateway next to nothing."""

from __future__ import annotations

import asyncio

from gatepost.agent.api.asgi import ASGIApp, Message, Receive, Scope, Send
from gatepost.agent.api.auth.authenticator import address_of
from gatepost.agent.api.auth.rate_limits import RateLimiter

RATE = 10.0  # refusals a second of one address without delay, and twice that at once
HOLD = 1.0  # seconds that each further one is held back; its connection takes nothing else meanwhile
REFUSED = range(400, 500)


class RefusalDelay:
    """Refusal delay around the application of the TCP listener; the Unix socket is trusted."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner
        self._rate = RateLimiter(asyncio.get_running_loop().time)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            refused = message["type"] == "http.response.start" and message["status"] in REFUSED
            if refused and self._rate.take(address_of(scope), RATE):
                await asyncio.sleep(HOLD)
            await send(message)

        await self._inner(scope, receive, sending)
