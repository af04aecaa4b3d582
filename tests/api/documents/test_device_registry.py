"""The device registry's document, line by line, against a running agent and a real broker."""

from __future__ import annotations

import asyncio
import os
import pty

import orjson
import pytest

from tests.api.documents.conftest import gateway_with, until_answered
from tests.support.ports import free_port

REGISTER = "/devices/register"


@pytest.fixture
def port(tmp_path):
    """A serial port, as the end that is ours and the path that the agent opens."""
    ours, theirs = pty.openpty()
    path = tmp_path / "tty"
    path.symlink_to(os.ttyname(theirs))
    yield ours, str(path)
    os.close(ours)
    os.close(theirs)


def registration(port, **changed):
    return {
        "device_id": "therm-1",
        "type": "temperature_sensor",
        "patient_id": "P-001",
        "model": "T2",
        "serial_number": "00-17",
        "driver": "lines",
        "port": port,
        "every": "0s",
        "options": {
            "format": "json",
            "metric": "body_temperature",
            "fields": {"t": {"name": "temperature", "unit": "Cel"}},
        },
        **changed,
    }


async def test_register_read_and_command(gateway, port):
    ours, path = port
    answer = await gateway.http.post(REGISTER, json=registration(path))
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert made.pop("status") in ("starting", "online")
    assert made.pop("created_at").endswith("Z")
    assert made == {
        "device_id": "therm-1",
        "type": "temperature_sensor",
        "patient_id": "P-001",
        "model": "T2",
        "serial_number": "00-17",
        "driver": "lines",
        "last_seen": None,
    }
    async with gateway.websocket("/ws/mqtt") as socket:
        await until_answered(
            lambda: gateway.local.get("devices/therm-1"), lambda told: told.json()["status"] == "online"
        )
        os.write(ours, b'{"t": 36.6}\n')
        async with asyncio.timeout(10):
            live = orjson.loads(await socket.recv())
        os.write(ours, b'{"t": 36.7, "humidity": 40}\n')
        async with asyncio.timeout(10):
            await socket.recv()
    assert (live["device_id"], live["metric_type"], live["temperature"]) == ("therm-1", "body_temperature", 36.6)
    assert live["schema"] == 1

    answer = await gateway.http.get("/devices/therm-1/data")
    assert answer.json()["device_id"] == "therm-1"
    newest, first = answer.json()["readings"]
    assert set(first) == {"metric_type", "value", "unit", "timestamp", "metadata"}
    assert (first["metric_type"], first["value"], first["unit"]) == ("body_temperature", 36.6, "Cel")
    assert (first["metadata"]["name"], first["metadata"]["patient_id"]) == ("temperature", "P-001")
    assert first["metadata"]["id"] == live["id"]
    assert (newest["temperature"], newest["humidity"], newest["units"]) == (36.7, 40, {"temperature": "Cel"})
    page = (await gateway.http.get("/devices/therm-1/data", params={"limit": 1})).json()
    assert page["readings"] == [newest]
    page = (await gateway.http.get("/devices/therm-1/data", params={"since": newest["timestamp"]})).json()
    assert page["readings"] == [newest]
    page = (await gateway.http.get("/devices/therm-1/data", params={"until": newest["timestamp"]})).json()
    assert page["readings"] == [first]

    answer = await gateway.http.post("/devices/therm-1/command", json={"command": "status"})
    assert (answer.status_code, answer.json()["status"]) == (200, "done")


async def test_a_ble_device_is_one_that_has_an_address(gateway):
    body = {"device_id": "cuff", "type": "blood_pressure_monitor", "address": "AA:BB:CC:DD:EE:FF"}
    answer = await gateway.http.post(REGISTER, json=body)
    assert (answer.status_code, answer.json()["driver"]) == (201, "ble")
    assert "token" not in answer.json()


async def test_what_was_said_of_a_device_holds_over_a_restart(tmp_path, broker, port):
    async with gateway_with(tmp_path, broker) as gateway:
        await gateway.http.post(REGISTER, json=registration(port[1]))
    async with gateway_with(tmp_path, broker) as gateway:
        (device,) = (await gateway.http.get("/api/mqtt-brokers/devices")).json()
        assert (device["device_id"], device["device_type"]) == ("therm-1", "temperature_sensor")


