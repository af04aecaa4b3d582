"""Against a real mosquitto: what goes out arrives, what comes in is acknowledged, limits are learnt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gatepost.agent.core.errors import ConnectFailed, NotConnected, UplinkError, WindowFull
from gatepost.agent.uplink.mqtt.connection import LastWill, packet_size
from gatepost.agent.uplink.mqtt.tls import tls_context
from tests.support.failing import failing
from tests.support.waiting import until

from .broker import Authority, Mosquitto, running
from .client import Recorder, connected

PROTOCOLS = ["5", "3.1.1"]


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    async with running(Mosquitto(tmp_path)) as broker:
        yield broker


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_messages_arrive_and_are_acknowledged_in_order(broker: Mosquitto, protocol: str, qos: int) -> None:
    async with (
        connected(broker.url, client_id="a", protocol=protocol) as sender,
        connected(broker.url, client_id="b", protocol=protocol) as receiver,
    ):
        assert await receiver.connection.subscribe([("devices/+/data", qos)], 5) == [qos]
        for tag in range(20):
            sender.publish(tag, qos, b"devices/d/data", b"%d" % tag)
        await until(lambda: len(sender.acks) == 20)
        assert [tag for tag, _ in sender.acks] == list(range(20))
        assert {code for _, code in sender.acks} == {0}
        assert sender.connection.publisher.in_flight == 0
        await until(lambda: receiver.dealt == 20)
        assert [message.payload for message in receiver.messages] == [b"%d" % tag for tag in range(20)]
        assert {(message.topic, message.qos) for message in receiver.messages} == {("devices/d/data", qos)}


async def test_properties_travel(broker: Mosquitto) -> None:
    async with connected(broker.url, client_id="a") as one:
        await one.connection.subscribe([("c", 1)], 5)
        properties = one.connection.properties(
            "application/json",
            [("id", "g:e:1"), ("schema", "1")],
            response_topic="answers/é",
            correlation_data=b"\0\xff",
            message_expiry=60,
        )
        one.connection.publisher.publish(b"c", b"{}", 1, False, properties, 1)
        await until(lambda: one.messages)
        got = one.messages[0].properties
        assert got["content_type"] == "application/json"
        assert got["user_property"] == [("id", "g:e:1"), ("schema", "1")]
        assert got["response_topic"] == "answers/é"
        assert got["correlation_data"] == b"\0\xff"
        assert got["message_expiry_interval"] <= 60


async def test_without_a_subscriber_it_is_delivered_all_the_same(broker: Mosquitto) -> None:
    async with connected(broker.url) as one:
        one.publish(7, topic=b"nobody/listens")
        await until(lambda: one.acks)
        assert one.acks in ([(7, 0)], [(7, 0x10)])


async def test_retained_messages_are_marked(broker: Mosquitto) -> None:
    async with connected(broker.url) as one:
        one.publish(1, topic=b"kept", payload=b"k", retain=True)
        await until(lambda: one.acks)
        await one.connection.subscribe([("kept", 1)], 5)
        await until(lambda: one.messages)
        assert one.messages[0].retain is True


@pytest.mark.parametrize("payload", [b"", b"x" * 100, b"x" * 130, b"x" * 16_500, b"x" * 200_000])
async def test_payloads_of_every_size(broker: Mosquitto, payload: bytes) -> None:
    async with connected(broker.url) as one:
        await one.connection.subscribe([("t", 1)], 5)
        one.publish(1, payload=payload)
        await until(lambda: one.dealt)
        assert one.messages[0].payload == payload


async def test_receive_maximum_is_learnt_and_kept(tmp_path: Path) -> None:
    async with running(Mosquitto(tmp_path, max_inflight=10)) as broker, connected(broker.url) as one:
        assert one.connection.publisher.receive_maximum == 10
        for tag in range(10):
            one.publish(tag)
        with pytest.raises(WindowFull):
            one.publish(10)
        await until(lambda: len(one.acks) == 10)
        one.publish(10)
        await until(lambda: len(one.acks) == 11)


async def test_maximum_packet_size_is_learnt_and_exact(tmp_path: Path) -> None:
    async with running(Mosquitto(tmp_path, max_packet_size=300)) as broker, connected(broker.url) as one:
        assert one.connection.publisher.maximum_packet_size == 300
        properties = one.connection.properties("text/plain")
        room = 300 - packet_size(b"t", b"", properties, 1) - 1  # the length takes two octets then
        fits = b"x" * room
        assert packet_size(b"t", fits, properties, 1) == 300
        one.connection.publisher.publish(b"t", fits, 1, False, properties, 1)
        await until(lambda: one.acks)
        # It does not count all of the header.
        one.connection.publisher.publish(b"t", fits + b"xxxx", 1, False, properties, 2)
        await until(lambda: one.losses)
        assert [tag for tag, code in one.acks if code < 0x80] == [1]
        assert one.connection.publisher.unacked() == [2]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_will_is_published_when_killed_and_not_after_close(broker: Mosquitto, protocol: str) -> None:
    will = LastWill("gateways/é/status", b"offline", 1, True, "text/plain")
    async with connected(broker.url, client_id="watcher", protocol="5") as watcher:
        await watcher.connection.subscribe([("gateways/+/status", 1)], 5)
        polite = Recorder(broker.url, client_id="gé", will=will, protocol=protocol)
        await polite.connection.open(5)
        await polite.connection.close(5)
        rude = Recorder(broker.url, client_id="gé", will=will, protocol=protocol)
        await rude.connection.open(5)
        assert watcher.messages == []
        rude.connection.abort()
        await until(lambda: watcher.messages)
        assert (watcher.messages[0].topic, watcher.messages[0].payload) == ("gateways/é/status", b"offline")
        assert rude.losses == []


async def test_a_second_client_of_that_name_ends_the_first(broker: Mosquitto) -> None:
    async with connected(broker.url, client_id="same") as first, connected(broker.url, client_id="same"):
        await until(lambda: first.losses)
        assert [lost.code for lost in first.losses] in ([0x8E], [None])  # mosquitto 2.0.11 only hangs up
        with pytest.raises(NotConnected):
            first.publish(1)


@pytest.mark.parametrize(("protocol", "code"), [("5", 0x87), ("3.1.1", 5)])
async def test_wrong_password(tmp_path: Path, protocol: str, code: int) -> None:
    async with running(Mosquitto(tmp_path, users={"ward": "right"})) as broker:
        wrong = Recorder(broker.url, protocol=protocol, username="ward", password="wrong")
        with failing(ConnectFailed, reason="refused", code=code, retry="later") as caught:
            await wrong.connection.open(5)
        assert "wrong" not in str(caught.value)
        async with connected(broker.url, protocol=protocol, username="ward", password="right") as right:
            right.publish(1)
            await until(lambda: right.acks)


async def test_refused_by_the_access_list(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path, users={"ward": "pw"}, acl="user ward\ntopic readwrite ok/#\n")
    async with running(broker), connected(broker.url, username="ward", password="pw") as one:
        one.publish(1, topic=b"ok/1")
        one.publish(2, topic=b"no/1")
        one.publish(3, qos=2, topic=b"no/2")
        one.publish(4, qos=2, topic=b"ok/2")
        await until(lambda: len(one.acks) == 4)
        assert {tag: code >= 0x80 for tag, code in one.acks} == {1: False, 2: True, 3: True, 4: False}
        assert one.connection.publisher.in_flight == 0
        codes = await one.connection.subscribe([("ok/#", 1), ("no/#", 1)], 5)
        assert codes[0] == 1
        assert one.losses == []


async def test_unsubscribe(broker: Mosquitto) -> None:
    for protocol in PROTOCOLS:
        async with connected(broker.url, protocol=protocol) as one:
            await one.connection.subscribe([("é/#", 1), ("b", 1)], 5)
            assert await one.connection.unsubscribe(["é/#"], 5) == [0]
            one.publish(1, topic="é/1".encode())
            one.publish(2, topic=b"b")
            await until(lambda: one.dealt == 1)
            assert [message.topic for message in one.messages] == ["b"]


async def test_a_bad_filter_never_reaches_the_broker(broker: Mosquitto) -> None:
    async with connected(broker.url) as one:
        with pytest.raises(UplinkError, match="#"):
            await one.connection.subscribe([("a/#/b", 1)], 5)
        assert one.losses == []


async def test_messages_for_a_session_that_was_away_come_once(broker: Mosquitto) -> None:
    seen: set[int] = set()
    options = {"client_id": "s", "clean_start": False, "session_expiry": 600, "seen": seen}
    async with connected(broker.url, **options) as one:
        assert not one.connection.session_present
        await one.connection.subscribe([("c/#", 2)], 5)
    async with connected(broker.url, client_id="other") as other:
        for tag, qos in enumerate((1, 2)):
            other.publish(tag, qos, b"c/%d" % qos)
        await until(lambda: len(other.acks) == 2)
    async with connected(broker.url, **options) as one:
        assert one.connection.session_present
        await until(lambda: one.dealt == 2)
    async with connected(broker.url, **options) as one:
        one.publish(1)
        await until(lambda: one.acks)
        assert one.messages == []


async def test_a_qos_1_message_not_dealt_with_comes_again(broker: Mosquitto) -> None:
    options = {"client_id": "s", "clean_start": False, "session_expiry": 600}
    async with connected(broker.url, client_id="other") as other:
        one = Recorder(broker.url, **options)
        await one.connection.open(5)
        await one.connection.subscribe([("c", 1)], 5)
        one.gate.clear()
        other.publish(1, topic=b"c")
        await until(lambda: one.messages)
        one.connection.abort()
        await one.connection.close(1)
        assert one.dealt == 0
        async with connected(broker.url, **options) as again:
            await until(lambda: again.dealt)
            assert again.messages[0].dup is True


async def test_a_broker_killed_and_restarted(broker: Mosquitto) -> None:
    one = Recorder(broker.url)
    await one.connection.open(5)
    broker.kill()
    await until(lambda: one.losses)
    await one.connection.close(1)
    assert len(one.losses) == 1
    await broker.start()
    async with connected(broker.url) as two:
        two.publish(1)
        await until(lambda: two.acks)


async def test_nobody_listens(broker: Mosquitto) -> None:
    broker.kill()
    with failing(ConnectFailed, reason="unreachable", retry="soon") as caught:
        await Recorder(broker.url).connection.open(5)
    assert str(broker.port) in str(caught.value)


@pytest.mark.parametrize("websockets", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_tls_with_a_client_certificate(
    tmp_path: Path, authority: Authority, protocol: str, websockets: bool
) -> None:
    broker = Mosquitto(tmp_path, authority=authority, client_certificates=True, websockets=websockets, max_inflight=100)
    cert, key = authority.issue("gateway")
    async with running(broker):
        context = tls_context(str(authority.ca), str(cert), str(key))
        async with connected(broker.url, context=context, protocol=protocol) as one:
            await one.connection.subscribe([("t", 1)], 5)
            for tag in range(50):
                one.publish(tag, payload=b"y" * 1000)
            await until(lambda: len(one.acks) == 50 and one.dealt == 50)
            assert one.losses == []
        nameless = Recorder(broker.url, context=tls_context(str(authority.ca)), protocol=protocol)
        with pytest.raises(ConnectFailed) as caught:
            await nameless.connection.open(5)
        assert caught.value.reason in ("tls", "closed", "unreachable", "websocket")


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_websocket(tmp_path: Path, qos: int) -> None:
    async with running(Mosquitto(tmp_path, websockets=True)) as broker, connected(broker.url) as one:
        await one.connection.subscribe([("t", qos)], 5)
        for tag in range(20):
            one.publish(tag, qos, payload=b"z" * 3000 if tag == 3 else b"%d" % tag)
        await until(lambda: len(one.acks) == 20 and one.dealt == 20)
        assert [len(message.payload) for message in one.messages][3] == 3000
        assert one.losses == []
        broker.kill()
        await until(lambda: one.losses)
        assert len(one.losses) == 1


@pytest.mark.parametrize("websockets", [False, True])
@pytest.mark.parametrize("tls", [False, True])
async def test_a_frozen_broker_is_left_within_the_bound(
    tmp_path: Path, authority: Authority, tls: bool, websockets: bool
) -> None:
    context = tls_context(str(authority.ca)) if tls else None
    broker = Mosquitto(tmp_path, authority=authority if tls else None, websockets=websockets)
    async with running(broker):
        one = Recorder(broker.url, context=context)
        await one.connection.open(10)
        broker.freeze()
        while not one.connection.publisher.unsent:
            one.publish(one.connection.publisher.in_flight, 0, payload=b"x" * 500_000)
            await asyncio.sleep(0.001)
        one.publish(1000, 1)
        assert one.connection.check(30) is False
        await asyncio.wait_for(one.connection.close(0.2), 10)
        two = Recorder(broker.url, context=context)
        with failing(ConnectFailed, reason="timeout"):
            await two.connection.open(0.2)
        assert one.losses == two.losses == []


async def test_a_frozen_broker_is_found_by_check(broker: Mosquitto) -> None:
    async with connected(broker.url) as one:
        broker.freeze()
        one.publish(1)
        await until(lambda: one.connection.check(0.05))
        await until(lambda: one.losses)
        assert one.connection.publisher.unacked() == [1]
        broker.freeze(False)
