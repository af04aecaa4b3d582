from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

from gatepost.agent.api.websocket.broadcaster import LiveReadings
from gatepost.agent.core.clock import rfc3339
from gatepost.agent.core.events import EventBus
from gatepost.agent.store.recent_records import RecentRecords
from gatepost.client import AsyncGatewayClient
from tests.support.waiting import until


async def test_a_reading_comes_back_in_the_form_of_the_contract(app, http):
    identity = await app.take(urgent=True)
    answer = (await http.get("/api/v1/devices/oximeter-1/data")).json()
    assert answer["cursor"] is None
    [reading] = answer["readings"]
    assert reading == {
        "id": identity,
        "schema": 1,
        "gateway_id": "ward-7",
        "device_id": "oximeter-1",
        "patient_id": "P-001",
        "metric_type": "pulse_oximetry",
        "spo2": 97,
        "units": {"spo2": "%"},
        "timestamp": reading["timestamp"],
        "clock": "synchronised",
        "urgent": True,
        "replayed": False,
        "quality": "good",
        "flags": [],
    }
    assert reading["timestamp"].startswith("2024-11-")
    assert reading["timestamp"].endswith("Z")


async def test_pages_lead_through_everything_once_newest_first(app, http):
    taken = [await app.take(spo2=number) for number in range(7)]
    seen, cursor = [], None
    while True:
        query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = (await http.get("/api/v1/readings", params=query)).json()
        seen += [reading["id"] for reading in page["readings"]]
        cursor = page["cursor"]
        if cursor is None:
            break
    assert seen == taken[::-1]


async def test_history_is_filtered(app, http):
    await app.take(metric="pulse_oximetry")
    await app.take(metric="heart_rate")
    await app.take(device="cuff-3", metric="heart_rate", patient=None)

    async def metrics(path, **query):
        found = (await http.get(path, params=query)).json()["readings"]
        return [(reading["device_id"], reading["metric_type"]) for reading in found]

    assert await metrics("/api/v1/readings", device="cuff-3") == [("cuff-3", "heart_rate")]
    assert await metrics("/api/v1/devices/oximeter-1/data", metric="heart_rate") == [("oximeter-1", "heart_rate")]
    newest = (await http.get("/api/v1/readings", params={"limit": 1})).json()["readings"][0]
    assert "patient_id" not in newest
    assert await metrics("/api/v1/readings", since=newest["timestamp"]) == [("cuff-3", "heart_rate")]
    older = await metrics("/api/v1/readings", until=newest["timestamp"])
    assert older == [("oximeter-1", "heart_rate"), ("oximeter-1", "pulse_oximetry")]


async def test_a_device_that_was_removed_keeps_its_history(app, http):
    await app.take(device="gone-1")
    assert len((await http.get("/api/v1/devices/gone-1/data")).json()["readings"]) == 1


async def test_follow_tells_stored_readings_then_live_ones_each_once(app, server):
    before = [await app.take(spo2=number) for number in (91, 92, 93)]
    client = AsyncGatewayClient(server.path)
    stream = client.follow(last=2)
    first = [(await anext(stream))["id"] for _ in range(2)]
    assert first == before[1:]
    live = [await app.take(spo2=number) for number in (94, 95)]
    assert [(await anext(stream))["id"] for _ in range(2)] == live
    await stream.aclose()
    await until(lambda: not app.events.watched)


async def test_follow_passes_on_what_is_wanted_only(app, server):
    client = AsyncGatewayClient(server.path)
    stream = client.follow(device="cuff-3", metric="heart_rate")
    first = asyncio.ensure_future(anext(stream))
    await until(lambda: app.events.watched)
    await app.take(device="oximeter-1", metric="heart_rate")
    await app.take(device="cuff-3", metric="blood_pressure")
    wanted = await app.take(device="cuff-3", metric="heart_rate")
    assert (await first)["id"] == wanted
    await stream.aclose()


async def test_nobody_follows_nothing_is_built(app, server):
    await app.take()
    assert not app.events.watched
    assert app.events.lost == 0


async def test_a_slow_follower_is_told_how_much_it_lost(app, server):
    reader, writer = await asyncio.open_unix_connection(server.path, limit=2048)
    writer.write(b"GET /api/v1/readings/follow HTTP/1.1\r\nhost: x\r\n\r\n")
    await until(lambda: app.events.watched)
    filler = "x" * 2000
    sent = 0
    while app.events.lost < 10:  # the socket's buffer fills, then the queue
        app.events.emit("device.data.received", {"device_id": "d", "metric_type": "m", "n": sent, "filler": filler})
        sent += 1
        await asyncio.sleep(0)
    body = b""
    reader._limit = 1 << 22
    app.events.emit("device.data.received", {"device_id": "d", "metric_type": "m", "end": True})
    while b'"end":true' not in body:
        body += await asyncio.wait_for(reader.read(1 << 20), 10)
    writer.close()
    lines = [line for line in body.split(b"\n") if line.startswith(b"{") and line.endswith(b"}")]
    told = sum(json.loads(line).get("lost", 0) for line in lines)
    assert told == app.events.lost
    seen = [number for line in lines if (number := json.loads(line).get("n")) is not None]
    assert seen == sorted(seen)
    assert len(seen) + told >= sent - len(body) // 60000 - 1  # chunk heads may cut a line of this crude reader


async def test_follow_ends_when_the_agent_stops(app, server):
    client = AsyncGatewayClient(server.path)
    stream = client.follow(last=1)
    await app.take()
    assert (await anext(stream))["spo2"] == 97
    await server.stop(1.0)
    assert [reading async for reading in stream] == []


def test_times_have_one_form():
    assert rfc3339(0) == "1970-01-01T00:00:00.000000Z"


def test_a_follower_is_told_of_readings_that_came_too_fast_for_the_live_view():
    """A burst that is larger than what memory keeps: nothing of it, of no device, is left out in silence."""
    store = SimpleNamespace(head=0, recent=RecentRecords(1))
    app = SimpleNamespace(store=store, events=EventBus())
    live = LiveReadings(app)
    with app.events.listen() as heard:
        store.head, store.recent.start = 700, 500
        live.stored()
        assert heard.lost == 700
    store.head, store.recent.start = 1700, 1500
    live.stored()
    assert app.events.lost == 700  # nobody listened: nothing was lost
