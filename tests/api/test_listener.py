"""Routes of the listener, and tokens of devices."""

from __future__ import annotations

import msgspec
import pytest

from gatepost.agent.settings.model import DeviceSettings


@pytest.fixture
def plug(app):
    devices = {**app.settings.devices, "plug-3": DeviceSettings(driver="mqtt")}
    devices["kitchen"] = DeviceSettings(driver="mqtt", options={"via": "plug-3"})
    app.settings = msgspec.structs.replace(app.settings, devices=devices)


async def test_it_is_off(remote):
    headers = await remote.as_("viewer")
    answer = (await remote.http.get("/api/v1/listener", headers=headers)).json()
    assert answer["isInitialized"] is False
    assert answer["clients"] == []
    stats = (await remote.http.get("/api/v1/stats", headers=headers)).json()
    assert stats["listener"] == answer
    health = (await remote.http.get("/health/detailed", headers=headers)).json()
    assert health["parts"]["listener"] == {"state": "off", "connected": 0}
    assert "gatepost_listener" not in (await remote.http.get("/metrics", headers=headers)).text


async def test_refused_messages_are_for_operators(app, remote):
    app.listener.refusals.add("plug-3", "tele/plug-3/SENSOR", "not-your-topic", b'{"t": 21}')
    refused = await remote.http.get("/api/v1/listener/refused", headers=await remote.as_("viewer"))
    assert refused.status_code == 403
    answer = await remote.http.get("/api/v1/listener/refused", headers=await remote.as_("operator"))
    (shown,) = answer.json()["refused"]
    assert (shown["device"], shown["reason"], shown["count"], shown["payload"]) == (
        "plug-3",
        "not-your-topic",
        1,
        '{"t": 21}',
    )


async def test_hanging_up(app, remote):
    app.listener.connected = {"plug-3": 2}
    headers = await remote.as_("operator")
    ended = await remote.http.delete("/api/v1/listener/clients/plug-3", headers=headers)
    assert (ended.status_code, ended.json()) == (200, {"device": "plug-3", "ended": 2})
    again = await remote.http.delete("/api/v1/listener/clients/plug-3", headers=headers)
    assert (again.status_code, again.json()["error"]["key"]) == (404, "not-found")
    assert [entry["device"] for entry in await app.audit.tail(what="device-hung-up")] == ["plug-3"]


async def test_a_token_of_a_device_opens_no_route(remote, plug):
    headers = await remote.as_("admin")
    made = await remote.http.post("/api/v1/tokens", json={"device": "plug-3", "expires": "90d"}, headers=headers)
    assert made.status_code == 201
    token = made.json()
    assert (token["role"], token["device"], token["publish"]) == ("device", "plug-3", [])
    assert len(token["token"]) == 59
    own = {"authorization": f"Bearer {token['token']}"}
    for path in ("/api/v1/status", "/api/v1/listener", "/metrics", "/ws"):
        assert (await remote.http.get(path, headers=own)).status_code == 403
    assert (await remote.http.post("/api/v1/session", json={"token": token["token"]})).status_code == 403
    assert (await remote.http.get("/health", headers=own)).status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"device": "plug-3", "role": "viewer"}, 422),
        ({"device": "plug-3", "publish": ["#"]}, 422),
        ({"device": "cuff-3"}, 422),
        ({"device": "kitchen"}, 422),
        ({"device": "stranger"}, 404),
        ({"device": "a/b"}, 422),
    ],
)
async def test_what_is_no_token_of_a_device(remote, plug, body, status):
    answer = await remote.http.post("/api/v1/tokens", json=body, headers=await remote.as_("admin"))
    assert answer.status_code == status
