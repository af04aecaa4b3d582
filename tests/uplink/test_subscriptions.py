"""Subscriptions to commands: in one packet, behind the first readings, asked again where a broker refuses them."""

from __future__ import annotations

from random import Random

import pytest

from gatepost.agent.settings.model import BrokerSettings
from gatepost.agent.uplink import acknowledgements, broker_link, link_tasks, subscription_requests
from tests.support.waiting import until

from .broker import CONNECT, PUBLISH, SUBSCRIBE, FakeBroker, Peer, packet, publish_id
from .gateway import Gateway

COMMANDS, BROADCAST = "gateways/gw/commands", "organizations/org/broadcast"
EVERY_DEVICE, OWN_DEVICES = "devices/+/commands", "gateways/gw/devices/+/commands"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_tasks, "FIRST_RETRY", 0.02)
    monkeypatch.setattr(link_tasks, "LONGEST_RETRY", 0.05)


class Strict(FakeBroker):
    """MQTT 3.1.1 with rights: `forbidden` filters get 0x80, or the end of the connection where it `hangs_up`."""

    def __init__(self, *forbidden: str, hangs_up: bool = False) -> None:
        super().__init__()
        self.forbidden = set(forbidden)
        self.hangs_up = hangs_up
        self.asked: list[list[str]] = []
        self.order: list[str] = []
        self.readings = 0
        self.on[SUBSCRIBE] = self._subscribe
        self.on[PUBLISH] = self._publish

    def _subscribe(self, peer: Peer, command: int, body: bytes) -> bytes | None:
        filters, at = [], 2
        while at < len(body):
            size = int.from_bytes(body[at : at + 2], "big")
            filters.append(body[at + 2 : at + 2 + size].decode())
            at += 2 + size + 1
        self.asked.append(filters)
        self.order.append("subscribe")
        if self.hangs_up and self.forbidden.intersection(filters):
            peer.hang_up()
            return None
        return packet(0x90, body[:2] + bytes(0x80 if each in self.forbidden else 1 for each in filters))

    def _publish(self, peer: Peer, command: int, body: bytes) -> bytes:
        topic = body[2 : 2 + int.from_bytes(body[:2], "big")]
        self.order.append(topic.decode())
        self.readings += topic.endswith(b"/data")
        return packet(0x40, publish_id(command, body))

    def settings(self, **more: object) -> BrokerSettings:
        return BrokerSettings(self.url, protocol="3.1.1", **more)


async def test_one_packet_behind_the_first_readings(gw: Gateway) -> None:
    async with Strict() as broker:
        await gw.apply(a=broker.settings(layout="gateway", active=False))
        await gw.put(*range(300))
        await gw.uplink().connect()
        await gw.delivered()
        await until(lambda: "gateways/gw/status" in broker.order)
    assert broker.asked == [[COMMANDS, BROADCAST, OWN_DEVICES]]
    assert broker.order.index("gateways/gw/devices/d/data") < broker.order.index("subscribe")


async def test_below_a_root_of_ones_own_nobody_else_is_asked_for(gw: Gateway) -> None:
    async with Strict() as broker:
        await gw.apply(a=broker.settings(layout="gateway"))
        await until(lambda: bool(broker.asked))
        broker.peer.send(packet(0x30, b"\0\x20gateways/gw/devices/new/commands{}"))
        await until(lambda: [each[1] for each in gw.commands] == ["new"])
    assert broker.asked == [[COMMANDS, BROADCAST, OWN_DEVICES]]


async def test_a_refused_subscription_is_asked_again_and_told_until_it_is_granted(gw: Gateway) -> None:
    async with Strict(OWN_DEVICES) as broker:
        gw.statuses["d"] = {"status": "online"}
        await gw.apply(a=broker.settings(layout="gateway"))
        await until(lambda: broker.asked.count([OWN_DEVICES]) > 2)
        view = gw.uplink().as_dict()
        assert list(view["refused_topics"]) == [OWN_DEVICES]
        assert "refuses 1 of the subscriptions" in view["reason"]
        assert "gateways/gw/devices/d/status" in broker.order, "statuses do not wait for it"
        broker.forbidden.clear()
        await until(lambda: not gw.uplink().as_dict()["refused_topics"])
        assert len(broker.peers) == 1


async def test_without_the_right_to_the_wildcard_each_device_is_asked_for(gw: Gateway) -> None:
    async with Strict(EVERY_DEVICE, BROADCAST) as broker:
        gw.statuses.update(d={"status": "online"}, e={"status": "online"})
        await gw.apply(a=broker.settings())
        await until(lambda: [BROADCAST] in broker.asked)
        assert list(gw.uplink().as_dict()["refused_topics"]) == [BROADCAST]
    assert broker.asked[:2] == [[COMMANDS, BROADCAST, EVERY_DEVICE], ["devices/d/commands", "devices/e/commands"]]


