from __future__ import annotations

import asyncio

import pytest

from gatepost.agent.api.auth.principal import Principal
from gatepost.agent.api.auth.sessions import IDLE, LONGEST, MOST, SessionStore
from tests.api.remote import listening

CONTROL = "/api/v1/brokers/hospital/control"
BODY = {"action": "disconnect"}


async def sign_in(remote, role="operator", **options):
    token = await remote.token(role, **options)
    answer = await remote.http.post("/api/v1/session", json={"token": token})
    assert answer.status_code == 201, answer.text
    return answer


async def test_a_token_becomes_a_cookie_that_scripts_cannot_read(remote):
    answer = await sign_in(remote, name="nurse")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Secure" not in cookie  # there is no TLS here, and a browser would throw it away
    told = (await remote.http.get("/api/v1/session")).json()
    assert (told["name"], told["role"], told["csrf"]) == ("nurse", "operator", answer.json()["csrf"])
    assert "token" not in answer.json()


async def test_a_page_reads_with_the_cookie_and_changes_with_the_csrf_token_only(remote):
    csrf = (await sign_in(remote)).json()["csrf"]
    broker = remote.app.brokers.by_name["hospital"]
    assert (await remote.http.get("/api/v1/status")).status_code == 200
    for headers in ({}, {"x-csrf-token": "wrong"}, {"x-csrf-token": csrf, "origin": "https://evil.example"}):
        answer = await remote.http.post(CONTROL, json=BODY, headers=headers)
        assert answer.status_code == 403
        assert broker.state["state"] == "connected"
    answer = await remote.http.post(CONTROL, json=BODY, headers={"x-csrf-token": csrf, "origin": remote.url})
    assert (answer.status_code, broker.state["state"]) == (200, "disconnected")


async def test_signing_in_from_another_origin_is_refused(remote):
    body = {"token": await remote.token("viewer")}
    answer = await remote.http.post("/api/v1/session", json=body, headers={"origin": "http://evil.example"})
    assert (answer.status_code, answer.json()["error"]["key"]) == (403, "wrong-origin")
    assert "set-cookie" not in answer.headers


async def test_signing_out_ends_the_session(remote):
    csrf = (await sign_in(remote)).json()["csrf"]
    kept = dict(remote.http.cookies)
    assert (await remote.http.delete("/api/v1/session", headers={"x-csrf-token": csrf})).json() == {"ended": True}
    remote.http.cookies.clear()
    cookie = "; ".join(f"{name}={value}" for name, value in kept.items())
    assert (await remote.http.get("/api/v1/status", headers={"cookie": cookie})).status_code == 401


async def test_a_session_ends_with_its_token(remote):
    await sign_in(remote)
    (token,) = remote.server._tokens.every()
    await remote.server._tokens.revoke(token.id)
    assert (await remote.http.get("/api/v1/status")).status_code == 401


async def test_a_session_ends_when_its_token_expires(remote):
    await sign_in(remote, lifetime=60.0)
    remote.app.clock.pass_seconds(61)
    assert (await remote.http.get("/api/v1/status")).status_code == 401


async def test_sessions_are_listed_and_ended(remote):
    admin = await remote.as_("admin")
    await sign_in(remote, name="nurse")
    (session,) = (await remote.http.get("/api/v1/sessions", headers=admin)).json()["sessions"]
    assert (session["name"], session["role"], session["address"]) == ("nurse", "operator", "127.0.0.1")
    assert session["id"] not in str(remote.http.cookies)
    for headers in ({}, await remote.as_("operator")):
        assert (await remote.http.get("/api/v1/sessions", headers=headers)).status_code == 403
    path = f"/api/v1/sessions/{session['id']}"
    assert (await remote.http.delete(path, headers=admin)).json() == {"id": session["id"], "ended": True}
    assert (await remote.http.delete(path, headers=admin)).status_code == 404
    assert (await remote.http.get("/api/v1/status")).status_code == 401
    assert [entry["name"] for entry in await remote.app.audit.tail(9, what="session-ended")] == ["nurse"]


def test_a_session_of_a_jwt_ends_with_it(app_clock):
    sessions = SessionStore(app_clock, lambda token: True)
    until = app_clock.now().wall + 60_000_000
    one = sessions.open(Principal("jwt:a", "viewer", until=until), None)
    other = sessions.open(Principal("a", "viewer"), None)
    assert sessions.every() == [one, other]
    app_clock.pass_seconds(61)
    assert [each.key for each in sessions.every()] == [other.key]
    sessions.open(Principal("jwt:a", "viewer", until=until * 2), None)
    sessions.close_of_jwt()
    assert [each.key for each in sessions.every()] == [other.key]


@pytest.mark.parametrize("path", ["/api/v1/readings/follow", "/api/v1/devices/cuff-3/raw"])
async def test_an_endless_answer_ends_when_the_token_is_revoked(remote, path):
    headers = await remote.as_("operator")
    async with asyncio.timeout(20), remote.http.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        (token,) = remote.server._tokens.every()
        await remote.server._tokens.revoke(token.id)
        async for _ in answer.aiter_raw():
            pass


