"""Against a scripted broker that misbehaves: each fault is found, named, and ends within a bound."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import struct

import pytest

from gatepost.agent.core.errors import ConnectFailed, NotConnected, UplinkError

from .broker import (
    CONNECT,
    PINGREQ,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBSCRIBE,
    UNSUBSCRIBE,
    FakeBroker,
    Peer,
    packet,
    publish_id,
    until,
)
from .client import Recorder, connected


def publish(
    topic: bytes, payload: bytes, qos: int = 0, mid: int = 0, flags: int = 0, properties: bytes = b"\0"
) -> bytes:
    head = struct.pack(">H", len(topic)) + topic + (struct.pack(">H", mid) if qos else b"")
    return packet(0x30 | qos << 1 | flags, head + properties + payload)


async def refused(recorder: Recorder, timeout: float = 5.0) -> ConnectFailed:
    with pytest.raises(ConnectFailed) as caught:
        await recorder.connection.open(timeout)
    assert recorder.losses == []  # on_lost is for opened connections only
    assert not recorder.connection._stream._connected.is_set()  # nothing is left open
    return caught.value


# -- CONNACK -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "code", "retry"),
    [
        ("5", 0x84, "protocol"),
        ("5", 0x01, "protocol"),
        ("5", 0x86, "later"),
        ("5", 0x87, "later"),
        ("5", 0x88, "soon"),
        ("5", 0x89, "soon"),
        ("5", 0x8A, "later"),
        ("5", 0xEE, "soon"),
        ("3.1.1", 1, "protocol"),
        ("3.1.1", 3, "soon"),
        ("3.1.1", 4, "later"),
        ("3.1.1", 5, "later"),
    ],
)
async def test_refused(protocol: str, code: int, retry: str) -> None:
    body = bytes((0, code)) + (b"\0" if protocol == "5" and code >= 0x80 else b"")
    async with FakeBroker(packet(0x20, body)) as broker:
        failure = await refused(Recorder(broker.url, protocol=protocol))
        assert (failure.reason, failure.code, failure.retry) == ("refused", code, retry)
        await until(lambda: broker.peer.gone)
        await asyncio.sleep(0)
        assert len(broker.peers) == 1  # gmqtt would come again by itself


async def test_the_brokers_own_words_are_passed_on() -> None:
    properties = b"\x1f\0\x04full" + b"\x1c\0\x05b.com"
    async with FakeBroker(packet(0x20, b"\0\x9d" + bytes((len(properties),)) + properties)) as broker:
        failure = await refused(Recorder(broker.url))
        assert "full" in failure.message
        assert "b.com" in failure.hint


async def test_no_connack() -> None:
    async with FakeBroker() as broker:
        broker.on[CONNECT] = lambda peer, command, body: None
        failure = await refused(Recorder(broker.url), 0.2)
        assert failure.reason == "timeout"
        assert "CONNECT" in failure.message
        await until(lambda: broker.peer.gone)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_closed_before_connack(protocol: str) -> None:
    async with FakeBroker() as broker:
        broker.on[CONNECT] = lambda peer, command, body: peer.hang_up()
        failure = await refused(Recorder(broker.url, protocol=protocol))
        assert (failure.reason, failure.code, failure.retry) == ("closed", None, "protocol")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        packet(0x40, b"\0\x01"),
        packet(0x20, b"\0"),
        packet(0x20, b"\0\0\x05\x7f"),
        b"\x20\xff\xff\xff\xff\x01",
    ],
)
async def test_something_else_listens(answer: bytes) -> None:
    async with FakeBroker(answer) as broker:
        failure = await refused(Recorder(broker.url), 5)
        assert failure.reason == "malformed"


async def test_unreachable_within_the_time() -> None:
    with socket.socket() as listener:  # never accepts; the handshake of TLS finds nobody
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        from gatepost.agent.uplink.mqtt.tls import tls_context

        url = f"mqtts://127.0.0.1:{listener.getsockname()[1]}"
        failure = await refused(Recorder(url, context=tls_context(verify=False)), 0.2)
        assert failure.reason == "timeout"


async def test_an_unknown_host() -> None:
    failure = await refused(Recorder("mqtt://no-such-host.invalid"), 10)
    assert failure.reason in ("unknown-host", "timeout")
    assert "no-such-host.invalid" in failure.message


async def test_cancelled_while_opening() -> None:
    async with FakeBroker() as broker:
        broker.on[CONNECT] = lambda peer, command, body: None
        one = Recorder(broker.url)
        task = asyncio.ensure_future(one.connection.open(60))
        await until(lambda: broker.peers and broker.peer.packets)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: broker.peer.gone)


async def test_limits_of_the_broker_are_learnt() -> None:
    properties = b"\x21\0\x05" + b"\x24\x01" + b"\x25\0" + b"\x27\0\0\x04\0" + b"\x13\0\x07"
    connack = packet(0x20, b"\0\0" + bytes((len(properties),)) + properties)
    async with FakeBroker(connack) as broker, connected(broker.url) as one:
        connection = one.connection
        assert connection.publisher.receive_maximum == 5
        assert connection.publisher.maximum_qos == 1
        assert connection.publisher.retain_available is False
        assert connection.publisher.maximum_packet_size == 1024
        assert connection.keepalive == 7
        one.publish(1, qos=2, retain=True)
        await until(lambda: one.acks)
        assert broker.peer.of(PUBLISH)[0][0] == 0x32  # QoS 1, not retained


async def test_connect_says_what_was_asked() -> None:
    async with FakeBroker() as broker:
        options = {"client_id": "gäte", "username": "ü", "password": "p", "keepalive": 77, "session_expiry": 9}
        async with connected(broker.url, clean_start=False, **options):
            body = broker.peer.packets[0][1]
            assert body[:7] == b"\0\x04MQTT\x05"
            assert body[7] == 0xC0
            assert body[8:10] == b"\0\x4d"
            assert "gäte".encode() in body
            assert body.endswith("ü".encode() + b"\0\x01p")
            assert b"\x11\0\0\0\x09" in body  # session expiry
            assert b"\x21\0\x14" in body  # receive maximum 20


# -- acknowledgements --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0x00, 0x10, 0x80, 0x87, 0x97])
@pytest.mark.parametrize(("qos", "kind"), [(1, PUBACK), (2, PUBREC)])
async def test_reason_codes_reach_the_caller(code: int, qos: int, kind: int) -> None:
    async with FakeBroker() as broker:
        broker.on[PUBLISH] = lambda peer, command, body: packet(kind << 4, publish_id(command, body) + bytes((code, 0)))
        async with connected(broker.url) as one:
            one.publish(1, qos)
            one.publish(2, qos)
            await until(lambda: len(one.acks) == 2)
            expected = 0 if qos == 2 and code < 0x80 else code
            assert one.acks == [(1, expected), (2, expected)]
            assert len(broker.peer.of(PUBREL)) == (2 if qos == 2 and code < 0x80 else 0)
            assert one.connection.publisher.in_flight == 0


async def test_qos_2_counts_only_after_pubcomp() -> None:
    async with FakeBroker() as broker:
        broker.on[PUBREL] = lambda peer, command, body: None
        async with connected(broker.url) as one:
            one.publish(1, 2)
            await until(lambda: broker.peer.of(PUBREL))
            assert one.acks == []
            assert one.connection.publisher.unacked() == [1]
            broker.peer.send(packet(0x70, broker.peer.of(PUBREL)[0][1][:2]))
            await until(lambda: one.acks == [(1, 0)])


async def test_pubcomp_out_of_turn_and_unknown_ids_are_no_acknowledgement() -> None:
    async with FakeBroker() as broker:
        broker.on[PUBLISH] = lambda peer, command, body: (
            packet(0x70, publish_id(command, body)) + packet(0x40, b"\xff\xf0") + packet(0x50, b"\xff\xf1")
        )
        async with connected(broker.url) as one:
            await one.connection.subscribe([("t", 1)], 5)
            one.publish(1, 2)
            await until(lambda: broker.peer.of(PUBLISH))
            await one.connection.subscribe([("t", 1)], 5)  # everything before it has been read
            assert one.acks == []
            assert broker.peer.of(PUBREL) == []
            assert one.connection.publisher.in_flight == 1


async def test_acks_of_one_chunk_come_in_one_call() -> None:
    held: list[bytes] = []

    def answer(peer: Peer, command: int, body: bytes) -> bytes | None:
        held.append(packet(0x40, publish_id(command, body)))
        return b"".join(held) if len(held) == 10 else None

    async with FakeBroker() as broker:
        broker.on[PUBLISH] = answer
        async with connected(broker.url) as one:
            for tag in range(10):
                one.publish(tag)
            await until(lambda: len(one.acks) == 10)
            assert one.chunks == [10]


async def test_packets_cut_anywhere_are_put_together() -> None:
    async with FakeBroker() as broker:
        held: list[bytes] = []
        broker.on[PUBLISH] = lambda peer, command, body: held.append(packet(0x40, publish_id(command, body)))
        async with connected(broker.url) as one:
            one.publish(1)
            one.publish(2)
            await until(lambda: len(held) == 2)
            stream = held[0] + publish(b"in", b"p" * 200) + held[1]
            for octet in stream:
                broker.peer.send(bytes((octet,)))
                await asyncio.sleep(0.0002)
            await until(lambda: len(one.acks) == 2 and one.dealt == 1)
            assert one.messages[0].payload == b"p" * 200


async def test_packet_ids_come_round_and_miss_what_is_in_flight() -> None:
    async with FakeBroker() as broker:
        held: list[bytes] = []

        def answer(peer: Peer, command: int, body: bytes) -> bytes | None:
            mid = publish_id(command, body)
            if not held:
                held.append(mid)
                return None
            return packet(0x40, mid)

        broker.on[PUBLISH] = answer
        async with connected(broker.url) as one:
            one.publish(0)
            one.connection.publisher._mid = 65_534
            one.publish(1)
            one.publish(2)
            one.publish(3)
            await until(lambda: len(one.acks) == 3)
            ids = [int.from_bytes(publish_id(*sent), "big") for sent in broker.peer.of(PUBLISH)]
            assert ids == [64, 65_535, 65, 66]


async def test_packet_ids_of_subscriptions_stay_below_those_of_messages() -> None:
    async with FakeBroker() as broker, connected(broker.url) as one:
        for _ in range(130):
            await one.connection.subscribe([("t", 1)], 5)
        ids = [int.from_bytes(body[:2], "big") for _, body in broker.peer.of(SUBSCRIBE)]
        assert max(ids) == 63


async def test_qos_0_counts_when_the_kernel_has_it() -> None:
    async with FakeBroker() as broker, connected(broker.url) as one:
        broker.peer.stall()
        tag = 0
        while len(one.acks) == tag:  # until the kernel's buffers are full
            one.publish(tag, 0, payload=b"x" * 100_000)
            tag += 1
            await asyncio.sleep(0.001)
        for more in range(3):
            one.publish(tag + more, 0)
        await asyncio.sleep(0.01)
        assert len(one.acks) < tag
        assert one.connection.publisher.in_flight == tag + 3 - len(one.acks)
        assert one.connection.publisher.unsent > 0
        waiting = one.connection.publisher.unacked()
        assert waiting == list(range(len(one.acks), tag + 3))


# -- subscriptions -----------------------------------------------------------------------------------------------------


async def test_subscriptions_refused_unanswered_and_answered_wrongly() -> None:
    async with FakeBroker() as broker, connected(broker.url) as one:
        broker.on[SUBSCRIBE] = lambda peer, command, body: packet(0x90, body[:2] + b"\0\x87\x02")
        assert await one.connection.subscribe([("a", 1), ("b", 2)], 5) == [0x87, 2]
        with pytest.raises(UplinkError, match="2 codes"):
            await one.connection.subscribe([("a", 1)], 5)
        broker.on[SUBSCRIBE] = broker.on[UNSUBSCRIBE] = lambda peer, command, body: None
        with pytest.raises(UplinkError, match="within"):
            await one.connection.subscribe([("a", 1)], 0.05)
        with pytest.raises(UplinkError, match="within"):
            await one.connection.unsubscribe(["a"], 0.05)
        broker.on[SUBSCRIBE] = lambda peer, command, body: peer.hang_up()
        with pytest.raises(NotConnected):
            await one.connection.subscribe([("a", 1)], 5)
        with pytest.raises(NotConnected):
            await one.connection.subscribe([("a", 1)], 5)


# -- messages from the broker ------------------------------------------------------------------------------------------


async def test_puback_waits_for_the_work_and_keeps_the_order() -> None:
    async with FakeBroker() as broker, connected(broker.url) as one:
        one.gate.clear()
        broker.peer.send(publish(b"a", b"1", 1, 5) + publish(b"b", b"2", 2, 6) + publish(b"c", b"3"))
        await until(lambda: len(one.messages) == 3)
        assert broker.peer.of(PUBACK) == []
        one.gate.set()
        await until(lambda: broker.peer.of(PUBREC))
        assert [packet[1][:3] for packet in broker.peer.packets[1:]] == [b"\0\x05\0", b"\0\x06\0"]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_refusal_is_told_where_the_protocol_can(protocol: str) -> None:
    none = b"\0" if protocol == "5" else b""
    async with FakeBroker() as broker, connected(broker.url, protocol=protocol) as one:
        one.answer = 0x87
        broker.peer.send(publish(b"a", b"1", 1, 5, properties=none))
        await until(lambda: broker.peer.of(PUBACK))
        assert broker.peer.of(PUBACK)[0][1] == (b"\0\x05\x87\0" if protocol == "5" else b"\0\x05")


async def test_qos_2_is_taken_once_until_it_is_released() -> None:
    async with FakeBroker() as broker, connected(broker.url) as one:
        one.gate.clear()
        broker.peer.send(publish(b"a", b"1", 2, 6))
        await until(lambda: one.messages)
        broker.peer.send(publish(b"a", b"1", 2, 6, flags=8))  # while it is being dealt with
        one.gate.set()
        await until(lambda: broker.peer.of(PUBREC))
        broker.peer.send(publish(b"a", b"1", 2, 6, flags=8))  # after PUBREC
        await until(lambda: len(broker.peer.of(PUBREC)) == 2)
        assert len(one.messages) == 1
        broker.peer.send(packet(0x62, b"\0\x06"))
        await until(lambda: broker.peer.of(PUBCOMP))
        broker.peer.send(publish(b"a", b"2", 2, 6))
        await until(lambda: one.dealt == 2)
        assert [message.payload for message in one.messages] == [b"1", b"2"]


async def test_qos_2_of_a_session_is_taken_once_over_two_connections() -> None:
    seen: set[int] = set()
    async with FakeBroker(packet(0x20, b"\x01\0\0")) as broker:
        async with connected(broker.url, seen=seen, clean_start=False) as one:
            broker.peer.send(publish(b"a", b"1", 2, 6))
            await until(lambda: broker.peer.of(PUBREC))
            assert one.dealt == 1
        async with connected(broker.url, seen=seen, clean_start=False) as two:
            broker.peer.send(publish(b"a", b"1", 2, 6, flags=8))
            await until(lambda: broker.peer.of(PUBREC))
            assert two.messages == []
    async with FakeBroker() as broker, connected(broker.url, seen=seen, clean_start=False) as three:
        broker.peer.send(publish(b"a", b"9", 2, 6))  # a new session: another message under the same id
        await until(lambda: three.dealt == 1)


async def test_work_that_fails_or_takes_too_long_does_not_hold_up_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    async with FakeBroker() as broker, connected(broker.url, inbound_time_limit=0.05) as one:
        one.gate.clear()
        broker.peer.send(publish(b"a", b"1", 1, 5))
        await until(lambda: broker.peer.of(PUBACK))
        assert broker.peer.of(PUBACK)[0][1] == b"\0\x05\x83\0"
        one.gate.set()
        broker.peer.send(publish(b"a", b"2", 1, 6))
        await until(lambda: len(broker.peer.of(PUBACK)) == 2)
        assert one.losses == []
    assert "could not be handled" in caplog.text


async def test_what_waits_is_bounded_and_acknowledgements_go_on() -> None:
    async with FakeBroker() as broker, connected(broker.url, inbound_at_once=2) as one:
        one.gate.clear()
        for _ in range(20):
            broker.peer.send(publish(b"flood", b"x") * 100)
        await until(lambda: one.connection.inbox.dropped >= 1498)
        assert len(one.messages) == 2
        assert one.connection.inbox.dropped == 2000 - 2 - 500
        broker.peer.send(publish(b"q", b"x", 1, 1))  # of QoS 1: it has its own room
        one.publish(1)
        await until(lambda: one.acks)
        one.gate.set()
        await until(lambda: one.dealt == 503)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_acknowledgements_go_on_whatever_a_broker_sends_at_qos_1(protocol: str) -> None:
    none = b"\0" if protocol == "5" else b""
    async with FakeBroker() as broker, connected(broker.url, inbound_at_once=1, protocol=protocol) as one:
        one.gate.clear()
        for mid in range(1, 3001):
            broker.peer.send(publish(b"q", b"x" * 500, 1, mid, properties=none))
        await until(lambda: one.connection.inbox.dropped == 3000 - 1 - 1000)
        one.publish(1)
        await until(lambda: one.acks)
        assert broker.peer.of(PUBACK) == []
        one.gate.set()
        await until(lambda: len(broker.peer.of(PUBACK)) == 3000)
        assert one.dealt == 1001
        assert [packet[1][:2] for packet in broker.peer.of(PUBACK)] == [struct.pack(">H", i) for i in range(1, 3001)]


async def test_qos_1_beyond_the_bound_pauses_the_reading_where_nothing_is_published_and_loses_nothing() -> None:
    async with FakeBroker() as broker, connected(broker.url, inbound_at_once=1, inbound_only=True) as one:
        one.gate.clear()
        for mid in range(1, 3001):
            broker.peer.send(publish(b"q", b"x" * 500, 1, mid))
        await until(lambda: one.connection.inbox._paused)
        one.gate.set()
        await until(lambda: len(broker.peer.of(PUBACK)) == 3000)
        assert one.dealt == 3000
        assert [packet[1][:2] for packet in broker.peer.of(PUBACK)] == [struct.pack(">H", i) for i in range(1, 3001)]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_message_larger_than_memory_allows_is_skipped_and_refused(protocol: str) -> None:
    none = b"\0" if protocol == "5" else b""
    async with FakeBroker() as broker, connected(broker.url, protocol=protocol, inbound_size=1000) as one:
        big = publish(b"big", b"x" * 300_000, 1, 5, properties=none)
        for start in range(0, len(big), 4000):
            broker.peer.send(big[start : start + 4000])
        broker.peer.send(publish(b"next", b"y" * 900, 1, 6, properties=none))
        await until(lambda: len(broker.peer.of(PUBACK)) == 2)
        assert [message.topic for message in one.messages] == ["next"]
        if protocol == "5":
            assert broker.peer.of(PUBACK)[0][1] == b"\0\x05\x95\0"
        assert one.losses == []


@pytest.mark.parametrize(
    "octets",
    [
        b"\x30\xff\xff\xff\xff\x01",  # length of five octets
        packet(0x36, b"\0\x01t\0\x01\0"),  # QoS 3
        packet(0x30, b"\0\x09t"),  # topic longer than the packet
        packet(0x30, b"\0\x01\xff\0"),  # no UTF-8
        packet(0x32, b"\0\x01t\0\0\0"),  # packet id 0
        packet(0x30, b"\0\x01t\x01\xfe"),  # unknown property
        packet(0x20, b"\0\0\0"),  # a second CONNACK
        packet(0xF0, b"\x18\0"),  # AUTH, which nobody asked for
        packet(0x90, b"\0" * 400)[:200],  # larger than is taken, and no PUBLISH
    ],
)
async def test_nonsense_ends_the_connection_with_a_reason(octets: bytes) -> None:
    async with FakeBroker() as broker, connected(broker.url, inbound_size=300) as one:
        broker.peer.send(octets)
        await until(lambda: one.losses)
        assert len(one.losses) == 1
        assert one.losses[0].code in (0x81, 0x82, 0x95)
        assert one.messages == []


# -- the end -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "retry"), [(0x8E, "later"), (0x95, "soon"), (0x8B, "soon"), (0x98, "later")])
async def test_disconnect_by_the_broker(code: int, retry: str) -> None:
    async with FakeBroker() as broker:
        broker.on[PUBLISH] = lambda peer, command, body: (
            packet(0x40, publish_id(command, body)) + packet(0xE0, bytes((code,)) + b"\x06\x1f\0\x03why")
        )
        async with connected(broker.url) as one:
            one.publish(1)
            one.publish(2)
            await until(lambda: one.losses)
            (lost,) = one.losses
            assert (lost.code, lost.retry, lost.taken_over) == (code, retry, code == 0x8E)
            assert "why" in lost.message
            assert one.acks == [(1, 0)]  # what came before counts
            assert one.acked_while_open == [True]
            assert one.connection.publisher.unacked() == [2]
            with pytest.raises(NotConnected):
                one.publish(3)


async def test_hang_up_on_a_message() -> None:
    async with FakeBroker() as broker:
        broker.on[PUBLISH] = lambda peer, command, body: peer.hang_up()
        async with connected(broker.url) as one:
            one.publish(1)
            await until(lambda: one.losses)
            assert len(one.losses) == 1
            assert one.losses[0].code is None
            assert one.connection.publisher.unacked() == [1]


@pytest.mark.parametrize("qos", [1, 2])
async def test_check_ends_a_connection_without_acknowledgements(qos: int) -> None:
    async with FakeBroker() as broker:
        broker.on[PUBLISH] = lambda peer, command, body: None
        async with connected(broker.url) as one:
            assert one.connection.check(5) is False
            one.publish(1, qos)
            await until(lambda: broker.peer.of(PUBLISH))
            sent = one.connection.publisher.busy_since
            assert one.connection.check(5, sent + 4.9) is False
            assert one.connection.check(5, sent + 5.2) is True
            await until(lambda: one.losses)
            assert "acknowledged nothing" in one.losses[0].message
            assert one.connection.publisher.unacked() == [1]


@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_an_unanswered_ping_ends_the_connection() -> None:
    async with FakeBroker() as broker:
        broker.on[PINGREQ] = lambda peer, command, body: None
        async with connected(broker.url, keepalive=1) as one:
            await until(lambda: one.losses)
            assert len(broker.peer.of(PINGREQ)) == 1
            assert "ping" in one.losses[0].message
            assert one.losses[0].silent


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_answered_pings_keep_a_silent_connection() -> None:
    async with FakeBroker() as broker, connected(broker.url, keepalive=1) as one:
        await until(lambda: len(broker.peer.of(PINGREQ)) == 2)
        assert one.losses == []


@pytest.mark.parametrize("request_of_it", [0x62, 0x50])
async def test_a_broker_that_sends_without_reading_is_given_up(
    request_of_it: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatepost.agent.uplink.mqtt.transport.MOST_UNREAD", 50_000)
    async with FakeBroker() as broker, connected(broker.url) as one:
        broker.peer.stall()
        while not one.connection.publisher.unsent:
            one.publish(1, payload=b"x" * 1_000_000, qos=2)
            await asyncio.sleep(0.001)
        for _ in range(1000):
            broker.peer.send(packet(request_of_it, b"\0\x40") * 100)
        await until(lambda: one.losses)
        assert one.losses[0].message == "the broker sent more than it reads the answers to"


async def test_close_is_bounded_while_the_peer_does_not_read() -> None:
    async with FakeBroker() as broker:
        one = Recorder(broker.url)
        await one.connection.open(5)
        broker.peer.stall()
        while not one.connection.publisher.unsent:
            one.publish(1, payload=b"x" * 1_000_000)
            await asyncio.sleep(0.001)
        await asyncio.wait_for(one.connection.close(0.3), 10)
        assert one.losses == []
        await one.connection.close(0.3)  # again does no harm


async def test_close_lets_work_finish_and_acknowledges_it() -> None:
    async with FakeBroker() as broker:
        one = Recorder(broker.url)
        await one.connection.open(5)
        one.gate.clear()
        broker.peer.send(publish(b"a", b"1", 1, 5))
        await until(lambda: one.messages)
        closing = asyncio.ensure_future(one.connection.close(4, 0x04))
        await asyncio.sleep(0.01)
        one.gate.set()
        await closing
        await until(lambda: broker.peer.gone)
        assert [command for command, _ in broker.peer.packets] == [0x10, 0x40, 0xE0]
        assert broker.peer.packets[-1][1][0] == 0x04


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))


async def test_nothing_is_left_after_many_connections() -> None:
    async with FakeBroker() as broker:

        async def once(number: int) -> None:
            one = Recorder(broker.url)
            await one.connection.open(5)
            one.publish(1)
            if number % 3 == 0:
                one.connection.abort()
                await until(lambda: broker.peer.gone)
            elif number % 3 == 1:
                await one.connection.close(1)
            else:
                broker.peer.hang_up()
                await until(lambda: one.losses)

        for number in range(3):
            await once(number)
        await asyncio.sleep(0.05)
        tasks, before = len(asyncio.all_tasks()), descriptors()
        for number in range(51):
            await once(number)
        await until(lambda: len(asyncio.all_tasks()) <= tasks)
        gc.collect()
        await until(lambda: descriptors() <= before)
