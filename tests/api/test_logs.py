"""The agent's own log over the API: the newest lines, live ones, and who may see them."""

from __future__ import annotations

import logging

import pytest

from gatepost.agent.process.log_ring import LINE_COST, LogChoice, LogRing
from gatepost.client import AsyncGatewayClient
from tests.api.websocket_clients import local, over_tcp, said
from tests.support.waiting import until


def record(message, *args, name="gatepost.agent.store", level=logging.INFO, error=None):
    return logging.LogRecord(name, level, "", 0, message, args, error and (type(error), error, None))


def fill(ring):
    ring.add(record("the database was opened"))
    ring.add(record("%s: it is silent", "cuff-3", name="gatepost.agent.devices.session", level=logging.WARNING))
    ring.add(record("%s: refused", "hospital", name="gatepost.agent.uplink", level=logging.ERROR))


async def test_the_newest_lines_oldest_first(app, http):
    fill(app.log_ring)
    answer = (await http.get("/api/v1/logs")).json()
    ours = [line for line in answer["logs"] if "API listens" not in line["message"]]
    assert [(line["level"], line["device"], line["broker"]) for line in ours] == [
        ("info", None, None),
        ("warning", "cuff-3", None),
        ("error", None, "hospital"),
    ]
    assert ours[1]["message"] == "cuff-3: it is silent"
    assert ours[1]["time"].endswith("Z")


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"level": "warning"}, 2),
        ({"device": "cuff-3"}, 1),
        ({"grep": "SILENT"}, 1),
        ({"limit": 1}, 1),
        ({"grep": "x-x"}, 0),
    ],
)
async def test_lines_are_chosen(app, http, query, count):
    fill(app.log_ring)
    assert len((await http.get("/api/v1/logs", params=query)).json()["logs"]) == count


async def test_a_wrong_level_is_refused(app, http):
    assert (await http.get("/api/v1/logs", params={"level": "loud"})).status_code == 422


async def test_live_lines_follow_the_kept_ones(app, server):
    fill(app.log_ring)
    stream = AsyncGatewayClient(server.path).follow_logs(level="error", limit=1)
    assert (await anext(stream))["broker"] == "hospital"
    app.log_ring.add(record("not wanted"))
    app.log_ring.add(record("wanted", level=logging.ERROR))
    assert (await anext(stream))["message"] == "wanted"
    await stream.aclose()
    await until(lambda: len(app.log_ring.listeners) == 1)


def test_the_ring_is_bounded_in_octets_and_shows_what_others_said_escaped():
    ring = LogRing(10 * (LINE_COST + 10))
    for number in range(100):
        ring.add(record("line %05d", number))
    lines = ring.newest(1000, LogChoice())
    assert [line.message for line in lines] == [f"line {number:05d}" for number in range(90, 100)]
    ring.add(record("%s", "a\x1b[31mb\nc", error=ValueError("too \x07 loud")))
    assert ring.newest(1, LogChoice())[0].message == "a\\u001b[31mb\\nc (ValueError: too \\u0007 loud)"


async def test_a_viewer_sees_no_log(remote):
    answer = await remote.http.get("/api/v1/logs", headers=await remote.as_("viewer"))
    assert answer.status_code == 403
    async with over_tcp(remote, "?events=log,broker.status", await remote.as_("viewer")) as socket:
        await said(socket)
        remote.app.log_ring.add(record("not for everybody"))
        remote.app.events.emit("broker.status", {"broker": "lab"})
        assert (await said(socket))["event"] == "broker.status"


async def test_events_hold_the_log_for_those_who_name_it(app, server):
    async with local(server, "?events=log") as named, local(server, "?events=*") as every:
        await said(named), await said(every)
        app.log_ring.add(record("%s: it is silent", "cuff-3", name="gatepost.agent.devices"))
        app.events.emit("broker.status", {"broker": "lab"})
        assert (await said(named, "log"))["data"]["device"] == "cuff-3"
        assert (await said(every))["event"] == "broker.status"