async def test_who_read_patient_data_and_what_was_refused_is_recorded(remote):
    viewer = await remote.as_("viewer", name="nurse")
    for _ in range(3):
        await remote.http.get("/api/v1/devices/cuff-3/data", headers=viewer)
    await remote.http.get("/api/v1/status", headers=viewer)
    await remote.http.delete("/api/v1/devices/cuff-3", headers=viewer)
    remote.server._authenticator.access.sum_up()
    reads = await remote.app.audit.tail(9, what="api-read")
    assert [(entry["by"], entry["device"], entry.get("count")) for entry in reads] == [
        ("nurse", "cuff-3", 2),
        ("nurse", "cuff-3", None),
    ]
    (refused,) = await remote.app.audit.tail(9, what="api-refused")
    assert (refused["by"], refused["method"], refused["reason"]) == ("nurse", "DELETE", "forbidden")


async def test_only_the_socket_tells_the_command_line_and_a_token_is_named(remote):
    headers = {**await remote.as_("operator", name="ward"), "user-agent": "gatepost-cli/1"}
    await remote.http.post("/api/v1/devices/cuff-3/command", json={"command": "status"}, headers=headers)
    assert remote.app.dispatcher.asked[-1][0].source == "api:ward"


async def test_whoever_signs_in_sends_no_megabyte_before(remote):
    answer = await remote.http.post("/api/v1/session", json={"token": "x" * 40_000})
    assert (answer.status_code, answer.json()["error"]["key"]) == (413, "too-large")


async def test_a_wrong_token_opens_nothing(remote):
    for body, status in (({"token": "gp_1_2"}, 401), ({"code": "x"}, 401), ({}, 422)):
        answer = await remote.http.post("/api/v1/session", json=body)
        assert answer.status_code == status
        assert "set-cookie" not in answer.headers


async def test_a_login_code_is_good_once(remote):
    made = await remote.http.post("/api/v1/session/code", json={"role": "viewer"}, headers=await remote.as_("admin"))
    code = made.json()["code"]
    answers = [await remote.http.post("/api/v1/session", json={"code": code}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 401]
    assert answers[0].json()["role"] == "viewer"


async def test_a_login_code_is_good_for_a_while_only(remote):
    made = await remote.http.post("/api/v1/session/code", json={}, headers=await remote.as_("admin"))
    remote.app.clock.pass_seconds(301)
    assert (await remote.http.post("/api/v1/session", json={"code": made.json()["code"]})).status_code == 401


def test_sessions_end_by_themselves_and_are_bounded(app_clock):
    sessions = SessionStore(app_clock, lambda token: True)
    principal = Principal("a", "viewer")

    def found(session):
        return sessions.find(f"x=1; gatepost_session={session.key}", secure=False)

    one = sessions.open(principal, None)
    assert found(one)
    assert sessions.find(f"gatepost_session={one.key}", secure=True) is None
    app_clock.pass_seconds(IDLE + 1)
    assert found(one) is None
    two = sessions.open(principal, None)
    for _ in range(int(LONGEST // IDLE) + 2):
        app_clock.pass_seconds(IDLE - 1)
        last = found(two)
    assert last is None
    for _ in range(MOST + 3):
        sessions.open(principal, None)
    assert len(sessions._open) == MOST


# --- other origins


@pytest.fixture
def app_clock(app):
    return app.clock


async def test_other_origins_are_not_named(remote):
    headers = {**await remote.as_("viewer"), "origin": "https://ward.example"}
    answer = await remote.http.get("/api/v1/status", headers=headers)
    assert "access-control-allow-origin" not in answer.headers
    asked = {"origin": "https://ward.example", "access-control-request-method": "GET"}
    assert (await remote.http.request("OPTIONS", "/api/v1/status", headers=asked)).status_code == 405


async def test_a_named_origin_may_ask_with_a_token_and_no_other(remote):
    listening(remote.app, listen=remote.app.settings.api.listen, cors_origins=["https://ward.example"])
    token = await remote.as_("viewer")
    right = await remote.http.get("/api/v1/status", headers={**token, "origin": "https://ward.example"})
    assert right.headers["access-control-allow-origin"] == "https://ward.example"
    assert "access-control-allow-credentials" not in right.headers
    asked = {"origin": "https://ward.example", "access-control-request-method": "PUT"}
    before = await remote.http.request("OPTIONS", "/api/v1/brokers/x", headers=asked)
    assert before.status_code == 204
    assert "authorization" in before.headers["access-control-allow-headers"]
    for other in ("https://ward.example.evil", "http://ward.example", "null"):
        answer = await remote.http.get("/api/v1/status", headers={**token, "origin": other})
        assert "access-control-allow-origin" not in answer.headers


async def test_a_websocket_with_a_cookie_is_for_the_own_page_only(remote):
    await sign_in(remote)
    handshake = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    for origin in ({}, {"origin": "https://evil.example"}):
        answer = await remote.http.get("/ws", headers={**handshake, **origin})
        assert (answer.status_code, answer.json()["error"]["key"]) == (403, "wrong-origin")