async def test_bad_input(gateway, port):
    refused = gateway.refused
    body = registration(port[1])
    assert await refused("POST", REGISTER, json={"device_id": "x"}) == (422, "bad-input")
    assert await refused("POST", REGISTER, json={**body, "device_id": "a b"}) == (422, "bad-input")
    assert await refused("POST", REGISTER, json={**body, "type": ""}) == (422, "bad-input")
    assert await refused("POST", REGISTER, json={**body, "driver": "none-such"}) == (422, "settings-wrong")
    assert await refused("POST", REGISTER, json={**body, "baudrat": 1}) == (422, "settings-wrong")
    assert await refused("POST", REGISTER, json={**body, "patient": "P-002"}) == (422, "bad-input")
    assert await refused("POST", REGISTER, content=b"[]") == (422, "bad-input")
    assert (await gateway.http.post(REGISTER, json=body)).status_code == 201
    assert await refused("POST", REGISTER, json=body) == (409, "exists")
    assert await refused("GET", "/devices/nobody/data") == (404, "not-found")
    assert await refused("GET", "/devices/therm-1/data", params={"limit": 0}) == (422, "bad-input")
    assert await refused("GET", "/devices/therm-1/data", params={"since": "yesterday"}) == (422, "bad-input")
    answer = await gateway.http.post("/devices/nobody/command", json={"command": "status"})
    assert (answer.status_code, answer.json()["error"]["key"]) == (404, "unknown-device")
    answer = await gateway.http.post("/devices/therm-1/command", json={"command": "dance"})
    assert (answer.status_code, answer.json()["error"]["key"]) == (422, "unknown-command")
    operator, viewer = await gateway.as_("operator"), await gateway.as_("viewer")
    assert await refused("POST", REGISTER, json=body, headers=operator) == (403, "forbidden")
    command = {"command": "status"}
    assert await refused("POST", "/devices/therm-1/command", json=command, headers=viewer) == (403, "forbidden")
    assert await refused("GET", "/devices/therm-1/data", headers={"x-api-key": ""}) == (401, "unauthenticated")
    assert await refused("GET", "/ws/mqtt", headers={"x-api-key": ""}) == (401, "unauthenticated")
    assert (await gateway.http.get("/ws/mqtt")).status_code == 426


async def test_a_device_that_is_away_is_503_for_a_command(gateway, tmp_path):
    body = registration(str(tmp_path / "nothing"), driver="and-scale", options={}, type="weight_scale")
    assert (await gateway.http.post(REGISTER, json=body)).status_code == 201
    answer = await gateway.http.post("/devices/therm-1/command", json={"command": "read_now"})
    assert (answer.status_code, answer.json()["error"]["key"]) == (503, "device-offline")


async def test_a_device_that_connects_to_the_gateway_gets_its_token_once(tmp_path, broker):
    """Its reading, published with that token, is stored, sent on, and shown by the document's route."""
    listen = free_port()
    sections = {"listener": {"listen": f"127.0.0.1:{listen}"}}
    async with gateway_with(tmp_path, broker, **sections) as gateway:
        body = {"device_id": "esp-1", "type": "temperature_sensor", "patient_id": "P-001"}
        made = (await gateway.http.post(REGISTER, json=body)).json()
        assert (made["driver"], made["type"], made["patient_id"]) == ("mqtt", "temperature_sensor", "P-001")
        body = {"device_name": "Plug 3", "device_id": "plug-3", "mqtt_broker_id": 1, "device_type": "plug"}
        answer = await gateway.http.post("/api/mqtt-brokers/devices", json=body)
        assert answer.status_code == 201, answer.text
        plug = answer.json()
        token = plug.pop("token")
        assert plug == body
        assert plug in (await gateway.http.get("/api/mqtt-brokers/devices")).json()
        assert "token" not in (await gateway.http.get("/api/mqtt-brokers/devices")).text
        assert gateway.app.current.settings.devices["plug-3"].brokers == ["hospital"]
        for device, secret in (("esp-1", made["token"]), ("plug-3", token)):
            sender = await asyncio.create_subprocess_exec(
                *("mosquitto_pub", "-h", "127.0.0.1", "-p", str(listen), "-u", device, "-P", secret, "-i", device),
                *("-q", "1", "-t", f"devices/{device}/data", "-m", '{"temperature": 21.5}'),
            )
            assert await asyncio.wait_for(sender.wait(), 20) == 0
            page = (await gateway.http.get(f"/devices/{device}/data")).json()
            assert [reading["value"] for reading in page["readings"]] == [21.5]
        assert await gateway.refused("GET", "/devices/esp-1/data", headers={"x-api-key": token}) == (403, "forbidden")
