"""Uplinks on a real log against a broker that misbehaves, and writes down what it acknowledged."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from gatepost.agent.settings.model import BrokerSettings
from gatepost.agent.uplink import acknowledgements, poison_messages, subscription_requests
from tests.store.conftest import database
from tests.support.waiting import until

from .broker import CONNECT, PUBLISH, SUBSCRIBE, FakeBroker, Peer, packet, publish_id
from .gateway import Gateway


class Journal(FakeBroker):
    """Acknowledges readings, and keeps them in the order of arrival: (device or "", payload as JSON)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.readings: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.others: list[tuple[str, bytes]] = []
        self.sent: list[dict[str, Any]] = []
        self.poison: set[Any] = set()
        self.refusals: dict[Any, int] = {}
        self.forget = False  # acknowledge readings no more
        self.on[PUBLISH] = self._published
        self.on[SUBSCRIBE] = granted

    def _published(self, peer: Peer, command: int, body: bytes) -> bytes | None:
        topic, message = take_apart(peer, body)
        if topic.endswith("/data"):
            self.sent.append(message)
            if message["n"] in self.poison or "all" in self.poison:
                peer.hang_up()
                return None
            if self.forget:
                return None
            code = self.refusals.get(message["n"], 0)
            if code:
                return packet(0x40, publish_id(command, body) + bytes((code, 0)))
            self.readings.append(message)
        elif topic.endswith("/events"):
            self.events.append(message)
        else:
            self.others.append((topic, orjson.dumps(message)))
        return packet(0x40, publish_id(command, body))

    @property
    def numbers(self) -> list[Any]:
        return [reading["n"] for reading in self.readings]


def granted(peer: Peer, command: int, body: bytes) -> bytes:
    """Every filter, with QoS 1."""
    at, count = 2 + (1 + body[2] if peer.version == 5 else 0), 0
    while at < len(body):
        at += 2 + int.from_bytes(body[at : at + 2], "big") + 1
        count += 1
    return packet(0x90, body[:2] + (b"\0" if peer.version == 5 else b"") + b"\x01" * count)


def take_apart(peer: Peer, body: bytes) -> tuple[str, Any]:
    """Topic and JSON payload of a PUBLISH with QoS 1."""
    size = int.from_bytes(body[:2], "big")
    at = 2 + size + 2
    if peer.version == 5:
        length = shift = 0
        while True:
            octet = body[at]
            at += 1
            length |= (octet & 0x7F) << shift
            shift += 7
            if octet < 0x80:
                break
        at += length
    return body[2 : 2 + size].decode(), orjson.loads(body[at:])


@pytest.fixture(autouse=True)
def sooner(monkeypatch: pytest.MonkeyPatch, soon: None) -> None:
    monkeypatch.setattr(poison_messages, "QUIET", 0.05)
    monkeypatch.setattr(acknowledgements, "FIRST_PAUSE", 0.02)


async def test_cut_off_at_random_nothing_is_lost_and_ids_are_kept(gw: Gateway) -> None:
    chance = Random(3)
    async with Journal() as fake:

        def unsteady(peer: Peer, command: int, body: bytes) -> bytes | None:
            if chance.random() < 0.01:
                peer.hang_up()
                return None
            return fake._published(peer, command, body)

        fake.on[PUBLISH] = unsteady
        await gw.apply(a=BrokerSettings(fake.url, window=30))
        for start in range(0, 2000, 100):
            await gw.deliver(*range(start, start + 100))
        assert len(fake.peers) > 5
    assert sorted(set(fake.numbers)) == list(range(2000))
    ids = {reading["n"]: set() for reading in fake.readings}
    for reading in fake.readings:
        ids[reading["n"]].add(reading["id"])
    assert all(len(one) == 1 for one in ids.values())
    for replayed in (True, False):  # first arrivals, lane by lane, are in order
        seen = [reading["n"] for reading in fake.readings if reading["replayed"] is replayed]
        firsts = list(dict.fromkeys(seen))
        assert firsts == sorted(firsts)


async def test_a_poisonous_reading_is_a_dead_letter_and_the_lane_goes_on(gw: Gateway) -> None:
    async with Journal() as fake:
        fake.poison = {5}
        await gw.connect(a=BrokerSettings(fake.url))
        seqs = await gw.put(*range(12))
        await gw.delivered(seconds=30)
        assert sorted(set(fake.numbers)) == [n for n in range(12) if n != 5]
        letters = await gw.store.dead_letters()
        assert [(letter["reading"], letter["code"]) for letter in letters] == [(gw.store.reading_id(seqs[5]), None)]
        assert "hung up" in letters[0]["reason"]
        await until(lambda: [event["event"] for event in fake.events] == ["dead-letter"])
        assert fake.events[0]["reading"] == letters[0]["reading"]
        assert gw.uplink().counters.dead == 1


