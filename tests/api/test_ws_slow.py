from __future__ import annotations

import asyncio

import orjson
import pytest
from websockets.exceptions import ConnectionClosed

from gatepost.agent.api.websocket import connection as limits
from tests.api.websocket_clients import closed_with, frames, local, masked, patient, raw, said
from tests.support.waiting import until

BIG = "x" * 4000


async def pour(app, broadcaster, enough):
    """Events until `enough()`; as fast as the hub tells them."""
    number = 0
    async with asyncio.timeout(30):
        while not enough():
            for _ in range(50):
                app.events.emit("broker.status", {"number": number, "padding": BIG})
                number += 1
            told = broadcaster._number + 50
            while broadcaster._number < told and not enough():
                await asyncio.sleep(0)
                if broadcaster._number >= number:
                    break
    return number


async def test_a_slow_client_is_told_how_many_it_missed_and_gets_the_newest(app, server):
    broadcaster = patient(server)
    _, reader, writer = await raw(server)
    await until(lambda: broadcaster.clients)
    sent = await pour(app, broadcaster, lambda: broadcaster.lost > 100)
    await until(lambda: broadcaster._number == sent)
    waiting = broadcaster.waiting
    assert 0 < waiting <= limits.WAITING
    taking = asyncio.create_task(frames(reader))
    await until(lambda: not broadcaster.waiting)
    app.events.emit("broker.status", {"number": sent})
    await until(lambda: broadcaster._number == sent + 1)
    stopping = asyncio.create_task(server.stop(5))
    told = [orjson.loads(text) for opcode, text in await taking if opcode == 1]
    numbers = [each["data"]["number"] for each in told if each["event"] == "broker.status"]
    missed = sum(each["data"]["count"] for each in told if each["event"] == "lost")
    assert missed == broadcaster.lost
    assert len(numbers) + missed == sent + 1
    assert numbers == sorted(numbers)
    assert numbers[-2:] == [sent - 1, sent]
    at = next(index for index, each in enumerate(told) if each["event"] == "lost")
    assert told[at + 1]["data"]["number"] == told[at - 1]["data"]["number"] + 1 + told[at]["data"]["count"]
    writer.close()
    await stopping


async def test_a_stuck_client_is_closed_with_a_reason_while_others_get_everything(app, server):
    broadcaster = patient(server, stuck=0.2)
    async with local(server) as socket:
        await said(socket, "hello")
        _, reader, writer = await raw(server)
        await until(lambda: broadcaster.clients == 2)
        got = []

        async def take():
            async for text in socket:
                told = orjson.loads(text)
                got.append(told["data"]["number"])

        taking = asyncio.create_task(take())
        sent = await pour(app, broadcaster, lambda: broadcaster.cut_off)
        assert broadcaster.clients == 1
        await until(lambda: len(got) == sent)
        assert got == list(range(sent))
        found = await frames(reader)
        code, reason = closed_with(found)
        assert (code, reason.split(":")[0]) == (1013, "too slow")
        taking.cancel()
        writer.close()


async def test_who_takes_not_even_that_is_cut_off(app, server):
    broadcaster = patient(server, stuck=0.1, farewell=0.1)
    _, reader, writer = await raw(server)
    await pour(app, broadcaster, lambda: broadcaster.cut_off)
    await until(lambda: not server._local.state.connections)
    assert broadcaster.waiting == 0
    assert not any(opcode == 8 for opcode, _ in await frames(reader))
    writer.close()


async def test_pings_of_who_reads_nothing_make_no_answers_without_end(server):
    broadcaster = patient(server)
    _, _, writer = await raw(server)
    client = next(iter(broadcaster._clients))
    pings = masked(9, b"x" * 120) * 1000
    for _ in range(400):  # 50 MB, more than the system's buffers take
        if client.transport.is_reading():
            writer.write(pings)
        await asyncio.sleep(0)
    assert not client.transport.is_reading()
    assert client.transport.get_write_buffer_size() < 1 << 20
    writer.close()


async def test_a_client_that_answers_no_ping_is_ended(server):
    patient(server, ping=0.05, farewell=0.05)
    _, reader, writer = await raw(server)
    found = await frames(reader)
    assert [opcode for opcode, _ in found] == [1, 9, 8]
    assert closed_with(found)[0] == 1011
    writer.close()


async def test_a_client_that_answers_stays(server):
    broadcaster = patient(server, ping=0.02)
    async with local(server) as socket:
        await said(socket)
        client = next(iter(broadcaster._clients))
        beats = 0
        beat = client.beat

        def counted():
            nonlocal beats
            beats += 1
            beat()

        client.beat = counted
        await until(lambda: beats > 5)
        await socket.send('{"ping": 1}')
        assert (await said(socket, "pong"))["data"] == 1


async def test_clients_with_the_same_filter_share_their_frames(app, server, monkeypatch):
    broadcaster = patient(server)
    fed = []
    feed = limits.WebSocketConnection.feed
    monkeypatch.setattr(
        limits.WebSocketConnection,
        "feed",
        lambda self, chunk, count: (fed.append((count, chunk)), feed(self, chunk, count)),
    )
    async with local(server) as one, local(server) as two:
        await said(one), await said(two)
        fed.clear()
        app.events.emit("broker.status", {"broker": "lab"})
        assert await said(one) == await said(two)
        assert [count for count, _ in fed] == [1, 1]
        assert fed[0][1] is fed[1][1]
    assert broadcaster.lost == 0


async def test_what_is_no_json_hurts_nobody(app, server, caplog):
    async with local(server) as socket:
        await said(socket)
        app.events.emit("broker.status", {"what": object()})
        await until(lambda: "events could not be sent" in caplog.text)
        app.events.emit("broker.status", {"what": 1})
        assert (await said(socket))["data"] == {"what": 1}


async def test_a_queue_for_all_has_an_end(app, server, monkeypatch):
    monkeypatch.setattr("gatepost.agent.api.websocket.broadcaster.WAITING", 100_000)
    broadcaster = patient(server)
    stuck = [await raw(server) for _ in range(4)]
    await until(lambda: broadcaster.clients == 4)
    await pour(app, broadcaster, lambda: broadcaster.lost > 400)
    assert 0 < broadcaster.waiting <= 100_000
    for _, _, writer in stuck:
        writer.close()
    await server.stop(0.05)
    with pytest.raises((ConnectionClosed, OSError)):
        await local(server)
