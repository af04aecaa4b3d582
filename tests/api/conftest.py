from __future__ import annotations

import httpx
import pytest

from gatepost.agent.api.http.server import ApiServer
from tests.api.fakes import FakeApp
from tests.api.remote import Remote, listening
from tests.support.http import PLAIN
from tests.support.loops import loops


def pytest_asyncio_loop_factories(item):
    """Sockets are closed and TLS is made by the loop, and the agent runs on uvloop."""
    return loops(item, "test_tcp.py")


@pytest.fixture
async def app(tmp_path):
    running = await FakeApp.start(tmp_path)
    yield running
    await running.stop()


@pytest.fixture
def socket_path(tmp_path):
    return tmp_path / "run" / "api.sock"


@pytest.fixture
async def server(app, socket_path):
    running = ApiServer(app, socket_path)
    await running.serve()
    yield running
    await running.stop(0.5)


@pytest.fixture
async def http(server):
    transport = httpx.AsyncHTTPTransport(uds=str(server.path), verify=PLAIN)
    async with httpx.AsyncClient(transport=transport, base_url="http://gatepost", timeout=10) as client:
        yield client


@pytest.fixture
async def remote(app, socket_path):
    """The API on TCP, without a rate limit."""
    listening(app)
    server = ApiServer(app, socket_path)
    await server.serve()
    found = Remote(app, server)
    yield found
    await found.http.aclose()
    await server.stop(0.5)