async def test_two_poisonous_readings_in_a_row(gw: Gateway) -> None:
    async with Journal() as fake:
        fake.poison = {0, 1}
        await gw.apply(a=BrokerSettings(fake.url))
        await gw.put(0, 1, 2)
        await until(lambda: gw.uplink().counters.dead == 1, 30)
        number = 3
        while gw.uplink().counters.dead < 2:  # a live one shows that the broker takes readings
            await gw.put(number)
            number += 1
            await asyncio.sleep(0.02)
        await gw.delivered(seconds=30)
        assert sorted(set(fake.numbers)) == list(range(2, number))
        assert len(await gw.store.dead_letters()) == 2


async def test_a_poisonous_urgent_reading_does_not_shut_the_others_out(gw: Gateway) -> None:
    async with Journal() as fake:
        fake.poison = {"u", "v"}
        await gw.apply(a=BrokerSettings(fake.url))
        await gw.put("u", "v", urgent=True)
        await gw.put(1, 2)
        await until(lambda: gw.uplink().counters.dead == 1, 30)
        await gw.put(3)
        await gw.delivered(seconds=30)
        assert sorted(set(fake.numbers)) == [1, 2, 3]


async def test_a_broker_that_hangs_up_on_every_reading_does_not_eat_the_log(
    gw: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poison_messages, "PROBE_WAIT", 0.1)
    async with Journal() as fake:
        fake.poison = {"all"}
        await gw.apply(a=BrokerSettings(fake.url))
        await gw.put(*range(10))
        await until(lambda: len(fake.peers) > 25, 30)
        assert len(await gw.store.dead_letters()) <= 1
        assert await gw.owes() >= 9
        fake.poison = set()
        await gw.delivered()
        assert len(set(fake.numbers)) >= 9


async def test_connect_then_kick_condemns_nobody_and_backs_off(gw: Gateway) -> None:
    async with Journal() as fake:

        def kick(peer: Peer, command: int, body: bytes) -> None:
            peer.send(packet(0x20, b"\0\0\0"))
            asyncio.get_running_loop().call_later(0.005, peer.hang_up)

        fake.on[CONNECT] = kick
        fake.on[SUBSCRIBE] = lambda peer, command, body: None
        fake.forget = True
        await gw.apply(a=BrokerSettings(fake.url))
        await gw.put(*range(10))
        uplink = gw.uplink()
        await until(lambda: len(fake.peers) > 12, 20)
        assert uplink._backoff.failures > 8
        assert uplink.as_dict()["losses"] > 8
        assert not await gw.store.dead_letters()
        del fake.on[CONNECT]
        fake.on[SUBSCRIBE] = granted
        fake.forget = False
        await gw.delivered()
        assert sorted(set(fake.numbers)) == list(range(10))
        assert uplink._backoff.failures > 8  # only a connection that held long enough resets it


async def test_a_broker_that_says_it_is_busy_makes_no_suspect(gw: Gateway) -> None:
    async with Journal() as fake:
        calm = fake.on[PUBLISH]

        def busy(peer: Peer, command: int, body: bytes) -> bytes | None:
            topic, _ = take_apart(peer, body)
            if topic.endswith("/data"):
                peer.send(packet(0xE0, b"\x89\x00"))
                return None
            return calm(peer, command, body)

        fake.on[PUBLISH] = busy
        await gw.apply(a=BrokerSettings(fake.url))
        await gw.put(1)
        await until(lambda: len(fake.peers) > 8, 20)
        assert gw.uplink()._poison.suspect is None
        fake.on[PUBLISH] = calm
        await gw.delivered()
    assert not await gw.store.dead_letters()


async def test_a_half_open_link_is_found_while_data_waits(gw: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acknowledgements, "ACK_LIMIT", 0.3)
    async with Journal() as fake:
        await gw.apply(a=BrokerSettings(fake.url))
        uplink = await gw.state("connected")
        await until(lambda: fake.others)
        fake.peer.stall()
        with gw.context.events.listen() as events:
            await gw.deliver(*range(5))
            told = [events.get_nowait().data for _ in range(events.qsize())]
        assert any("acknowledged nothing" in one.get("reason", "") for one in told)
        assert uplink._poison.suspect is None
        assert sorted(set(fake.numbers)) == list(range(5))


async def test_a_broker_that_acknowledges_nothing_makes_no_suspect(
    gw: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acknowledgements, "ACK_LIMIT", 0.1)
    async with Journal() as fake:
        fake.forget = True
        await gw.apply(a=BrokerSettings(fake.url))
        await gw.put(1)
        await until(lambda: len(fake.peers) > 8, 20)
        assert gw.uplink()._poison.suspect is None
        fake.forget = False
        await gw.delivered()
    assert not await gw.store.dead_letters()


