"""A running agent with a real broker, asked over TCP with a token, as the documents' programs do."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import NamedTuple

import httpx
import pytest
from websockets.asyncio.client import connect

from gatepost.agent.app import App
from tests.api.real import running, written
from tests.support.http import PLAIN
from tests.support.ports import free_port
from tests.support.waiting import until
from tests.uplink.broker import Mosquitto
from tests.uplink.broker import running as broker_running


class Gateway(NamedTuple):
    app: App
    local: httpx.AsyncClient  # the Unix socket, below /api/v1
    http: httpx.AsyncClient  # TCP, as admin
    broker: Mosquitto

    async def token(self, role="admin", **options):
        return (await self.local.post("tokens", json={"role": role, **options})).json()["token"]

    async def as_(self, role, **options):
        """Headers of a client with that role."""
        return {"x-api-key": await self.token(role, **options)}

    async def connected(self, name="hospital"):
        await until(lambda: self.app.brokers.get(name).state == "connected")

    def websocket(self, path, **headers):
        uri = str(self.http.base_url).replace("http", "ws", 1).rstrip("/") + path
        headers = headers or {"x-api-key": self.http.headers["x-api-key"]}
        return connect(uri, additional_headers=headers, ping_interval=None, proxy=None)

    async def refused(self, method, path, **options):
        """Status and key of an error, which has a sentence."""
        answer = await self.http.request(method, path, **options)
        error = answer.json()["error"]
        assert error["message"]
        return answer.status_code, error["key"]


async def until_answered(ask, good):
    """What `ask` answers as soon as that is `good`."""
    async with asyncio.timeout(15):
        while not good(answer := await ask()):
            await asyncio.sleep(0.01)
    return answer


@asynccontextmanager
async def gateway_with(folder, broker, api=None, **sections):
    address = f"127.0.0.1:{free_port()}"
    api = {"socket": str(folder / "api.sock"), "listen": address, "rate_limit": 0, **(api or {})}
    sections.setdefault("brokers", {"hospital": {"url": broker.url}})
    async with running(written(folder, api=api, **sections)) as (app, local):
        token = (await local.post("tokens", json={"role": "admin"})).json()["token"]
        headers = {"x-api-key": token}
        async with httpx.AsyncClient(base_url=f"http://{address}", headers=headers, timeout=20, verify=PLAIN) as http:
            yield Gateway(app, local, http, broker)


@pytest.fixture
async def broker(tmp_path):
    async with broker_running(Mosquitto(tmp_path / "m")) as one:
        yield one


@pytest.fixture
async def gateway(tmp_path, broker):
    """With one broker, connected."""
    async with gateway_with(tmp_path, broker) as one:
        await one.connected()
        yield one
