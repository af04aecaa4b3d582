from __future__ import annotations

import asyncio
import contextlib
import inspect
import re
import socket
import threading

import pytest

from gatepost.agent.api.routes import ROUTES
from gatepost.client import ApiCall, AsyncGatewayClient, GatewayClient, GatewayError, GatewayTimeout, NoAgent
from gatepost.client.calls import GatewayCalls
from tests.support.failing import failing
from tests.support.waiting import until


async def both(server, method, *arguments, **options):
    """What the two clients answer to the same call; they must agree."""
    waiting = await getattr(AsyncGatewayClient(server.path), method)(*arguments, **options)
    blocking = await asyncio.to_thread(getattr(GatewayClient(server.path), method), *arguments, **options)
    assert type(waiting) is type(blocking)
    return waiting, blocking


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("health", ()),
        ("settings", ()),
        ("brokers", ()),
        ("broker", ("hospital",)),
        ("connect_broker", ("hospital",)),
        ("disconnect_broker", ("hospital",)),
        ("devices", ()),
        ("device", ("oximeter-1",)),
        ("data", ("oximeter-1",)),
        ("readings", ()),
        ("commands", ("oximeter-1",)),
        ("backlog", ()),
        ("gaps", ()),
        ("dead_letters", ()),
        ("audit", ()),
        ("reload", ()),
    ],
)
async def test_both_clients_say_the_same(app, server, method, arguments):
    await app.take()
    waiting, blocking = await both(server, method, *arguments)
    assert waiting == blocking


async def test_calls_whose_answers_hold_the_time(server):
    for method in ("status", "stats", "doctor", "health_detailed"):
        waiting, blocking = await both(server, method)
        assert waiting.keys() == blocking.keys()


async def test_send_takes_parameters_and_members(app, server):
    waiting, blocking = await both(server, "send", "oximeter-1", "set_interval", {"interval": 5}, token="t")
    assert waiting["status"] == blocking["status"] == "done"
    assert [body["token"] for _, body in app.dispatcher.asked] == ["t", "t"]
    await both(server, "send", None, "ping")
    assert app.dispatcher.asked[-1][0].target is None


async def test_names_with_any_letters_stay_one_part_of_the_path(server):
    with failing(GatewayError, key="not-found") as caught:
        await AsyncGatewayClient(server.path).device("a/b?c d")
    assert "a/b?c d" in caught.value.message


@pytest.mark.parametrize("kind", [GatewayClient, AsyncGatewayClient])
async def test_an_error_carries_key_message_hint_and_status(server, kind):
    with pytest.raises(GatewayError) as caught:
        await call(kind(server.path).broker, "nobody")
    error = caught.value
    assert (error.key, error.status) == ("not-found", 404)
    assert "nobody" in error.message
    assert error.hint == "`gatepost brokers` lists them"


@pytest.mark.parametrize("kind", [GatewayClient, AsyncGatewayClient])
async def test_a_rejected_command_carries_its_response(server, kind):
    with failing(GatewayError, key="unknown-command") as caught:
        await call(kind(server.path).send, "oximeter-1", "dance")
    assert caught.value.answer["status"] == "rejected"


@pytest.mark.parametrize("kind", [GatewayClient, AsyncGatewayClient])
async def test_time_runs_out(app, server, kind):
    client = kind(server.path, timeout=10)
    with pytest.raises(GatewayTimeout, match=r"0\.05 s"):
        await call(client.send, None, "hang", timeout=0.05)
    app.dispatcher.waiting.set()
    await until(lambda: not server._local.state.tasks)


@pytest.mark.parametrize("kind", [GatewayClient, AsyncGatewayClient])
async def test_nobody_there(tmp_path, kind):
    with failing(NoAgent, why="absent") as caught:
        await call(kind(tmp_path / "none.sock").health)
    assert str(tmp_path / "none.sock") in caught.value.message


