"""The socket service's document: Socket.IO over polling and over WebSocket, spoken by hand (Engine.IO protocol 4)."""

from __future__ import annotations

import asyncio
import importlib.util

import httpx
import orjson
import pytest

from tests.api.documents.conftest import gateway_with
from tests.api.websocket_clients import masked
from tests.support.http import PLAIN
from tests.uplink.gateway import listening

pytest.importorskip("socketio")

URL = "/socket.io/?EIO=4&transport="


class Client:
    """Namespace `/mqtt` over a WebSocket."""

    def __init__(self, socket):
        self.socket = socket

    async def packet(self):
        """The next one that is no ping."""
        async with asyncio.timeout(15):
            while (text := await self.socket.recv()) == "2":
                await self.socket.send("3")
        return text

    async def sign_in(self, token):
        assert (await self.packet())[0] == "0"
        await self.socket.send("40/mqtt," + orjson.dumps({"token": token}).decode())
        return await self.packet()

    async def emit(self, event, data=None):
        await self.socket.send("42/mqtt," + orjson.dumps([event] if data is None else [event, data]).decode())

    async def heard(self):
        text = await self.packet()
        assert text.startswith("42/mqtt,"), text
        return tuple(orjson.loads(text.removeprefix("42/mqtt,")))

    async def ask(self, event, data=None):
        await self.emit(event, data)
        return await self.heard()


async def test_every_event(gateway):
    token = await gateway.token()
    async with (
        gateway.websocket(URL + "websocket", origin="http://elsewhere") as socket,
        listening(gateway.broker.url) as ear,
    ):
        client = Client(socket)
        assert (await client.sign_in(token)).startswith('40/mqtt,{"sid"')
        event, status = await client.ask("mqtt:status")
        assert (event, status) == ("mqtt:status", (await gateway.http.get("/mqtt/status")).json())
        assert await client.ask("mqtt:subscribe", {"topic": "ward/+", "qos": 1}) == (
            "mqtt:subscribe:success",
            {"status": "subscribed", "topic": "ward/+", "qos": 1},
        )
        assert await client.ask("mqtt:subscriptions") == ("mqtt:subscriptions:success", [{"topic": "ward/+", "qos": 1}])
        await client.emit("mqtt:publish", {"topic": "ward/4", "payload": "hello"})
        told = dict([await client.heard(), await client.heard()])
        assert told["mqtt:publish:success"] == {"status": "published", "topic": "ward/4", "qos": 1, "retain": False}
        message = told["mqtt:message"]
        assert message.pop("timestamp").endswith("Z")
        assert message == {"topic": "ward/4", "payload": "hello", "qos": 1}
        assert any(bytes(each.payload) == b"hello" for each in ear.messages)

        assert (await client.ask("mqtt:publish", {"topic": "a/#"}))[1]["error"]["key"] == "bad-input"
        assert (await client.ask("mqtt:publish", "text"))[0] == "mqtt:publish:error"
        assert (await client.ask("mqtt:unsubscribe", {}))[0] == "mqtt:unsubscribe:error"
        assert (await client.ask("mqtt:unsubscribe", {"topic": "never"}))[1]["error"]["key"] == "not-found"
        assert await client.ask("mqtt:unsubscribe", {"topic": "ward/+"}) == (
            "mqtt:unsubscribe:success",
            {"status": "unsubscribed", "topic": "ward/+"},
        )
        assert await client.ask("mqtt:subscriptions") == ("mqtt:subscriptions:success", [])


async def test_a_topic_is_kept_as_long_as_another_socket_wants_it(gateway):
    token = await gateway.token()
    async with gateway.websocket(URL + "websocket") as first, gateway.websocket(URL + "websocket") as second:
        one, other = Client(first), Client(second)
        for client in (one, other):
            await client.sign_in(token)
            await client.ask("mqtt:subscribe", {"topic": "t"})
        assert (await one.ask("mqtt:unsubscribe", {"topic": "t"}))[0] == "mqtt:unsubscribe:success"
        assert (await other.ask("mqtt:subscriptions"))[1] == [{"topic": "t", "qos": 0}]
        await gateway.http.post("/publish", json={"topic": "t", "payload": "x"})
        assert (await other.heard())[0] == "mqtt:message"
        assert (await one.ask("mqtt:status"))[0] == "mqtt:status"  # nothing before it


