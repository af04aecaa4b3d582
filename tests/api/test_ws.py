from __future__ import annotations

import asyncio

import orjson
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gatepost.agent.api.websocket import broadcaster
from tests.api.websocket_clients import choose, closed_with, frames, local, masked, patient, raw, said
from tests.support.waiting import until


async def test_a_client_is_greeted_and_told_readings_as_they_are_stored(app, server):
    async with local(server) as socket:
        hello = await said(socket)
        assert (hello["event"], hello["data"]["gateway_id"], hello["data"]["role"]) == ("hello", "ward-7", "admin")
        ident = await app.take(spo2=93)
        told = await said(socket)
        assert (told["event"], told["data"]["id"], told["data"]["spo2"]) == ("device.data.received", ident, 93)
        assert told["at"].endswith("Z")
        assert told["n"] == hello["n"] + 1


async def test_many_readings_at_once_all_come_in_their_order(app, server):
    async with local(server) as socket:
        await said(socket, "hello")
        series = app.store.series("oximeter-1", None, {"metric_type": "pulse_oximetry"})
        for number in range(2500):
            last = app.store.append(series, app.clock.now(), b'{"spo2": %d}' % number, False)
        await app.store.stored(last)
        values = [(await said(socket, "device.data.received"))["data"]["spo2"] for _ in range(2500)]
        assert values == list(range(2500))


async def test_every_kind_of_event(app, server):
    async with local(server) as socket:
        await said(socket, "hello")
        app.events.emit("broker.status", {"broker": "hospital", "state": "connected", "reason": ""})
        app.events.emit("message", {"broker": "hospital", "topic": "a/b", "qos": 1})
        app.events.emit("command", {"id": "1", "device_id": "cuff-3", "status": "done"})
        app.events.emit("device.connected", {"device_id": "cuff-3"})
        app.events.emit("something.else", {})
        app.events.emit("device.disconnected", {"device_id": "cuff-3"})
        app.store.event("settings-applied", {"changed": ["devices.cuff-3"]})
        kinds = [(await said(socket))["event"] for _ in range(6)]
        assert kinds == [
            *("broker.status", "message", "command", "device.connected", "device.disconnected", "settings")
        ]


async def test_filters_of_the_address_and_later_ones(app, server):
    async with local(server, "?events=device.data.received,broker.*&devices=ox*&metrics=pulse_oximetry") as socket:
        hello = await said(socket)
        assert hello["data"]["filter"]["devices"] == ["ox*"]
        await app.take("cuff-3")
        await app.take(metric="heart_rate")
        app.events.emit("command", {"device_id": "oximeter-1"})
        await app.take(spo2=91)
        assert (await said(socket))["data"]["spo2"] == 91
        app.events.emit(
            "broker.status", {"broker": "lab", "state": "connected"}
        )  # of no device: the filter says nothing
        assert (await said(socket))["data"]["broker"] == "lab"
        await choose(socket, events=["device.*"], devices=["cuff-3"])
        await app.take(spo2=90)
        await app.take("cuff-3", metric="blood_pressure", systolic=120)
        assert (await said(socket))["data"]["device_id"] == "cuff-3"
        assert (await choose(socket, events=[]))["data"]["events"] == []
        await app.take(spo2=89)
        await choose(socket)
        await app.take(spo2=88)
        assert (await said(socket))["data"]["spo2"] == 88


async def test_each_client_has_its_own_filter(app, server):
    async with local(server, "?devices=cuff-3") as cuff, local(server, "?devices=oximeter-1") as oximeter:
        await said(cuff), await said(oximeter)
        await app.take("oximeter-1")
        await app.take("cuff-3")
        assert (await said(cuff))["data"]["device_id"] == "cuff-3"
        assert (await said(oximeter))["data"]["device_id"] == "oximeter-1"


@pytest.mark.parametrize(
    "message",
    [
        "{",
        "[]",
        '{"nonsense": 1}',
        '{"subscribe": {"event": []}}',
        '{"subscribe": {"events": ["device.dta"]}}',
        '{"subscribe": {"devices": "all"}}',
        '{"subscribe": {"devices": [""]}}',
        '{"subscribe": {"devices": [' + '"a",' * 64 + '"a"]}}',
        '{"ping": ' + "[" * 7000 + "]" * 7000 + "}",
        '{"ping": ' + "[" * 300 + "]" * 300 + "}",
        '{"ping": 123456789012345678901234567890}',
    ],
)
async def test_what_is_not_understood_is_said_and_changes_nothing(app, server, message):
    async with local(server, "?devices=cuff-3") as socket:
        await said(socket, "hello")
        await socket.send(message)
        assert (await said(socket, "error"))["data"]["key"] == "bad-input"
        await app.take("oximeter-1")
        await app.take("cuff-3")
        assert (await said(socket))["data"]["device_id"] == "cuff-3"


