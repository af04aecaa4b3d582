from __future__ import annotations

import pytest

from gatepost.agent.api.routes import ROUTES

PAGE = ("/", "/static/{file:path}", "/metrics", "/docs", "/ws")  # no JSON, or no plain answer
STREAMS = ("follow", "raw", "backup", "-bundle")
PLAIN = [
    route.path.replace("{name}", "hospital")
    .replace("{id}", "oximeter-1")
    .replace("{driver}", "lines")
    .replace("{format}", "senml")
    for route in ROUTES
    if route.method == "GET" and route.path not in PAGE and not route.path.endswith(STREAMS)
]


@pytest.mark.parametrize("path", PLAIN)
async def test_every_get_route_answers_with_json(http, path):
    answer = await http.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert isinstance(answer.json(), dict)


@pytest.mark.parametrize("path", PLAIN)
async def test_no_answer_shows_a_secret_or_a_patient(app, http, path):
    text = (await http.get(path)).text
    assert "open-sesame" not in text
    assert "P-001" not in text


async def test_status_has_what_one_screen_needs(app, http):
    await app.take()
    answer = (await http.get("/api/v1/status")).json()
    assert answer["gateway"]["id"] == "ward-7"
    assert answer["clock"]["synchronised"] is True
    assert answer["store"]["head"] == 1
    assert [device["id"] for device in answer["devices"]] == ["oximeter-1", "cuff-3"]
    assert {broker["name"]: broker["owed"]["readings"] for broker in answer["brokers"]} == {"hospital": 1, "lab": 1}
    assert answer["settings"]["files"] == ["/etc/gatepost/gatepost.yaml"]


async def test_health_is_degraded_while_a_part_is_not_well(app, http):
    answer = (await http.get("/health/detailed")).json()
    assert answer["status"] == "degraded"
    assert answer["parts"]["devices"] == {"oximeter-1": "online", "cuff-3": "offline"}
    app.devices.by_id["cuff-3"].state["status"] = "online"
    app.brokers.by_name["lab"].state["state"] = "connected"
    assert (await http.get("/health/detailed")).json()["status"] == "ok"
    assert (await http.get("/health")).json()["status"] == "healthy"
    app.store.losses.notice = "12 readings may be missing"  # until somebody has seen it
    assert (await http.get("/health/detailed")).json()["status"] == "degraded"
    assert (await http.get("/health")).json()["status"] == "degraded"


async def test_a_broker_with_settings_and_what_it_is_owed(app, http):
    await app.take()
    broker = (await http.get("/api/v1/brokers/hospital")).json()
    assert broker["settings"]["url"] == "mqtt://h:1883"
    assert broker["settings"]["password"] == "***"
    assert broker["owed"]["readings"] == 1


async def test_settings_tell_where_each_key_was_written(http):
    lines = {line["key"]: line for line in (await http.get("/api/v1/settings")).json()["settings"]}
    assert lines["brokers.hospital.url"]["origin"] == "/etc/gatepost/gatepost.yaml:7:5"
    assert lines["brokers.hospital.keepalive"] == {
        "key": "brokers.hospital.keepalive",
        "value": "30s",
        "origin": "default",
        "help": "longest silence before a ping; 0 = none",
        "editable": True,
    }
    assert lines["brokers.hospital.password"]["value"] == "***"
    assert "lab" in lines["brokers.lab.password"]["value"]
    assert lines["devices.oximeter-1.patient"]["value"] == "***"


async def test_connect_and_disconnect_a_broker(app, http):
    answer = await http.post("/api/v1/brokers/hospital/control", json={"action": "disconnect"})
    assert (answer.status_code, answer.json()["state"]) == (200, "disconnected")
    assert app.brokers.by_name["hospital"].state["state"] == "disconnected"
    await http.post("/api/v1/brokers/hospital/control", json={"action": "connect"})
    assert app.brokers.by_name["hospital"].state["state"] == "connected"


async def test_a_broker_that_cannot_be_reached_is_503(http):
    answer = await http.post("/api/v1/brokers/lab/control", json={"action": "connect"})
    assert answer.status_code == 503
    assert answer.json()["error"] == {
        "key": "broker-not-connected",
        "message": "the broker refuses this gateway",
        "hint": "see its password",
    }


async def test_a_device_tells_its_commands(http):
    device = (await http.get("/api/v1/devices/oximeter-1")).json()
    commands = {command["name"]: command for command in device["commands"]}
    assert "interval" in str(commands["set_interval"]["parameters"])


async def test_reload_is_asked_for_by_name(app, http):
    answer = await http.post("/api/v1/reload", headers={"user-agent": "gatepost-cli/1"})
    assert answer.json() == app.outcome
    assert app.reloads == ["cli"]


async def test_gaps_and_dead_letters(app, http):
    app.store.lost("oximeter-1", 5, "queue-full")
    seq = int((await app.take()).rsplit(":", 1)[1])
    app.store.dead_letter("lab", seq, 0x99, "payload format invalid")
    await app.take()
    gaps = (await http.get("/api/v1/gaps")).json()["gaps"]
    assert [(gap["device_id"], gap["count"], gap["reason"]) for gap in gaps] == [("oximeter-1", 5, "queue-full")]
    letters = (await http.get("/api/v1/dead-letters", params={"broker": "lab"})).json()["dead_letters"]
    assert [(letter["broker"], letter["code"]) for letter in letters] == [("lab", 0x99)]
    assert (await http.get("/api/v1/dead-letters", params={"broker": "hospital"})).json()["dead_letters"] == []


async def test_the_audit_log_comes_in_pages(app, http):
    for number in range(5):
        app.audit.record("command", id=str(number))
    first = (await http.get("/api/v1/audit", params={"limit": 3})).json()
    assert [entry["id"] for entry in first["audit"]] == ["4", "3", "2"]
    rest = (await http.get("/api/v1/audit", params={"limit": 3, "cursor": first["cursor"]})).json()
    assert [entry["id"] for entry in rest["audit"]] == ["1", "0"]
    assert rest["cursor"] is None