async def test_refusals_for_now_and_for_good(gw: Gateway) -> None:
    async with Journal() as fake:
        fake.refusals = {2: 0x97, 3: 0x99}
        await gw.apply(a=BrokerSettings(fake.url))
        await gw.put(*range(6))
        await until(lambda: sum(one["n"] == 2 for one in fake.sent) >= 3)
        assert 2 not in fake.numbers
        del fake.refusals[2]
        await gw.delivered()
        letters = await gw.store.dead_letters()
        assert [letter["code"] for letter in letters] == [0x99]
        assert sorted(fake.numbers) == [0, 1, 2, 4, 5]
        assert gw.uplink().as_dict()["connects"] == 1


async def test_auto_falls_back_to_3_1_1(gw: Gateway) -> None:
    async with Journal() as fake:

        def only_old(peer: Peer, command: int, body: bytes) -> bytes:
            return packet(0x20, b"\0\x84\0") if peer.version == 5 else packet(0x20, b"\0\0")

        fake.on[CONNECT] = only_old
        await gw.apply(a=BrokerSettings(fake.url))
        uplink = await gw.state("connected")
        assert uplink.as_dict()["protocol"] == "3.1.1"
        await gw.deliver(1)
        assert fake.numbers == [1]


async def test_taken_over(gw: Gateway) -> None:
    async with Journal() as fake:
        await gw.apply(a=BrokerSettings(fake.url))
        uplink = await gw.state("connected")
        with gw.context.events.listen() as events:
            fake.peer.send(packet(0xE0, b"\x8e\x00"))
            await until(lambda: uplink.state != "connected")
            told = [events.get_nowait().data for _ in range(events.qsize())]
        assert [one["state"] for one in told] == ["refused"]
        assert "session taken over" in told[0]["reason"]
        assert "client_id" in uplink.hint
        await gw.state("connected")
        await uplink.disconnect()
        await until(lambda: uplink.state == "disconnected")
        assert uplink.as_dict()["losses"] == 1  # what was asked for is no loss


async def test_a_subscription_without_answer_is_asked_again(gw: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription_requests, "FIRST_TIMEOUT", 0.05)
    async with Journal() as fake:
        asked = 0

        def late(peer: Peer, command: int, body: bytes) -> bytes | None:
            nonlocal asked
            asked += 1
            return None if asked < 3 else granted(peer, command, body)

        fake.on[SUBSCRIBE] = late
        await gw.apply(a=BrokerSettings(fake.url))
        await until(lambda: asked >= 3)
        await until(lambda: any(topic == "gateways/gw/status" for topic, _ in fake.others))
        assert gw.uplink().as_dict()["connects"] == 1


async def test_a_refused_status_does_not_hold_up_the_others(gw: Gateway) -> None:
    gw.statuses = {name: {"device_id": name, "status": "online"} for name in ("d", "e")}
    async with Journal() as fake:

        def refuse(peer: Peer, command: int, body: bytes) -> bytes | None:
            topic, _ = take_apart(peer, body)
            answer = fake._published(peer, command, body)
            return packet(0x40, publish_id(command, body) + b"\x87\x00") if topic == "devices/d/status" else answer

        fake.on[PUBLISH] = refuse
        await gw.apply(a=BrokerSettings(fake.url))
        await until(lambda: any(topic == "devices/e/status" for topic, _ in fake.others))
        await until(lambda: gw.connected)
        assert gw.uplink().state == "connected"


async def test_a_broker_that_takes_one_message_at_a_time(gw: Gateway) -> None:
    async with Journal(connack=packet(0x20, b"\0\0\x03\x21\x00\x01")) as fake:
        await gw.apply(a=BrokerSettings(fake.url))
        await gw.put(*range(200))
        await until(lambda: gw.connected)
        await gw.delivered()
        assert fake.numbers == list(range(200))
        assert gw.uplink().as_dict()["connects"] == 1


async def test_damaged_rows_do_not_end_the_backlog(gw: Gateway, tmp_path: Path) -> None:
    """A page with a row left out is no last page."""

    def damage() -> None:
        with database(tmp_path / "state" / "gatepost.db", timeout=60.0) as db:
            db.execute("UPDATE reading SET crc = crc + 1 WHERE seq IN (10, 600, 601, 1200)")

    async with Journal() as fake:
        await gw.apply(a=BrokerSettings(fake.url, active=False))
        for start in range(0, 12_000, 1000):  # more than memory holds
            await gw.put(*range(start, start + 1000))
        await asyncio.to_thread(damage)  # a transaction of the agent needs the loop to end
        await gw.uplink().connect()
        await gw.delivered()
    assert len(set(fake.numbers)) == 12_000 - 4
    assert [event["reason"] for event in fake.events if event["event"] == "gap"] == ["damaged-row"] * len(fake.events)
