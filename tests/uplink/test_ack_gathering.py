"""Acknowledgements that nobody waits for stay in the kernel; whatever else comes is read as it comes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from gatepost.agent.uplink.mqtt import ack_gathering
from gatepost.agent.uplink.mqtt.ack_gathering import AckGathering
from gatepost.agent.uplink.mqtt.tls import tls_context

from .broker import PUBLISH, Authority, FakeBroker, Mosquitto, Peer, packet, publish_id, running, until
from .client import Recorder, connected
from .fakes import Rig

ALL = [(1, 0), (2, 0), (3, 0)]
COMMAND = packet(0x30, b"\x00\x01c\x00x")  # QoS 0, no properties


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read only because time passes."""
    monkeypatch.setattr(ack_gathering, "LONGEST", 60.0)


class LeftInKernel:
    """Three messages, whose acknowledgements are left in the kernel and not sent yet."""

    def __init__(self, client: Recorder, peer: Peer, acks: list[bytes], gathering: AckGathering) -> None:
        self.client, self.peer, self.acks, self.gathering = client, peer, acks, gathering

    async def arrive(self, data: bytes) -> None:
        """Send it, and let the loop look at its sockets once it is there."""
        before = self._waiting()
        self.peer.send(data)
        await until(lambda: self._waiting() != before or self.client.acks or self.client.messages)
        for _ in range(5):
            await asyncio.sleep(0)

    def _waiting(self) -> int:
        try:
            return len(self.gathering._link.recv(100, socket.MSG_PEEK))
        except BlockingIOError:
            return 0


@contextlib.asynccontextmanager
async def left_in_kernel() -> AsyncIterator[LeftInKernel]:
    async with FakeBroker() as broker:
        acks: list[bytes] = []
        broker.on[PUBLISH] = lambda peer, command, body: acks.append(b"\x40\x02" + publish_id(command, body))
        async with connected(broker.url) as client:
            gathering = client.connection.gathering
            assert gathering is not None
            for tag, _ in ALL:
                client.publish(tag)
            gathering.leave(len(ALL))
            await until(lambda: len(acks) == len(ALL))
            yield LeftInKernel(client, broker.peer, acks, gathering)


async def test_acknowledgements_stay_until_they_are_read() -> None:
    async with left_in_kernel() as left:
        await left.arrive(b"".join(left.acks))
        assert left.client.acks == []
        left.gathering.read()
        assert left.client.acks == ALL
        left.client.publish(4)
        await until(lambda: len(left.acks) == 4)
        left.peer.send(left.acks[3])  # nothing is left in the kernel any more
        await until(lambda: left.client.acks == [*ALL, (4, 0)])


async def test_what_is_not_there_yet_is_read_as_it_comes() -> None:
    async with left_in_kernel() as left:
        left.gathering.read()
        for ack in left.acks:
            left.peer.send(ack)
        await until(lambda: left.client.acks == ALL)


async def test_one_more_message_makes_all_of_them_worth_reading() -> None:
    async with left_in_kernel() as left:
        await left.arrive(b"".join(left.acks))
        left.client.publish(4)
        await until(lambda: len(left.acks) == 4)
        assert left.client.acks == []
        left.peer.send(left.acks[3])
        await until(lambda: left.client.acks == [*ALL, (4, 0)])


async def test_a_command_is_read_at_once_and_what_came_before_it_too() -> None:
    async with left_in_kernel() as left:
        await left.arrive(b"".join(left.acks))
        assert left.client.acks == []
        left.peer.send(COMMAND)
        await until(lambda: left.client.messages)
        assert left.client.acks == ALL
        left.client.publish(4)
        await until(lambda: len(left.acks) == 4)
        left.peer.send(left.acks[3])  # nothing is left in the kernel any more
        await until(lambda: left.client.acks == [*ALL, (4, 0)])


async def test_a_reason_is_read_at_once() -> None:
    async with left_in_kernel() as left:
        refused = b"\x40\x03" + left.acks[2][2:] + b"\x97"
        left.peer.send(left.acks[0] + left.acks[1] + refused)
        await until(lambda: left.client.acks == [(1, 0), (2, 0), (3, 0x97)])


