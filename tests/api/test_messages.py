"""Publish, subscribe and the history of messages, through a real agent and a real broker."""

from __future__ import annotations

import base64
from types import SimpleNamespace

import httpx
import pytest

from gatepost.agent.api.auth.principal import Principal
from gatepost.agent.api.http.router import application
from gatepost.agent.api.routes import ROUTES
from gatepost.agent.audit.access_records import AccessRecords
from gatepost.agent.core.events import EventBus
from gatepost.agent.uplink.message_log import (
    KEPT_OCTETS,
    MAX_AGE,
    MAX_MESSAGES,
    MAX_OCTETS,
    MAX_TOPIC_OCTETS,
    MAX_TOPICS,
    MessageLog,
)
from tests.api.real import running, written
from tests.support.clock import HandClock
from tests.support.ports import free_port
from tests.support.waiting import until
from tests.uplink.broker import Mosquitto
from tests.uplink.broker import running as broker_running
from tests.uplink.gateway import listening


@pytest.fixture
async def broker(tmp_path):
    async with broker_running(Mosquitto(tmp_path / "m")) as one:
        yield one


async def connected(app, name="a"):
    await until(lambda: app.brokers.get(name).state == "connected")


async def test_publish_each_kind_of_payload(tmp_path, broker):
    async with (
        running(written(tmp_path, brokers={"a": {"url": broker.url}})) as (app, http),
        listening(broker.url) as ear,
    ):
        await connected(app)
        octets = b"\x00\xff\x10"
        for number, (payload, encoding, wanted) in enumerate(
            (
                ("21 °C", None, "21 °C".encode()),
                ({"a": [1, None]}, None, b'{"a":[1,null]}'),
                (base64.b64encode(octets).decode(), "base64", octets),
                ("text", "json", b'"text"'),
            )
        ):
            body = {"broker": "a", "topic": f"t/{number}", "payload": payload, "encoding": encoding, "qos": number % 3}
            answer = await http.post("publish", json=body)
            assert answer.status_code == 200, answer.text
            await until(lambda wanted=wanted, n=number: (f"t/{n}", wanted) in heard(ear))
        answer = await http.post("publish", json={"topic": "kept", "payload": "x", "retain": True})
        assert answer.json() == {"broker": "a", "topic": "kept", "qos": 1, "retain": True, "size": 1}
        out = (await http.get("messages", params={"direction": "out"})).json()["messages"]
        assert [(one["topic"], one["direction"]) for one in out][:2] == [("kept", "out"), ("t/3", "out")]
    async with listening(broker.url) as ear:
        await until(lambda: ("kept", b"x") in heard(ear))


def heard(ear):
    return [(message.topic, bytes(message.payload)) for message in ear.messages]


async def test_a_followed_topic_is_heard_also_after_a_restart_until_it_is_ended(tmp_path, broker):
    config = written(tmp_path, brokers={"a": {"url": broker.url}})
    async with listening(broker.url) as ear:
        async with running(config) as (app, http):
            await connected(app)
            body = {"broker": "a", "topic": "ward/+/temp", "qos": 1}
            answer = await http.post("subscriptions", json=body)
            assert (answer.status_code, answer.json()) == (201, {**body, "state": "subscribed", "reason": ""})
            assert (await http.post("subscriptions", json=body)).status_code == 200
            with app._events.listen() as events:
                ear.publish("ward/7/temp", b"20.5")
                while (event := await events.get()).kind != "message":
                    pass
            assert (event.data["topic"], event.data["payload"]) == ("ward/7/temp", "20.5")
        async with running(config) as (app, http):
            await until(lambda: app.brokers.get("a").followed.outcomes == {"ward/+/temp": ""})
            assert (await http.get("subscriptions")).json()["subscriptions"][0]["state"] == "subscribed"
            for number in range(5):
                ear.publish(f"ward/{number % 2}/temp", str(number).encode())
            ear.publish("ward/0/other", b"x")
            await until(lambda: len(list(app._message_log.newest(lambda _: True, 100, None))) == 5)
            page = (await http.get("messages", params={"topic": "ward/0/#", "limit": 2})).json()
            assert [one["payload"] for one in page["messages"]] == ["4", "2"]
            rest = (await http.get("messages", params={"topic": "ward/0/#", "cursor": page["cursor"]})).json()
            assert [one["payload"] for one in rest["messages"]] == ["0"]
            topics = (await http.get("topics")).json()["topics"]
            assert {one["topic"]: one["count"] for one in topics} == {"ward/0/temp": 3, "ward/1/temp": 2}
            answer = await http.delete("subscriptions/ward%2F%2B%2Ftemp")
            assert answer.json() == {"topic": "ward/+/temp", "brokers": ["a"], "removed": True}
            assert (await http.delete("subscriptions/ward%2F%2B%2Ftemp")).status_code == 404
            ear.publish("ward/0/temp", b"unheard")
            await http.post("subscriptions", json={"broker": "a", "topic": "after"})
            ear.publish("after", b"heard")
            await until(lambda: app._message_log.newest(lambda one: one.topic == "after", 1, None))
            assert app._message_log.newest(lambda _: True, 1, None)[0].payload == b"heard"
            assert len(app._message_log.newest(lambda _: True, 100, None)) == 6


