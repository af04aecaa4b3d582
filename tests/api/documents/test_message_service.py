"""The message service's document, line by line, against a running agent and a real broker."""

from __future__ import annotations

import base64

import pytest

from gatepost.drivers.installed import version
from tests.api.documents.conftest import gateway_with, until_answered
from tests.api.websocket_clients import said
from tests.support.waiting import until
from tests.uplink.gateway import listening


async def received(gateway, **query):
    answer = await gateway.http.get("/messages", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def until_received(gateway, count, **query):
    return await until_answered(lambda: received(gateway, **query), lambda page: page["total"] >= count)


async def test_publish(gateway):
    async with listening(gateway.broker.url) as ear:
        body = {"topic": "ward/bed-4", "payload": "hello", "qos": 1, "retain": False}
        answer = await gateway.http.post("/publish", json=body)
        assert (answer.status_code, answer.json()) == (
            200,
            {"status": "published", "topic": "ward/bed-4", "qos": 1, "retain": False},
        )
        answer = await gateway.http.post("/publish", json={"topic": "ward/object", "payload": {"spo2": 97}, "qos": 2})
        assert answer.json()["qos"] == 2
        await until(
            lambda: (
                {(each.topic, bytes(each.payload)) for each in ear.messages}
                >= {("ward/bed-4", b"hello"), ("ward/object", b'{"spo2":97}')}
            )
        )


async def test_subscribe_receive_and_unsubscribe(gateway):
    answer = await gateway.http.post("/subscribe", json={"topic": "ward/+/temp", "qos": 1})
    assert (answer.status_code, answer.json()) == (200, {"status": "subscribed", "topic": "ward/+/temp", "qos": 1})
    for number in range(3):
        await gateway.http.post("/publish", json={"topic": f"ward/{number}/temp", "payload": f"{number}"})
    page = await until_received(gateway, 3)
    assert [(each["topic"], each["payload"], each["qos"], each["retain"]) for each in page["messages"]] == [
        (f"ward/{number}/temp", str(number), 1, False) for number in (2, 1, 0)
    ]
    assert set(page["messages"][0]) == {"topic", "payload", "qos", "retain", "timestamp"}
    assert (page["total"], page["limit"], page["offset"]) == (3, 100, 0)

    page = await received(gateway, limit=1, offset=1)
    assert ([each["payload"] for each in page["messages"]], page["total"], page["limit"], page["offset"]) == (
        ["1"],
        3,
        1,
        1,
    )
    assert (await received(gateway, topic="ward/2/temp"))["total"] == 1
    assert (await received(gateway, topic=""))["total"] == 3
    assert (await gateway.http.get("/topics")).json() == {"topics": [f"ward/{number}/temp" for number in (2, 1, 0)]}
    assert (await gateway.http.get("/stats")).json() == {
        "total_messages": 3,
        "unique_topics": 3,
        "recent_messages": 3,
        "topic_counts": {f"ward/{number}/temp": 1 for number in range(3)},
        "mqtt_connected": True,
        "websocket_connections": 0,
        "uptime": pytest.approx(5, abs=60),
    }
    answer = await gateway.http.delete("/subscribe/ward/%2B/temp")
    assert (answer.status_code, answer.json()) == (200, {"status": "unsubscribed", "topic": "ward/+/temp"})
    assert gateway.app._subscriptions.all() == []


@pytest.mark.parametrize("path", ["/subscribe/a/b/c", "/subscribe/a%2Fb%2Fc"])
async def test_a_topic_in_a_path_may_hold_slashes_in_both_ways(gateway, path):
    await gateway.http.post("/subscribe", json={"topic": "a/b/c"})
    assert (await gateway.http.delete(path)).json() == {"status": "unsubscribed", "topic": "a/b/c"}


async def test_a_message_that_is_no_text_says_so(gateway):
    await gateway.http.post("/subscribe", json={"topic": "raw"})
    octets = base64.b64encode(b"\xff\x00").decode()
    await gateway.http.post("/publish", json={"topic": "raw", "payload": octets, "encoding": "base64"})
    page = await until_received(gateway, 1)
    assert (page["messages"][0]["payload"], page["messages"][0]["encoding"]) == (octets, "base64")


async def test_health_is_open_and_tells_of_the_broker(gateway):
    answer = await gateway.http.get("/health", headers={"x-api-key": ""})
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "status": "healthy",
            "mqtt_connected": True,
            "uptime": pytest.approx(5, abs=60),
            "message_count": 0,
            "active_subscriptions": 0,
            "websocket_connections": 0,
        },
    )
    gateway.broker.kill()

    answer = await until_answered(lambda: gateway.http.get("/health"), lambda told: told.json()["status"] == "degraded")
    assert answer.json()["mqtt_connected"] is False


