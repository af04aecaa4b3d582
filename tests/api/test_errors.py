from __future__ import annotations

import logging

import pytest

from gatepost.agent.api.http.router import BODY_LIMIT


@pytest.mark.parametrize(
    ("path", "status", "key"),
    [
        ("/nothing/here", 404, "not-found"),
        ("/api/v1/devices/nobody", 404, "not-found"),
        ("/api/v1/devices/nobody/data", 404, "not-found"),
        ("/api/v1/devices/nobody/commands", 404, "not-found"),
        ("/api/v1/readings?device=nobody", 404, "not-found"),
        ("/api/v1/readings/follow?device=nobody", 404, "not-found"),
        ("/api/v1/brokers/nobody", 404, "not-found"),
        ("/api/v1/dead-letters?broker=nobody", 404, "not-found"),
        ("/api/v1/status?verbose=1", 422, "bad-input"),
        ("/api/v1/readings?limits=5", 422, "bad-input"),
        ("/api/v1/readings?limit=0", 422, "bad-input"),
        ("/api/v1/readings?limit=5&limit=6", 422, "bad-input"),
        ("/api/v1/readings?limit=many", 422, "bad-input"),
        ("/api/v1/readings?since=yesterday", 422, "bad-input"),
        ("/api/v1/readings?since=2026-11-20T10:00:00", 422, "bad-input"),
        ("/api/v1/readings?=", 422, "bad-input"),
        ("/api/v1/readings?cursor=-1", 422, "bad-input"),
        ("/api/v1/brokers/hospital/control", 405, "method-not-allowed"),
    ],
)
async def test_wrong_requests_have_a_status_and_a_key(http, path, status, key):
    answer = await http.get(path)
    assert (answer.status_code, answer.json()["error"]["key"]) == (status, key)
    assert set(answer.json()["error"]) == {"key", "message", "hint"}


async def test_an_unknown_parameter_is_named_with_those_that_there_are(http):
    error = (await http.get("/api/v1/readings?limits=5")).json()["error"]
    assert "limits" in error["message"]
    assert "limit" in error["hint"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("since=foo", "since: 'foo' is not a time as RFC 3339 with a zone, such as 2026-11-20T10:30:00Z"),
        ("limit=0", "limit: '0' is not a number from 1 to 1000"),
        ("limit=x", "limit: 'x' is not a number from 1 to 1000"),
        ("cursor=x", "cursor: 'x' is not the `cursor` of the answer before"),
        ("device=a/b", "device: 'a/b' is not a name: letters, digits, `_`, `.` and `-`, at most 64"),
    ],
)
async def test_a_wrong_parameter_is_told_in_plain_words(http, query, message):
    error = (await http.get(f"/api/v1/readings?{query}")).json()["error"]
    assert error["message"] == message
    assert "$" not in error["message"] + error["hint"]


async def test_a_wrong_member_of_a_body_is_named(http):
    answer = await http.post("/api/v1/brokers/hospital/control", json={"action": "explode"})
    assert answer.json()["error"]["message"] == "action: invalid enum value 'explode'"


async def test_the_methods_of_a_path_are_told(http):
    answer = await http.delete("/api/v1/brokers/hospital/control")
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "body", [b"no json", b"[]", b'{"action": "explode"}', b'{"action": "connect", "more": 1}', b"{}", b"\xff"]
)
async def test_wrong_bodies_are_422(app, http, body):
    answer = await http.post("/api/v1/brokers/hospital/control", content=body)
    assert (answer.status_code, answer.json()["error"]["key"]) == (422, "bad-input")
    assert app.brokers.by_name["hospital"].state["state"] == "connected"


async def test_a_body_beyond_the_limit_is_refused(http):
    answer = await http.post("/api/v1/reload", content=b" " * (BODY_LIMIT + 1))
    assert (answer.status_code, answer.json()["error"]["key"]) == (413, "too-large")


async def test_a_body_without_a_length_is_counted(http):
    async def endless():
        for _ in range(BODY_LIMIT // 65536 + 2):
            yield b" " * 65536

    answer = await http.post("/api/v1/reload", content=endless())
    assert (answer.status_code, answer.json()["error"]["key"]) == (413, "too-large")


async def test_a_crash_is_logged_and_shows_nothing_of_the_inside(http, caplog):
    with caplog.at_level(logging.ERROR):
        answer = await http.post("/api/v1/gateway/command", json={"command": "explode"})
    assert answer.status_code == 500
    assert answer.json()["error"]["key"] == "internal"
    assert "secret-of-the-house" not in answer.text
    assert "secret-of-the-house" in caplog.text
    assert (await http.get("/health")).status_code == 200


@pytest.mark.parametrize("value", ["[" * 900 + "]" * 900, "9" * 5000, "9" * 40, "1e999", "-1e999"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("devices/cuff-3/command", '{"command": "status", "parameters": {"x": %s}}'),
        ("devices", '{"device_id": "d", "driver": "lines", "options": {"x": %s}}'),
        ("tokens", '{"role": "viewer", "name": %s}'),
    ],
)
async def test_json_beyond_all_bounds_is_bad_input(http, path, body, value):
    answer = await http.post(f"/api/v1/{path}", content=body % value)
    assert (answer.status_code, answer.json()["error"]["key"]) == (422, "bad-input")


async def test_a_body_that_is_no_json_is_told_in_words(http):
    answer = await http.post("/api/v1/publish", content=b"x=1")
    assert answer.status_code == 422
    assert answer.json()["error"]["message"].startswith("body: JSON is malformed")