async def test_commands_are_obeyed_once_whoever_follows_their_topics(tmp_path, broker):
    async with (
        running(written(tmp_path, brokers={"a": {"url": broker.url}})) as (app, http),
        listening(broker.url) as ear,
    ):
        await connected(app)
        for topic in ("#", "gateways/gw/commands", "gateways/+/commands"):
            await http.post("subscriptions", json={"broker": "a", "topic": topic})
        ear.publish("gateways/gw/commands", b'{"id": "c1", "command": "ping"}')
        await until(lambda: ear.on("gateways/gw/responses"))
        await http.delete("subscriptions/gateways%2Fgw%2Fcommands")
        await http.delete("subscriptions/%23")
        await http.delete("subscriptions/gateways%2F+%2Fcommands")
        ear.publish("gateways/gw/commands", b'{"id": "c2", "command": "ping"}')
        await until(lambda: len(ear.on("gateways/gw/responses")) > 1)
        told = [(one["id"], one["status"]) for one in ear.on("gateways/gw/responses")]
        assert told == [("c1", "done"), ("c2", "done")]


async def test_a_broker_without_commands_obeys_none_that_is_followed(tmp_path, broker):
    config = written(tmp_path, brokers={"a": {"url": broker.url, "commands": False}})
    async with running(config) as (app, http), listening(broker.url) as ear:
        await connected(app)
        await http.post("subscriptions", json={"broker": "a", "topic": "gateways/#"})
        ear.publish("gateways/gw/commands", b'{"id": "c1", "command": "ping"}')
        await until(lambda: app._message_log.newest(lambda one: one.topic == "gateways/gw/commands", 1, None))
        assert await app.store.ledger.history("", 10) == []
        assert ear.on("gateways/gw/responses") == []


async def test_broadcast_goes_to_every_connected_broker(tmp_path, broker):
    brokers = {"a": {"url": broker.url}, "b": {"url": f"mqtt://127.0.0.1:{free_port()}"}}
    async with running(written(tmp_path, brokers=brokers)) as (app, http), listening(broker.url) as ear:
        await connected(app)
        answer = await http.post("broadcast", json={"payload": {"id": "b1", "command": "ping"}})
        assert answer.json() == {"brokers": [{"broker": "a", "topic": "organizations/org/broadcast"}]}, answer.text
        await until(lambda: ear.on("organizations/org/broadcast"))
        answer = await http.post("broadcast", json={"payload": {}, "broker": "b"})
        assert (answer.status_code, answer.json()["error"]["key"]) == (503, "broker-not-connected")
    async with running(written(tmp_path, gateway={"id": "g", "state_dir": str(tmp_path / "s2")})) as (_, http):
        answer = await http.post("broadcast", json={"payload": {}})
        assert (answer.status_code, answer.json()["error"]["key"]) == (409, "no-organization")


BAD = [
    ("publish", {"topic": "a/+", "payload": "x"}, 422),
    ("publish", {"topic": "a/#", "payload": "x"}, 422),
    ("publish", {"topic": "", "payload": "x"}, 422),
    ("publish", {"topic": "a\0b", "payload": "x"}, 422),
    ("publish", {"topic": "t", "payload": "%", "encoding": "base64"}, 422),
    ("publish", {"topic": "t", "payload": 1, "encoding": "text"}, 422),
    ("publish", {"topic": "t", "payload": "x", "qos": 3}, 422),
    ("publish", {"topic": "t", "payload": "x" * 300_000}, 422),
    ("publish", {"topic": "t", "payload": "x", "broker": "none"}, 404),
    ("publish", {"topic": "t", "payload": "x"}, 503),
    ("subscriptions", {"topic": "a/#/b"}, 422),
    ("subscriptions", {"topic": "a+"}, 422),
    ("subscriptions", {"topic": "t", "broker": "none"}, 404),
    ("broadcast", {"payload": "ping"}, 422),
    ("broadcast", {"payload": {}}, 503),
]