async def test_polling(gateway):
    async with httpx.AsyncClient(base_url=gateway.http.base_url, timeout=20, verify=PLAIN) as http:
        opened = await http.get(URL + "polling")
        where = URL + "polling&sid=" + orjson.loads(opened.text[1:])["sid"]
        token = orjson.dumps({"token": await gateway.token()}).decode()
        assert (await http.post(where, content=f"40/mqtt,{token}")).text == "OK"
        assert (await http.get(where)).text.startswith('40/mqtt,{"sid"')
        await http.post(where, content='42/mqtt,["mqtt:subscriptions"]')
        assert (await http.get(where)).text == '42/mqtt,["mqtt:subscriptions:success",[]]'
        assert (await http.get(URL + "polling&sid=nobody")).status_code == 400


@pytest.mark.parametrize("token", ["gp_wrong", "", None, 7])
async def test_without_a_token_nobody_signs_in(gateway, token):
    async with gateway.websocket(URL + "websocket", origin="http://x") as socket:
        answer = await Client(socket).sign_in(token)
        assert answer.startswith("44/mqtt,")
        assert orjson.loads(answer.removeprefix("44/mqtt,"))["data"]["key"] == "unauthenticated"


async def test_the_token_s_role_and_topics_count(gateway):
    async with gateway.websocket(URL + "websocket", origin="http://x") as socket:
        client = Client(socket)
        await client.sign_in(await gateway.token("viewer"))
        assert (await client.ask("mqtt:publish", {"topic": "a"}))[1]["error"]["key"] == "forbidden"
        assert (await client.ask("mqtt:status"))[0] == "mqtt:status"


async def test_a_revoked_token_ends_the_connection(gateway, monkeypatch):
    monkeypatch.setattr("gatepost.agent.api.documents.socket_service.SWEEP", 0.1)
    made = (await gateway.local.post("tokens", json={"role": "admin"})).json()
    async with gateway.websocket(URL + "websocket", origin="http://x") as socket:
        client = Client(socket)
        await client.sign_in(made["token"])
        await gateway.local.delete(f"tokens/{made['id']}")
        assert (await client.packet()).startswith(("1", "41"))


async def test_who_never_signs_in_is_ended(gateway, monkeypatch):
    monkeypatch.setattr("gatepost.agent.api.documents.socket_service.SWEEP", 0.1)
    async with gateway.websocket(URL + "websocket", origin="http://x") as socket:
        client = Client(socket)
        assert (await client.packet())[0] == "0"
        assert await client.packet() == "1"


async def test_there_are_no_more_sockets_than_allowed_whatever_the_query_says(gateway, monkeypatch):
    monkeypatch.setattr("gatepost.agent.api.documents.socket_service.MAX_SOCKETS", 1)
    assert (await gateway.http.get(URL + "polling")).status_code == 200
    for more in ("", "&sid=", "&xsid=1"):
        assert (await gateway.http.get(URL + "polling" + more)).status_code == 503, more


HOSTILE = ["x", "4", "42", "42/mqtt,[", "42/mqtt,[7]", "42/other,[1]", "451-/mqtt,[{}]", "4" * 500]


@pytest.mark.parametrize("said", HOSTILE)
async def test_what_is_no_packet_disturbs_nobody(gateway, said):
    async with gateway.websocket(URL + "websocket", origin="http://x") as bad:
        await bad.recv()
        await bad.send(said)
        async with gateway.websocket(URL + "websocket", origin="http://x") as good:
            client = Client(good)
            assert (await client.sign_in(await gateway.token())).startswith("40/mqtt,")


async def test_who_pings_and_reads_nothing_is_cut_off(gateway, monkeypatch):
    monkeypatch.setattr("gatepost.agent.api.http.bounded_websocket.STUCK", 0.1)
    address = gateway.http.base_url
    reader, writer = await asyncio.open_connection(address.host, address.port, limit=2048)
    writer.write(
        f"GET {URL}websocket HTTP/1.1\r\nHost: g\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {'A' * 22}==\r\n\r\n".encode()
    )
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    with pytest.raises(ConnectionError):
        await flood(writer, masked(9, b"x" * 120) * 1000)
    writer.close()


async def flood(writer, octets):
    async with asyncio.timeout(60):
        for _ in range(400):  # 50 MB, more than the system's buffers take
            writer.write(octets)
            await writer.drain()


async def test_where_it_is_not_installed_it_says_so(tmp_path, broker, monkeypatch):
    find = importlib.util.find_spec
    hidden = lambda name: None if name == "socketio" else find(name)  # noqa: E731
    monkeypatch.setattr("gatepost.agent.api.http.socket_endpoint.find_spec", hidden)
    async with gateway_with(tmp_path, broker) as gateway:
        answer = await gateway.http.get(URL + "polling")
        assert (answer.status_code, answer.json()["error"]["key"]) == (404, "not-found")
        assert ".[socketio]" in answer.json()["error"]["hint"]