async def test_the_end_of_the_connection_is_seen_with_what_came_before_it() -> None:
    async with left_in_kernel() as left:
        left.peer.send(b"".join(left.acks[:2]))
        left.peer.writer.close()
        await until(lambda: left.client.losses)
        assert left.client.acks == ALL[:2]
        left.gathering.read()  # of a socket that is closed


async def test_they_are_read_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ack_gathering, "LONGEST", 0.01)
    async with left_in_kernel() as left:
        left.peer.send(b"".join(left.acks))
        await until(lambda: left.client.acks == ALL)


async def test_nothing_is_read_while_the_connection_is_paused() -> None:
    async with left_in_kernel() as left:
        await left.arrive(b"".join(left.acks))
        stream = left.client.connection._stream
        stream.pause(True)
        left.gathering.leave(3)
        left.gathering.read()
        assert left.client.acks == []
        stream.pause(False)
        await until(lambda: left.client.acks == ALL)


@pytest.mark.parametrize("websockets", [False, True])
async def test_with_tls_or_websockets_what_comes_is_read_as_it_comes(
    tmp_path: Path, authority: Authority, websockets: bool
) -> None:
    broker = Mosquitto(tmp_path / "broker", websockets, None if websockets else authority)
    context = None if websockets else tls_context(str(authority.ca))
    async with running(broker), connected(broker.url, context=context) as client:
        assert client.connection.gathering is None


# -- when a delivery leaves them there


class Gathering:
    """AckGathering of a connection that acknowledges what it was sent when it is read."""

    def __init__(self) -> None:
        self.left: list[int] = []
        self.on_read: Callable[[], None] = lambda: None

    def leave(self, messages: int) -> None:
        self.left.append(messages)

    def read(self) -> None:
        self.on_read()


def delivering(**options: Any) -> tuple[Rig, Gathering]:
    rig, gathering = Rig(**options), Gathering()
    rig.connect(gathering=gathering)
    return rig, gathering


def send(rig: Rig, count: int, **reading: Any) -> list[int]:
    for _ in range(count):
        rig.store.add(**reading)
    rig.session.send_pending()
    return rig.connection.sent


async def test_a_delivery_that_has_sent_all_leaves_them() -> None:
    rig, gathering = delivering(window=4)
    send(rig, 3)
    assert gathering.left == [3]
    rig.session.send_pending()  # nothing new: nothing changes
    assert gathering.left == [3]


async def test_a_delivery_whose_window_is_full_waits_for_them() -> None:
    rig, gathering = delivering(window=4)
    assert send(rig, 6) == [1, 2, 3, 4]
    assert gathering.left == []


async def test_a_delivery_with_another_quality_of_service_waits_for_them() -> None:
    for qos in (0, 2):
        rig, gathering = delivering(qos=qos)
        assert send(rig, 3) == [1, 2, 3]
        assert gathering.left == []


async def test_nothing_is_waited_for_at_a_broker_that_takes_only_quality_of_service_0() -> None:
    async with FakeBroker(connack=b"\x20\x05\x00\x00\x02\x24\x00") as broker, connected(broker.url) as client:
        rig = Rig()
        rig.connect()
        rig.session.start(client.connection)
        send(rig, 3)
        await until(lambda: len(broker.peer.of(PUBLISH)) == 3)
        assert {command & 0x06 for command, _ in broker.peer.of(PUBLISH)} == {0}
        assert client.connection.gathering is not None
        assert client.connection.gathering._timer is None
        rig.drop()


async def test_messages_that_are_no_plain_readings_are_waited_for() -> None:
    rig, gathering = delivering()
    assert send(rig, 1, event=True) == [1]
    send(rig, 1)
    assert gathering.left == []


async def test_they_are_read_before_a_commit_and_at_the_end() -> None:
    rig, gathering = delivering()
    assert rig.store.on_turn == [gathering.read]
    send(rig, 2)
    gathering.on_read = lambda: rig.connection.ack(*rig.connection.flight)
    rig.session.hold()
    assert rig.owed() == []
    rig.drop()
    assert rig.store.on_turn == []
