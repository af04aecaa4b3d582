"""The broker registry's document, line by line, against a running agent and a real broker."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.documents.conftest import gateway_with, until_answered
from tests.support.waiting import until

BASE = "/api/mqtt-brokers"


@pytest.fixture
async def empty(tmp_path, broker):
    async with gateway_with(tmp_path, broker, brokers={}) as one:
        yield one


def kept(secret):
    return Path(secret.file).read_text()


def entry(broker, **changed):
    return {"broker_name": "Hospital Broker", "broker_host": "localhost", "broker_port": broker.port, **changed}


async def test_a_broker_from_creation_to_removal(empty, broker):
    http = empty.http
    body = entry(broker, username="ward", password="s3cret-of-the-ward")
    answer = await http.post(f"{BASE}/brokers", json=body)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert set(made) == {"id", "broker_name", "broker_host", "broker_port", "username", "is_active", "is_connected"}
    assert {**made, "is_connected": None} == {
        "id": 1,
        "broker_name": "Hospital Broker",
        "broker_host": "localhost",
        "broker_port": broker.port,
        "username": "ward",
        "is_active": True,
        "is_connected": None,
    }
    assert answer.headers["location"] == f"{BASE}/brokers/1"
    await empty.connected("hospital-broker")
    settings = empty.app.current.settings.brokers["hospital-broker"]
    assert (settings.label, kept(settings.password)) == ("Hospital Broker", "s3cret-of-the-ward")

    connected = {**made, "is_connected": True}
    for path in ("brokers", "status"):
        answer = await http.get(f"{BASE}/{path}")
        assert answer.json() == [connected]
        assert "s3cret" not in answer.text
    assert (await http.get(f"{BASE}/brokers/1")).json() == connected

    answer = await http.post(f"{BASE}/brokers/1/control", json={"action": "disconnect"})
    assert (answer.status_code, answer.json()) == (200, {"id": 1, "is_active": False, "is_connected": False})
    answer = await http.post(f"{BASE}/brokers/1/control", json={"action": "connect"})
    assert answer.json() == {"id": 1, "is_active": True, "is_connected": True}

    answer = await http.put(f"{BASE}/brokers/1", json={**connected, "broker_name": "Ward 7"})
    assert (answer.status_code, answer.json()["broker_name"], answer.json()["id"]) == (200, "Ward 7", 1)
    settings = empty.app.current.settings.brokers["hospital-broker"]
    assert (settings.label, settings.username) == ("Ward 7", "ward")
    assert kept(settings.password) == "s3cret-of-the-ward"
    assert await empty.refused("PUT", f"{BASE}/brokers/1", json={"broker_host": "elsewhere"}) == (422, "settings-wrong")
    answer = await http.put(f"{BASE}/brokers/1", json={"broker_port": 8883, "username": None, "password": None})
    settings = empty.app.current.settings.brokers["hospital-broker"]
    assert (settings.url, settings.username, settings.password) == ("mqtts://localhost:8883", None, None)
    answer = await http.put(f"{BASE}/brokers/1", json={"is_active": False})
    assert (answer.json()["is_active"], answer.json()["broker_port"]) == (False, 8883)

    answer = await http.delete(f"{BASE}/brokers/1")
    assert (answer.status_code, answer.json()) == (200, {"id": 1, "removed": True})
    assert (await http.get(f"{BASE}/brokers")).json() == []
    assert await empty.refused("GET", f"{BASE}/brokers/1") == (404, "not-found")


async def test_a_number_holds_over_restarts_and_is_given_once(tmp_path, broker):
    async with gateway_with(tmp_path, broker, brokers={"a": {"url": broker.url}}) as gateway:
        assert [each["id"] for each in (await gateway.http.get(f"{BASE}/brokers")).json()] == [1]
        made = await gateway.http.post(f"{BASE}/brokers", json=entry(broker))
        assert made.json()["id"] == 2
        await gateway.http.delete(f"{BASE}/brokers/2")
        assert (await gateway.http.post(f"{BASE}/brokers", json=entry(broker, broker_name="B"))).json()["id"] == 3
    async with gateway_with(tmp_path, broker, brokers={"a": {"url": broker.url}}) as gateway:
        known = {each["broker_name"]: each["id"] for each in (await gateway.http.get(f"{BASE}/brokers")).json()}
        assert known == {"a": 1, "B": 3}


async def test_two_brokers_at_one_address_have_client_ids_of_their_own(gateway, broker):
    """Or each would throw the other out."""
    answer = await gateway.http.post(f"{BASE}/brokers", json=entry(broker))
    assert (answer.status_code, answer.json()["id"]) == (201, 2)
    assert gateway.app.current.settings.brokers["hospital-broker"].client_id == "gatepost-gw-hospital-broker"
    await gateway.connected("hospital-broker")
    await gateway.connected()


async def test_tls_goes_with_its_port_and_an_ipv6_address_gets_its_brackets(empty, broker):
    body = entry(broker, broker_host="::1", broker_port=8883)
    made = await empty.http.post(f"{BASE}/brokers", json=body)
    assert (made.json()["broker_host"], made.json()["broker_port"]) == ("::1", 8883)
    assert empty.app.current.settings.brokers["hospital-broker"].url == "mqtts://[::1]:8883"


async def test_a_broker_that_is_not_there_is_not_connected(empty, broker):
    broker.kill()
    made = (await empty.http.post(f"{BASE}/brokers", json=entry(broker))).json()
    assert (made["is_active"], made["is_connected"]) == (True, False)
    answer = await empty.http.post(f"{BASE}/brokers/1/control", json={"action": "connect"})
    assert answer.json() == {"id": 1, "is_active": True, "is_connected": False}


async def test_devices_of_the_settings_are_listed(tmp_path, broker):
    devices = {
        "bench": {"driver": "lines", "port": str(tmp_path / "none"), "brokers": ["hospital"], "label": "Bench"},
        "any": {"driver": "lines", "port": str(tmp_path / "none2")},
    }
    brokers = {"hospital": {"url": broker.url}, "lab": {"url": broker.url, "client_id": "x"}}
    async with gateway_with(tmp_path, broker, devices=devices, brokers=brokers) as gateway:
        assert (await gateway.http.get(f"{BASE}/devices")).json() == [
            {"device_name": "any", "device_id": "any", "mqtt_broker_id": None, "device_type": None},
            {"device_name": "Bench", "device_id": "bench", "mqtt_broker_id": 1, "device_type": None},
        ]


async def test_bad_input(gateway, broker):
    refused = gateway.refused
    brokers = f"{BASE}/brokers"
    assert await refused("POST", brokers, json={"broker_name": "x"}) == (422, "bad-input")
    assert await refused("POST", brokers, json=entry(broker, broker_port=0)) == (422, "bad-input")
    assert await refused("POST", brokers, json=entry(broker, broker_port="1883")) == (422, "bad-input")
    assert await refused("POST", brokers, json=entry(broker, broker_host="a/b@c")) == (422, "bad-input")
    assert await refused("POST", brokers, json=entry(broker, broker_name="")) == (422, "bad-input")
    assert await refused("POST", brokers, json=entry(broker, broker_name="x" * 65)) == (422, "bad-input")
    assert await refused("POST", brokers, json=entry(broker, broker_name="Status")) == (422, "bad-input")
    assert await refused("POST", brokers, json=entry(broker, passwort="x")) == (422, "bad-input")
    assert await refused("POST", brokers, json=entry(broker, broker_name="HOSPITAL")) == (409, "exists")
    assert await refused("GET", f"{brokers}/7") == (404, "not-found")
    assert await refused("GET", f"{brokers}/first") == (422, "bad-input")
    assert await refused("PUT", f"{brokers}/7", json={}) == (404, "not-found")
    assert await refused("PUT", f"{brokers}/1", json={"broker_port": 70000}) == (422, "bad-input")
    assert await refused("DELETE", f"{brokers}/7") == (404, "not-found")
    assert await refused("POST", f"{brokers}/7/control", json={"action": "connect"}) == (404, "not-found")
    assert await refused("POST", f"{brokers}/1/control", json={"action": "explode"}) == (422, "bad-input")
    device = {"device_name": "Plug", "device_id": "plug-3", "mqtt_broker_id": 7, "device_type": "plug"}
    assert await refused("POST", f"{BASE}/devices", json=device) == (404, "not-found")
    assert await refused("POST", f"{BASE}/devices", json={**device, "device_id": "a b"}) == (422, "bad-input")
    operator, viewer = await gateway.as_("operator"), await gateway.as_("viewer")
    for method, path, body in (
        ("POST", "brokers", entry(broker)),
        ("PUT", "brokers/1", {}),
        ("DELETE", "brokers/1", None),
        ("POST", "devices", {**device, "mqtt_broker_id": 1}),
    ):
        assert await refused(method, f"{BASE}/{path}", json=body, headers=operator) == (403, "forbidden")
    assert await refused("POST", f"{brokers}/1/control", json={"action": "connect"}, headers=viewer) == (
        403,
        "forbidden",
    )
    for path in ("brokers", "brokers/1", "status", "devices"):
        assert await refused("GET", f"{BASE}/{path}", headers={"x-api-key": ""}) == (401, "unauthenticated")
        assert (await gateway.http.get(f"{BASE}/{path}", headers=viewer)).status_code == 200


async def test_a_broker_that_a_device_names_is_still_needed(tmp_path, broker):
    devices = {"bench": {"driver": "lines", "port": str(tmp_path / "none"), "brokers": ["hospital"]}}
    async with gateway_with(tmp_path, broker, devices=devices) as gateway:
        assert await gateway.refused("DELETE", f"{BASE}/brokers/1") == (409, "still-needed")


async def test_what_is_made_here_is_seen_by_the_other_interface(empty, broker):
    await empty.http.post(f"{BASE}/brokers", json=entry(broker))
    view = (await empty.local.get("brokers/hospital-broker")).json()
    assert (view["configured"]["label"], view["origin"]) == ("Hospital Broker", "api")
    await until(lambda: empty.app.brokers.get("hospital-broker").state == "connected")
    answer = await until_answered(lambda: empty.http.get("/health"), lambda told: told.json()["mqtt_connected"])
    assert answer.json()["status"] == "healthy"
