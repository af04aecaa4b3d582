"""The API on TCP, and clients with rights of every kind."""

from __future__ import annotations

import httpx
import msgspec

from gatepost.agent.settings.model import ApiSettings
from tests.support.http import PLAIN
from tests.support.ports import free_port


def listening(app, **api):
    api.setdefault("listen", f"127.0.0.1:{free_port()}")
    api.setdefault("rate_limit", 0.0)
    app.settings = msgspec.structs.replace(app.settings, api=ApiSettings(**api))
    return app.settings.api


class Remote:
    """Asks over TCP; `as_` makes a token of that role."""

    def __init__(self, app, server):
        self.app = app
        self.server = server
        self.url = f"http://{app.settings.api.listen}"
        self.http = httpx.AsyncClient(base_url=self.url, timeout=30, verify=PLAIN)

    async def token(self, role, **options):
        return (await self.server._tokens.create(role, **options))[1]

    async def as_(self, role, **options):
        return {"authorization": f"Bearer {await self.token(role, **options)}"}