@pytest.mark.parametrize("kind", [GatewayClient, AsyncGatewayClient])
@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnope",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"x" * 3_000_000,
        b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n{}",
        b'HTTP/1.1 500 No\r\nContent-Length: 12\r\n\r\n{"error": 5}',
    ],
)
async def test_whoever_answers_nonsense_is_an_error(socket_path, kind, said):
    async with Parrot(socket_path, said):
        with pytest.raises(GatewayError) as caught:
            await call(kind(socket_path, timeout=5).health)
    assert caught.value.key in ("connection-lost", "bad-answer")


async def test_the_blocking_client_follows(app, server):
    first = await app.take(spo2=91)
    told = []

    def follow():
        for reading in GatewayClient(server.path).follow(last=1):
            told.append(reading)
            if len(told) == 2:
                return

    following = asyncio.create_task(asyncio.to_thread(follow))
    await until(lambda: told)
    second = await app.take(spo2=92)
    await asyncio.wait_for(following, 10)
    assert [reading["id"] for reading in told] == [first, second]
    await until(lambda: not app.events.watched)


@pytest.mark.parametrize("kind", [GatewayClient, AsyncGatewayClient])
async def test_a_refused_stream_is_an_error(server, kind):
    stream = kind(server.path).follow(last=5000)
    with failing(GatewayError, key="bad-input"):
        await call(lambda: anext(stream) if inspect.isasyncgen(stream) else next(stream))


def test_the_environment_names_the_socket(monkeypatch):
    monkeypatch.setenv("GATEPOST_SOCKET", "/a/b.sock")
    assert GatewayClient().path == "/a/b.sock"
    monkeypatch.delenv("GATEPOST_SOCKET")
    assert GatewayClient().path == "/run/gatepost/api.sock"


async def call(method, *arguments, **options):
    """A method of either client, off the loop where it blocks."""
    if inspect.ismethod(method) and isinstance(method.__self__, GatewayClient):
        return await asyncio.to_thread(method, *arguments, **options)
    found = await asyncio.to_thread(method, *arguments, **options)
    return await found if inspect.isawaitable(found) else found


class Parrot:
    """A server that says one thing, whatever it is asked."""

    def __init__(self, path, said):
        path.parent.mkdir()
        self._said = said
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self):
        connection, _ = self._listener.accept()
        with connection, contextlib.suppress(OSError):  # who hears nonsense may hang up
            connection.settimeout(10)
            connection.recv(65536)
            connection.sendall(self._said)

    async def __aenter__(self):
        self._thread.start()
        return self

    async def __aexit__(self, *exc):
        await asyncio.to_thread(self._thread.join, 10)  # off the loop, which has to close the client's end
        self._listener.close()


PAGES = {"/", "/static/{file:path}", "/docs", "/ws", "/api/v1/session", "/api/v1/session/code"}  # for browsers


class Asking(GatewayCalls):
    """A client whose methods give what they would ask."""

    def request(self, call):
        return call

    def stream(self, call):
        return call.call


def called(method):
    """With an x for each argument that it needs."""
    needed = [each for each in inspect.signature(method).parameters.values() if each.default is each.empty]
    options = {each.name: "x" for each in needed if each.kind is each.KEYWORD_ONLY}
    values = [{} if "Mapping" in str(each.annotation) else "x" for each in needed if each.kind is not each.KEYWORD_ONLY]
    return method(*values[: sum(each.kind is not each.VAR_KEYWORD for each in needed)], **options)


def test_every_route_has_a_method():
    client = Asking()
    methods = [getattr(client, name) for name in dir(GatewayCalls) if not name.startswith("_")]
    asked = {(call.method, call.path) for method in methods if isinstance(call := called(method), ApiCall)}
    asked |= {("POST", "/api/v1/gateway/command"), ("GET", "/api/v1/devices/x/commands")}  # `device` says which
    served = [route for route in ROUTES if route.path not in PAGES]
    assert served
    left = [f"{route.method} {route.path}" for route in served if not any(fits(route, *each) for each in asked)]
    assert left == []


def fits(route, method, path):
    return route.method == method and re.fullmatch(re.sub(r"{.*?}", "[^/]+", route.path), path) is not None