async def test_what_is_wrong_is_refused_and_leaves_nothing(tmp_path):
    config = written(tmp_path, brokers={"a": {"url": f"mqtt://127.0.0.1:{free_port()}"}})
    async with running(config) as (app, http):
        for route, body, status in BAD:
            answer = await http.post(route, json=body)
            assert answer.status_code == status, (route, body, answer.text)
            assert answer.json()["error"]["key"]
        for query in ({"topic": "a/#/b"}, {"limit": 0}, {"cursor": 0}, {"since": "yesterday"}, {"direction": "up"}):
            assert (await http.get("messages", params=query)).status_code == 422
        assert app._subscriptions.all() == []
        assert app._message_log.newest(lambda _: True, 10, None) == []


class Fixed:
    """Everybody is this one."""

    def __init__(self, principal):
        self.principal = principal

    async def admit(self, scope, needed):
        return self.principal


async def test_permissions_of_topics_are_kept(app):
    import asyncio

    principal = Principal("nurse", "operator", ("ward/7/#",), ("ward/7/+",))
    recording = SimpleNamespace(access=AccessRecords(app.audit))
    transport = httpx.ASGITransport(application(app, ROUTES, asyncio.Event(), recording, Fixed(principal)))
    async with httpx.AsyncClient(transport=transport, base_url="http://x/api/v1") as http:
        body = {"broker": "hospital", "topic": "ward/8/x", "payload": "x"}
        assert (await http.post("publish", json=body)).status_code == 403
        for topic in ("ward/+/x", "#", "ward/7/#"):
            answer = await http.post("subscriptions", json={"broker": "hospital", "topic": topic})
            assert answer.status_code == 403
        app.message_log.take("hospital", "ward/7/x", b"mine", 0, False, "in")
        app.message_log.take("hospital", "ward/8/x", b"others", 0, False, "in")
        assert [one["payload"] for one in (await http.get("messages")).json()["messages"]] == ["mine"]
        assert [one["topic"] for one in (await http.get("topics")).json()["topics"]] == ["ward/7/x"]
        assert app.subscriptions.all() == []


def test_the_history_of_long_topics_is_bounded_too():
    book = MessageLog(HandClock(), EventBus())
    for number in range(2 * MAX_TOPICS):
        book.take("a", f"{number % 500}/{'t' * 60_000}", b"", 0, False, "in")
    assert 0 < sum(len(one.topic) for one in book.newest(lambda _: True, MAX_MESSAGES, None)) <= MAX_OCTETS
    assert 0 < sum(len(one["topic"]) for one in book.topics()) <= MAX_TOPIC_OCTETS
    for number in range(MAX_TOPICS):
        book.take("a", str(number), b"", 0, False, "in")
    assert len(list(book.topics())) == MAX_TOPICS


def test_the_history_is_bounded_by_count_size_and_age():
    clock = HandClock(step=1000)
    book = MessageLog(clock, EventBus())
    for number in range(MAX_MESSAGES + MAX_TOPICS):
        book.take("a", f"t/{number}", b"x", 0, False, "in")
    found = book.newest(lambda _: True, 10 * MAX_MESSAGES, None)
    assert len(found) == MAX_MESSAGES
    assert found[0].topic == f"t/{MAX_MESSAGES + MAX_TOPICS - 1}"
    assert len(list(book.topics())) == MAX_TOPICS
    for _ in range(MAX_MESSAGES):
        book.take("a", "t", b"x" * (KEPT_OCTETS + 1), 0, False, "in")
    found = book.newest(lambda _: True, 10 * MAX_MESSAGES, None)
    assert sum(len(one.payload) for one in found) <= MAX_OCTETS
    assert (found[0].as_dict()["truncated"], found[0].size) == (True, KEPT_OCTETS + 1)
    clock.pass_seconds(MAX_AGE / 1e6 + 1)
    assert book.newest(lambda _: True, 10, None) == []