async def test_the_root_answers_json_to_those_who_want_no_page(gateway):
    answer = await gateway.http.get("/", headers={"accept": "application/json"})
    assert answer.json() == {"service": "gatepost", "version": version("gatepost"), "status": "healthy"}
    for accept in ("text/html,application/xhtml+xml,*/*", "*/*", "application/json, text/html"):
        assert (await gateway.http.get("/", headers={"accept": accept})).text.startswith("<!")


async def test_the_text_ping_is_answered_on_the_websocket(gateway):
    async with gateway.websocket("/ws") as socket:
        await socket.send("ping")
        assert await said(socket, "pong") == {"event": "pong"}
        await gateway.http.post("/subscribe", json={"topic": "x"})
        await gateway.http.post("/publish", json={"topic": "x", "payload": "1"})
        assert (await said(socket, "message"))["data"]["topic"] == "x"


async def test_bad_input(gateway):
    refused = gateway.refused
    assert await refused("POST", "/publish", json={"payload": "x"}) == (422, "bad-input")
    assert await refused("POST", "/publish", json={"topic": "a/#"}) == (422, "bad-input")
    assert await refused("POST", "/publish", json={"topic": "a", "qos": 3}) == (422, "bad-input")
    assert await refused("POST", "/publish", json={"topic": "a", "retian": True}) == (422, "bad-input")
    assert await refused("POST", "/publish", content=b"{") == (422, "bad-input")
    assert await refused("POST", "/publish", json={"topic": "a", "broker": "lab"}) == (404, "not-found")
    assert await refused("POST", "/subscribe", json={"topic": "a/#/b"}) == (422, "bad-input")
    assert await refused("DELETE", "/subscribe/never") == (404, "not-found")
    assert await refused("GET", "/messages", params={"limit": 0}) == (422, "bad-input")
    assert await refused("GET", "/messages", params={"offset": -1}) == (422, "bad-input")
    assert await refused("GET", "/messages", params={"topic": "a/#/b"}) == (422, "bad-input")
    assert await refused("GET", "/messages", headers={"x-api-key": ""}) == (401, "unauthenticated")
    assert await refused("GET", "/messages", headers={"x-api-key": "gp_none"}) == (401, "unauthenticated")
    viewer = await gateway.as_("viewer")
    assert await refused("POST", "/publish", json={"topic": "a"}, headers=viewer) == (403, "forbidden")
    narrow = await gateway.as_("operator", publish=["b"], subscribe=["b"])
    assert await refused("POST", "/publish", json={"topic": "a"}, headers=narrow) == (403, "forbidden")
    assert await refused("POST", "/subscribe", json={"topic": "a"}, headers=narrow) == (403, "forbidden")
    assert await refused("PUT", "/publish", json={"topic": "a"}) == (405, "method-not-allowed")
    gateway.broker.kill()
    await until(lambda: gateway.app.brokers.get("hospital").state != "connected")
    assert await refused("POST", "/publish", json={"topic": "a", "payload": "x"}) == (503, "broker-not-connected")
    answer = await gateway.http.post("/subscribe", json={"topic": "later"})
    assert (answer.status_code, answer.json()["status"]) == (200, "waiting")


async def test_too_many_requests(tmp_path, broker):
    async with gateway_with(tmp_path, broker, api={"rate_limit": "2/s"}) as gateway:
        answers = [await gateway.http.get("/stats") for _ in range(10)]
        assert answers[-1].status_code == 429
        assert answers[-1].json()["error"]["key"] == "too-many-requests"
        assert int(answers[-1].headers["retry-after"]) >= 1


async def test_the_broker_of_requests_that_name_none(tmp_path, broker):
    brokers = {"a": {"url": broker.url}, "b": {"url": broker.url, "client_id": "other"}}
    body = {"topic": "t", "payload": "x"}
    async with gateway_with(tmp_path, broker, brokers=brokers) as gateway:
        await gateway.connected("b")
        answer = await gateway.http.post("/publish", json=body)
        assert (answer.status_code, answer.json()["error"]["key"]) == (422, "broker-needed")
        assert (await gateway.http.post("/publish", json={**body, "broker": "b"})).status_code == 200
    async with gateway_with(tmp_path, broker, brokers=brokers, api={"default_broker": "b"}) as gateway:
        await gateway.connected("b")
        assert (await gateway.http.post("/publish", json=body)).status_code == 200
        answer = await gateway.http.delete("/api/v1/brokers/b")
        assert (answer.status_code, answer.json()["error"]["key"]) == (409, "still-needed")
    async with gateway_with(tmp_path, broker, brokers={}) as gateway:
        answer = await gateway.http.post("/publish", json=body)
        assert (answer.status_code, answer.json()["error"]["key"]) == (422, "broker-needed")
        assert (await gateway.http.get("/health")).json()["status"] == "healthy"
