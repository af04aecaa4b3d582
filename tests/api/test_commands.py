from __future__ import annotations

import pytest


async def test_a_command_goes_through_the_desk(app, http):
    answer = await http.post("/api/v1/devices/oximeter-1/command", json={"command": "ping", "parameters": {"a": 1}})
    assert answer.status_code == 200
    assert answer.json()["status"] == "done"
    assert answer.json()["result"] == {"echo": {"a": 1}}
    [(request, body)] = app.dispatcher.asked
    assert (request.source, request.target, request.trusted) == ("api", "oximeter-1", True)
    assert body["id"] == answer.json()["id"]


async def test_each_request_is_a_command_of_its_own_unless_it_has_an_id(app, http):
    for body in ({"command": "ping"}, {"command": "ping"}, {"command": "ping", "id": "mine"}):
        await http.post("/api/v1/gateway/command", json=body)
    ids = [body["id"] for _, body in app.dispatcher.asked]
    assert len(set(ids)) == 3
    assert ids[2] == "mine"
    assert {request.target for request, _ in app.dispatcher.asked} == {None}


async def test_flat_parameters_and_tokens_reach_the_desk_as_they_came(app, http):
    body = {"command": "set_interval", "interval": "30s", "token": "t", "issued_at": "2024-11-18T00:00:00Z"}
    await http.post("/api/v1/devices/oximeter-1/command", json=body)
    asked = app.dispatcher.asked[0][1]
    assert {name: asked[name] for name in body} == body


async def test_the_command_line_is_known_as_such(app, http):
    await http.post("/api/v1/gateway/command", json={"command": "ping"}, headers={"user-agent": "gatepost-cli/1"})
    assert app.dispatcher.asked[0][0].source == "cli"


@pytest.mark.parametrize(
    ("command", "status", "outcome"),
    [
        ("ping", 200, "done"),
        ("last", 202, "accepted"),
        ("break", 200, "failed"),
        ("dance", 422, "rejected"),
        ("late", 503, "rejected"),
    ],
)
async def test_the_status_tells_how_it_went(http, command, status, outcome):
    answer = await http.post("/api/v1/devices/oximeter-1/command", json={"command": command})
    assert (answer.status_code, answer.json()["status"]) == (status, outcome)
    assert (answer.json()["error"] is None) == (outcome in ("done", "accepted"))


@pytest.mark.parametrize("body", [{}, {"command": 5}, {"command": "ping", "parameters": [1]}])
async def test_what_is_no_command_is_422(app, http, body):
    answer = await http.post("/api/v1/gateway/command", json=body)
    assert (answer.status_code, answer.json()["error"]["key"]) == (422, "bad-input")
    assert app.dispatcher.asked == []


async def test_the_ledger_of_a_device(app, http):
    from gatepost.agent.store.command_ledger import LedgerEntry

    for number in range(3):
        entry = LedgerEntry(id=str(number), target="oximeter-1", source="cli", command="ping", digest=b"")
        await app.store.ledger.begin(entry, app.clock.now())
    await app.store.ledger.finish("2", "done", app.clock.now().wall, b'{"status":"done"}')
    page = (await http.get("/api/v1/devices/oximeter-1/commands", params={"limit": 2})).json()
    assert [(entry["id"], entry["status"]) for entry in page["commands"]] == [("2", "done"), ("1", "executing")]
    assert page["commands"][0]["response"] == {"status": "done"}
    rest = (await http.get("/api/v1/devices/oximeter-1/commands", params={"cursor": page["cursor"]})).json()
    assert [entry["id"] for entry in rest["commands"]] == ["0"]
    assert rest["cursor"] is None
    assert (await http.get("/api/v1/devices/cuff-3/commands")).json()["commands"] == []