async def test_a_ping_is_answered_with_what_it_carried(server):
    async with local(server) as socket:
        await socket.send('{"ping": {"t": [1, null]}}')
        assert (await said(socket, "pong"))["data"] == {"t": [1, None]}
        await socket.send('{"ping": null}')
        assert (await said(socket, "pong"))["data"] is None


async def test_a_message_in_parts(server):
    async with local(server) as socket:
        await socket.send(['{"pi', 'ng": ', "7}"])
        assert (await said(socket, "pong"))["data"] == 7


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (masked(1, b"x" * 17000), 1009),
        (masked(1, b"x" * 9000, fin=False) + masked(0, b"x" * 9000), 1009),
        (b"\x81\x05hello", 1002),  # not masked
        (masked(3, b""), 1002),
        (masked(0, b"x"), 1002),
        (masked(2, b"x"), 1003),
        (masked(1, b'{"ping": 1}') * 100, 1008),
    ],
    ids=["long", "long-in-parts", "unmasked", "opcode", "continuation", "binary", "flood"],
)
async def test_who_breaks_the_protocol_is_told_why_and_ended(server, sent, code):
    patient(server, farewell=0.2)
    _, reader, writer = await raw(server)
    writer.write(sent)
    assert closed_with(await frames(reader))[0] == code
    writer.close()
    await until(lambda: not server.broadcaster.clients)


async def test_octets_that_came_with_the_request_are_not_lost(server):
    reader, writer = await asyncio.open_unix_connection(str(server.path))
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: g\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n" + masked(1, b'{"ping": 5}') + masked(8, b"\x03\xe8")
    )
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    found = await frames(reader)
    assert [orjson.loads(text)["event"] for opcode, text in found if opcode == 1] == ["hello", "pong"]
    assert closed_with(found)[0] == 1000
    writer.close()


@pytest.mark.parametrize(
    "headers",
    [
        "",
        "Connection: Upgrade\r\nUpgrade: websocket\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n",
        f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: {'A' * 22}==\r\n",
    ],
)
async def test_what_is_no_handshake_gets_426(server, headers):
    reader, writer = await asyncio.open_unix_connection(str(server.path))
    writer.write(f"GET /ws HTTP/1.1\r\nHost: g\r\n{headers}\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    assert head.startswith("HTTP/1.1 426 ")
    assert "sec-websocket-version: 13" in head
    assert b"upgrade-required" in await reader.readuntil(b"}}")
    writer.write(b"GET /health HTTP/1.1\r\nHost: g\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    writer.close()
    assert not server.broadcaster.clients


@pytest.mark.parametrize("query", ["?what=1", "?events=nothing", "?devices=" + ",".join("a" * 70)])
async def test_a_wrong_first_filter_is_an_answer(server, query):
    with pytest.raises(InvalidStatus) as caught:
        await local(server, query)
    assert caught.value.response.status_code == 422
    assert orjson.loads(caught.value.response.body)["error"]["key"] == "bad-input"


async def test_an_upgrade_elsewhere_is_a_request_like_every_other(http):
    answer = await http.get("/health", headers={"connection": "upgrade", "upgrade": "websocket"})
    assert answer.status_code == 200


async def test_an_upgrade_with_a_body_that_never_comes_is_cut_off(server):
    reader, writer = await asyncio.open_unix_connection(str(server.path))
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: g\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nContent-Length: 10\r\n\r\n"
    )
    async with asyncio.timeout(20):
        assert await reader.read() == b""
    writer.close()


async def test_more_clients_than_there_is_room_for(server, monkeypatch):
    monkeypatch.setattr(broadcaster, "MOST", 2)
    async with local(server) as one, local(server) as two:
        await said(one), await said(two)
        with pytest.raises(InvalidStatus) as caught:
            await local(server)
        assert caught.value.response.status_code == 503
    await until(lambda: not server.broadcaster.clients)
    async with local(server) as again:
        await said(again)


async def test_a_stop_closes_with_going_away(server):
    async with local(server) as socket:
        await said(socket)
        stopping = asyncio.create_task(server.stop(5))
        with pytest.raises(ConnectionClosed) as caught:
            await socket.recv()
        assert caught.value.rcvd.code == 1001
        await stopping
    assert not server.broadcaster.clients


async def test_a_stop_does_not_wait_for_who_takes_no_part(server):
    _, _, writer = await raw(server)
    await asyncio.wait_for(server.stop(0.05), 20)
    assert not server.broadcaster.clients
    writer.close()


async def test_nobody_is_told_anything_while_nobody_listens(app, server):
    assert not app.events.watched
    async with local(server) as socket:
        await said(socket)
        assert app.events.watched
    await until(lambda: not app.events.watched)
    async with local(server) as socket:
        await said(socket)
        await app.take(spo2=80)
        assert (await said(socket))["data"]["spo2"] == 80
