"""The authorisation matrix: every route, every role, nobody; made from the route table."""

from __future__ import annotations

import asyncio

import pytest

from gatepost.agent.api.auth.principal import RANK
from gatepost.agent.api.http.router import Route, application
from gatepost.agent.api.routes import ROUTES, document_routes

ROLES = (None, "viewer", "operator", "admin")
EVERY = (*ROUTES, *document_routes())


def path_of(route):
    return route.path.replace("{name}", "nobody").replace("{id}", "nobody").replace("{topic}", "nothing")


def test_every_route_names_its_role_and_only_few_are_open():
    assert all(route.role in RANK for route in EVERY)
    open_to_all = {(route.method, route.path) for route in EVERY if route.role == "open"}
    assert {path for method, path in open_to_all if path.startswith("/api/")} == {"/api/v1/session"}
    assert all(method == "GET" or path == "/api/v1/session" for method, path in open_to_all)


def test_what_changes_something_is_not_for_viewers():
    harmless = {("POST", "/api/v1/session"), ("DELETE", "/api/v1/session")}
    for route in EVERY:
        if route.method not in ("GET", "HEAD") and (route.method, route.path) not in harmless:
            assert route.role in ("operator", "admin"), route.path


@pytest.mark.parametrize("route", EVERY, ids=[f"{route.method} {route.path}" for route in EVERY])
async def test_the_matrix(remote, route):
    for role in ROLES:
        headers = {} if role is None else await remote.as_(role)
        async with remote.http.stream(route.method, path_of(route), headers=headers) as answer:
            status = answer.status_code  # endless answers are not read
        if route.role == "open":
            assert status not in (401, 403) or route.path == "/api/v1/session", role
        elif role is None:
            assert status == 401
        elif RANK[role] < RANK[route.role]:
            assert status == 403, role
        else:
            assert status not in (401, 403), role


async def test_a_route_without_a_role_is_not_served(app, caplog):
    async def handler(ask):
        return {}

    served = application(app, [Route("GET", "/x", handler, "", "")], asyncio.Event(), None, None)
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/x", "headers": [], "query_string": b"", "scheme": "http"}
    await served(scope, None, send)
    assert sent[0]["status"] == 404
    assert "names no role" in caplog.text


async def test_a_viewer_that_writes_changes_nothing(remote):
    answer = await remote.http.post(
        "/api/v1/brokers/hospital/control", json={"action": "disconnect"}, headers=await remote.as_("viewer")
    )
    assert (answer.status_code, answer.json()["error"]["key"]) == (403, "forbidden")
    assert remote.app.brokers.by_name["hospital"].state["state"] == "connected"


async def test_what_is_done_over_tcp_is_in_the_audit_log_with_who(remote):
    headers = await remote.as_("operator", name="nurse")
    await remote.http.post("/api/v1/brokers/hospital/control", json={"action": "disconnect"}, headers=headers)
    (entry,) = await remote.app.audit.tail(10, what="api")
    assert (entry["by"], entry["method"], entry["path"]) == ("nurse", "POST", "/api/v1/brokers/hospital/control")
