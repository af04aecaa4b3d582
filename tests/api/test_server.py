from __future__ import annotations

import asyncio
import os
import socket
import stat
import subprocess
import sys
import traceback

import pytest

from gatepost.agent.api.http.server import ApiServer
from gatepost.agent.api.http.unix_socket import LONGEST, bind
from gatepost.agent.core.errors import SocketTaken, SocketWrong
from gatepost.client import AsyncGatewayClient, GatewayError, NoAgent
from tests.support.failing import failing
from tests.support.waiting import until


@pytest.fixture
def strict_umask():
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("strict_umask")
async def test_only_owner_and_group_may_use_the_socket(server):
    mode = server.path.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o660
    assert stat.S_IMODE(server.path.parent.stat().st_mode) == 0o750


async def test_a_stale_socket_is_replaced(app, socket_path):
    socket_path.parent.mkdir()
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    dead.bind(str(socket_path))
    dead.close()
    server = ApiServer(app, socket_path)
    await server.serve()
    assert (await AsyncGatewayClient(socket_path).health())["status"] == "healthy"
    await server.stop()
    assert not socket_path.exists()


async def test_a_socket_that_answers_is_left_alone(app, server):
    with pytest.raises(SocketTaken):
        await ApiServer(app, server.path).serve()
    assert (await AsyncGatewayClient(server.path).health())["status"] == "healthy"


async def test_a_file_that_is_no_socket_is_left_alone(app, tmp_path):
    path = tmp_path / "api.sock"
    path.write_text("precious")
    with pytest.raises(SocketWrong):
        await ApiServer(app, path).serve()
    assert path.read_text() == "precious"


def test_a_path_that_no_socket_can_have_is_said(tmp_path):
    with pytest.raises(SocketWrong, match="too long"):
        bind(tmp_path / ("x" * LONGEST))


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SocketWrong) as caught:
        bind(tmp_path / "file" / "api.sock")
    assert "api.socket" in caught.value.hint


async def test_connections_are_bounded_and_come_free_again(app, socket_path):
    server = ApiServer(app, socket_path, connections=2)
    await server.serve()
    try:
        held = [await asyncio.open_unix_connection(socket_path) for _ in range(2)]
        await until(lambda: server._local.state is not None and len(server._local.state.connections) == 2)
        with pytest.raises(GatewayError) as caught:
            await AsyncGatewayClient(socket_path).health()
        assert (caught.value.key, caught.value.status) == ("unavailable", 503)
        for _, writer in held:
            writer.close()
        await until(lambda: not server._local.state.connections)
        assert (await AsyncGatewayClient(socket_path).health())["status"] == "healthy"
    finally:
        await server.stop()


async def test_a_connection_that_never_asks_is_closed(app, socket_path):
    server = ApiServer(app, socket_path, patience=0.05)
    await server.serve()
    try:
        for said in (b"", b"GET /health HT"):
            reader, writer = await asyncio.open_unix_connection(socket_path)
            writer.write(said)
            with pytest.raises((ConnectionResetError, EOFError)):
                async with asyncio.timeout(10):
                    await reader.readexactly(1)
            writer.close()
    finally:
        await server.stop()


async def test_stop_ends_a_request_that_does_not_end(app, server):
    client = AsyncGatewayClient(server.path)
    asked = asyncio.ensure_future(client.send(None, "hang"))
    await until(lambda: app.dispatcher.asked)
    await server.stop(0.05)
    with failing(GatewayError, key="unavailable"):
        await asked
    with pytest.raises(NoAgent):
        await client.health()
    assert not server.path.exists()


async def test_stop_lets_a_running_request_end(app, server):
    asked = asyncio.ensure_future(AsyncGatewayClient(server.path).send(None, "hang"))
    await until(lambda: app.dispatcher.asked)
    stopping = asyncio.ensure_future(server.stop(10))
    await asyncio.sleep(0)
    app.dispatcher.waiting.set()
    assert (await asked)["status"] == "done"
    await stopping


async def test_stop_twice_is_harmless(server):
    await server.stop()
    await server.stop()


async def test_garbage_is_answered_and_harms_nobody(server, caplog):
    reader, writer = await asyncio.open_unix_connection(server.path)
    writer.write(b"\x16\x03\x01\x00\xff not http\r\n\r\n")
    assert (await asyncio.wait_for(reader.read(64), 10)).startswith(b"HTTP/1.1 400")
    writer.close()
    assert (await AsyncGatewayClient(server.path).health())["status"] == "healthy"


async def test_pipelined_requests_are_answered_in_order(server):
    reader, writer = await asyncio.open_unix_connection(server.path)
    writer.write(
        b"GET /health HTTP/1.1\r\nhost: x\r\n\r\nGET /nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    )
    body = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert body.index(b"200 OK") < body.index(b"404 Not Found")


async def test_an_idle_server_sets_no_timer(app, socket_path):
    """uvicorn's own server wakes ten times a second."""
    loop = asyncio.get_running_loop()
    timers = []
    call_at = loop.call_at
    server = ApiServer(app, socket_path)

    def noted(*args, **options):
        if any("/agent/api/" in frame.filename for frame in traceback.extract_stack()):  # others share the loop
            timers.append(args)
        return call_at(*args, **options)

    loop.call_at = noted
    try:
        await server.serve()
        for _ in range(20):
            await asyncio.sleep(0)
    finally:
        del loop.call_at
        await server.stop()
    assert timers == []


def test_the_agent_loads_no_command_line_libraries():
    unwanted = ["typer", "click", "rich", "multiprocessing", "uvicorn.main", "httpx", "anyio._backends"]
    code = f"import sys, gatepost.agent.api.http.server; print(*(name for name in {unwanted} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_uvicorn_is_whole_for_who_asks_for_it():
    code = "import gatepost.agent.api.http.server, uvicorn; print(uvicorn.Config.__name__, callable(uvicorn.run))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "Config True"
