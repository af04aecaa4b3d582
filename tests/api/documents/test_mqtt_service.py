"""The MQTT service's document, line by line, against a running agent and a real broker."""

from __future__ import annotations

import orjson

from tests.api.documents.conftest import gateway_with
from tests.support.waiting import until
from tests.uplink.gateway import listening


async def test_health_and_status(gateway):
    assert (await gateway.http.get("/mqtt/health")).json() == {"status": "ok", "isConnected": True}
    status = (await gateway.http.get("/mqtt/status")).json()
    since = gateway.app.brokers.get("hospital").as_dict()["since"]
    assert status == {"isConnected": True, "clientId": "gatepost-gw", "connectedAt": since, "reconnectAttempts": 0}
    gateway.broker.kill()
    await until(lambda: gateway.app.brokers.get("hospital").as_dict()["attempts"] > 1)
    assert (await gateway.http.get("/mqtt/health")).json() == {"status": "error", "isConnected": False}
    status = (await gateway.http.get("/mqtt/status")).json()
    assert (status["isConnected"], status["connectedAt"]) == (False, None)
    assert status["reconnectAttempts"] >= 1


async def test_subscriptions_and_statistics(gateway):
    http = gateway.http
    answer = await http.post("/mqtt/subscribe", json={"topic": "ward/#", "qos": 2})
    assert (answer.status_code, answer.json()) == (200, {"status": "subscribed", "topic": "ward/#", "qos": 2})
    assert (await http.get("/mqtt/subscriptions")).json() == [{"topic": "ward/#", "qos": 2}]
    statistics = (await http.get("/mqtt/stats")).json()
    status = (await http.get("/mqtt/status")).json()
    assert statistics == {**status, "totalSubscriptions": 1, "activeSubscriptions": 1}
    answer = await http.delete("/mqtt/unsubscribe/ward/%23")
    assert (answer.status_code, answer.json()) == (200, {"status": "unsubscribed", "topic": "ward/#"})
    assert (await http.get("/mqtt/subscriptions")).json() == []
    assert (await http.get("/mqtt/stats")).json()["totalSubscriptions"] == 0


async def test_publish_and_broadcast(gateway):
    async with listening(gateway.broker.url) as ear:

        def heard(topic):
            return next((bytes(each.payload) for each in ear.messages if each.topic == topic), None)

        published = {"status": "published", "topic": "a", "qos": 0, "retain": True}
        answer = await gateway.http.post("/mqtt/publish", json={"topic": "a", "payload": "1", "qos": 0, "retain": True})
        assert (answer.status_code, answer.json()) == (200, published)
        await gateway.http.post("/mqtt/publish", json={"topic": "b", "message": {"x": 1}})
        answer = await gateway.http.post("/mqtt/broadcast", json={"topic": "c", "message": {"alarm": True}})
        assert answer.json() == {"status": "published", "topic": "c", "qos": 1, "retain": False}
        plain = {"topic": "d", "message": {"alarm": True}, "includeTimestamp": False}
        assert (await gateway.http.post("/mqtt/broadcast", json=plain)).status_code == 200
        await gateway.http.post("/mqtt/broadcast", json={"topic": "e", "message": "text", "includeTimestamp": True})
        await until(lambda: heard("e"))
        assert [heard(topic) for topic in "abde"] == [b"1", b'{"x":1}', b'{"alarm":true}', b"text"]
        told = orjson.loads(heard("c"))
        assert told.pop("timestamp").endswith("Z")
        assert told == {"alarm": True}


async def test_bad_input(gateway):
    refused = gateway.refused
    assert await refused("POST", "/mqtt/publish", json={"topic": "a/+"}) == (422, "bad-input")
    assert await refused("POST", "/mqtt/broadcast", json={"topic": "a"}) == (422, "bad-input")
    assert await refused("POST", "/mqtt/subscribe", json={}) == (422, "bad-input")
    assert await refused("DELETE", "/mqtt/unsubscribe/never") == (404, "not-found")
    assert await refused("GET", "/mqtt/status", params={"broker": "lab"}) == (404, "not-found")
    assert await refused("GET", "/mqtt/nothing") == (404, "not-found")
    for path in ("health", "status", "stats", "subscriptions"):
        assert await refused("GET", f"/mqtt/{path}", headers={"x-api-key": ""}) == (401, "unauthenticated")
    viewer = await gateway.as_("viewer")
    for path in ("publish", "subscribe", "broadcast"):
        body = {"topic": "a", "message": "x"}
        assert await refused("POST", f"/mqtt/{path}", json=body, headers=viewer) == (403, "forbidden")
    gateway.broker.kill()
    await until(lambda: gateway.app.brokers.get("hospital").state != "connected")
    body = {"topic": "a", "message": "x"}
    assert await refused("POST", "/mqtt/broadcast", json=body) == (503, "broker-not-connected")


async def test_with_several_brokers_one_is_named(tmp_path, broker):
    brokers = {"a": {"url": broker.url}, "b": {"url": broker.url, "client_id": "other"}}
    async with gateway_with(tmp_path, broker, brokers=brokers) as gateway:
        await gateway.connected("b")
        assert await gateway.refused("GET", "/mqtt/status") == (422, "broker-needed")
        assert (await gateway.http.get("/mqtt/status", params={"broker": "b"})).json()["clientId"] == "other"
        await gateway.http.post("/mqtt/subscribe", json={"topic": "x", "broker": "b"})
        assert (await gateway.http.get("/mqtt/subscriptions", params={"broker": "a"})).json() == []
        assert (await gateway.http.get("/mqtt/subscriptions")).json() == [{"topic": "x", "qos": 0}]