async def test_a_broker_that_hangs_up_on_a_subscription_keeps_the_readings_coming(
    gw: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As RabbitMQ does on what its rights forbid: the filter is found, left out, and no reading is suspected."""
    monkeypatch.setattr(broker_link, "LONGEST_CROWDED", 0.05)
    async with Strict(BROADCAST, hangs_up=True) as broker:
        gw.statuses["d"] = {"status": "online"}
        await gw.apply(a=broker.settings())
        await gw.put(*range(20))
        await until(lambda: gw.uplink().as_dict()["refused_topics"] == {BROADCAST: subscription_requests.HANGS_UP})
        connections = len(broker.peers)
        await gw.deliver(*range(20))
        await until(lambda: [EVERY_DEVICE] in broker.asked or broker.asked[-1] == [COMMANDS, EVERY_DEVICE])
        assert len(broker.peers) <= connections + 1
        assert gw.uplink().as_dict()["suspect"] is None
        assert gw.uplink().counters.dead == 0
        assert connections <= 5
        broker.hangs_up = False
        requests = gw.uplink()._tasks.requests
        requests._not_before.clear()
        await until(lambda: not requests._hang_ups)  # a broker that answers may be asked for several at once again


async def test_a_reading_that_makes_the_broker_hang_up_is_found_beside_subscriptions(gw: Gateway) -> None:
    """A hang-up while a SUBSCRIBE waits may still be a reading's fault: the next SUBSCRIBE is alone on the wire."""

    class Poisoned(Strict):
        def _publish(self, peer: Peer, command: int, body: bytes) -> bytes:
            if b'"n":7,' in body or body.endswith(b'"n":7}'):
                peer.hang_up()
                return b""
            return super()._publish(peer, command, body)

    async with Poisoned() as broker:
        await gw.apply(a=broker.settings(active=False))
        await gw.put(7, 8)
        await gw.uplink().connect()
        await until(lambda: gw.uplink()._poison.suspect is not None, 20)
        assert not gw.uplink().as_dict()["refused_topics"]


async def test_an_unanswered_subscription_gets_more_time_each_time(
    gw: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription_requests, "FIRST_TIMEOUT", 0.05)
    async with Strict() as broker:
        broker.on[SUBSCRIBE] = lambda peer, command, body: broker.order.append("subscribe")
        await gw.apply(a=broker.settings())
        requests = gw.uplink()._tasks.requests
        requests.timeout = 0.05
        await until(lambda: requests.timeout >= 0.4)
        assert COMMANDS in gw.uplink().as_dict()["refused_topics"]
        broker.on[SUBSCRIBE] = broker._subscribe
        await until(lambda: not gw.uplink().as_dict()["refused_topics"])
        assert requests.timeout == 0.05


async def test_the_commands_quality_of_service_is_a_setting(gw: Gateway) -> None:
    async with Strict() as broker:
        await gw.apply(a=broker.settings(command_qos=0))
        await until(lambda: bool(broker.asked))
        body = broker.peer.of(SUBSCRIBE)[0][1]
    assert body[-1] == 0


def test_the_older_version_is_tried_at_the_address_that_hung_up() -> None:
    from gatepost.agent.core.errors import ConnectFailed
    from gatepost.agent.uplink.mqtt.version_fallback import ProtocolChoice

    choice = ProtocolChoice()
    hung_up = ConnectFailed("closed", "hung up", retry="protocol")
    assert [choice.failed(hung_up, url) for url in ("one", "two", "one")] == [False, False, True]
    assert choice.current == "3.1.1"


async def test_a_crowded_broker_is_left_more_and_more_time(gw: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that answers and takes no connection has many at its door; one that cannot be reached costs nobody."""
    await gw.apply(a=BrokerSettings("mqtt://127.0.0.1:9", active=False))
    link = gw.uplink()
    link._backoff._rng = link._crowded._rng = Random(1)
    waits: list[float] = []
    monkeypatch.setattr(link._state, "wait", lambda delay, *_: waits.append(delay))
    link._changed.set()

    from gatepost.agent.core.errors import ConnectFailed

    for _ in range(12):
        await link._wait(ConnectFailed("refused", "busy", reached=True))
    assert 60 <= waits[-1] <= 120
    waits.clear()
    await link._wait(ConnectFailed("unreachable", "nobody there"))
    assert waits[0] < 1


async def test_statuses_are_repeated_only_where_the_broker_lost_them(gw: Gateway) -> None:
    """A session that it kept is the sign that it kept the retained statuses as well."""
    async with Strict() as broker:
        session = b"\0\0"
        broker.on[CONNECT] = lambda *_: packet(0x20, session)
        gw.statuses.update(d={"status": "online"}, e={"status": "online"})

        async def reconnected() -> list[str]:
            broker.order.clear()
            before = gw.uplink().as_dict()["connects"]
            broker.peer.hang_up()
            await until(lambda: gw.uplink().as_dict()["connects"] > before and "subscribe" in broker.order)
            await until(lambda: len(gw.connected) > before)
            return sorted(each for each in broker.order if each.startswith("devices/"))

        await gw.apply(a=broker.settings(session="kept"))
        await until(lambda: len(gw.connected) == 1)
        assert await reconnected() == ["devices/d/status", "devices/e/status"]
        session = b"\1\0"
        gw.statuses["e"] = {"status": "offline"}
        assert await reconnected() == ["devices/e/status"]


async def test_a_slow_broker_is_given_more_time_on_the_next_connection(
    gw: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acknowledgements, "ACK_LIMIT", 0.1)
    async with Strict() as broker:
        broker.on[PUBLISH] = lambda *_: None
        await gw.apply(a=broker.settings())
        await gw.put(1)
        await until(lambda: gw.uplink().counters.patience == acknowledgements.MOST_PATIENCE)
        broker.on[PUBLISH] = broker._publish
        await gw.delivered()
