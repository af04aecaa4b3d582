"""The rules of a server, one row each: what a client sends, and what it gets. Identifiers as in session.py."""

from __future__ import annotations

from typing import Any

import pytest

from gatepost.agent.listener.packets import (
    MQTT_3,
    MQTT_5,
    AckPacket,
    ConnackPacket,
    ConnectPacket,
    MqttPacket,
    PublishPacket,
    SignalPacket,
    SubscribePacket,
    decode,
    encode,
)
from gatepost.agent.listener.properties import DISCONNECT, PINGREQ, PINGRESP, PUBACK, PUBCOMP, PUBREC, PUBREL, SUBACK
from gatepost.agent.listener.session import (
    MOST_OVERRUNS,
    ClientIntent,
    ClientOverruns,
    ConnectionEnd,
    ProtocolLimits,
    ProtocolSession,
    RepeatedMessage,
)
from gatepost.agent.listener.wire import PacketSplitter

TOPIC = "devices/d/data"


class Peer:
    """A session whose CONNECT was accepted, and what it says."""

    def __init__(
        self,
        version: int = MQTT_5,
        received: set[int] | None = None,
        overruns: ClientOverruns | None = None,
        **connect: Any,
    ) -> None:
        self.version = version
        limits = ProtocolLimits(max_packet=2000, window=3, keepalive_max=600)
        self.session = ProtocolSession(limits, overruns or ClientOverruns())
        self.received = set() if received is None else received
        self._splitter = PacketSplitter(1_000_000)
        packet = ConnectPacket(version, "c", **connect)
        [asked] = self.say(packet)
        assert isinstance(asked, ConnectPacket)
        self.session.accept(asked, self.received, False, {})
        [connack] = self.heard()
        assert isinstance(connack, ConnackPacket)
        self.connack = connack

    def say(self, *packets: MqttPacket | bytes) -> list[ClientIntent]:
        for packet in packets:
            self.session.feed(packet if isinstance(packet, bytes) else encode(packet, self.version))
        return list(iter(self.session.next, None))

    def heard(self) -> list[MqttPacket]:
        self._splitter.feed(self.session.output())
        found = []
        while (cut := self._splitter.next()) is not None:
            found.append(decode(*cut, self.version))
        return found


def publish(ident: int, qos: int = 1, dup: bool = False) -> PublishPacket:
    return PublishPacket(TOPIC, b"{}", qos, ident, False, dup)


RAW = {  # what no client may send after CONNECT, and the code that 5 is told
    "QoS 3 [3.3.1-4]": (b"\x36\x06\x00\x01t\x00\x01x", 0x81),
    "packet id 0 [2.3.1-1]": (b"\x32\x05\x00\x01t\x00\x00", 0x82),
    "DUP with QoS 0 [3.3.1-2]": (b"\x38\x04\x00\x01tx", 0x81),
    "no topic": (b"\x30\x04\x00\x00\x00x", 0x82),
    "wildcard in a topic [3.3.2-2]": (b"\x30\x06\x00\x03a/#\x00", 0x81),
    "U+0000 in a topic [1.5.3-2]": (b"\x30\x05\x00\x02a\x00\x00", 0x81),
    "a surrogate in a topic [1.5.3-1]": (b"\x30\x06\x00\x03\xed\xa0\x80\x00", 0x81),
    "a topic beyond the packet": (b"\x30\x04\x00\x09ab", 0x81),
    "no packet id": (b"\x32\x03\x00\x01t", 0x81),
    "a length of five octets": (b"\x30\xff\xff\xff\xff\x01", 0x81),
    "larger than the maximum": (b"\x30\xff\x7f", 0x95),
    "SUBSCRIBE with flags 0 [3.8.1-1]": (b"\x80\x07\x00\x01\x00\x00\x01a\x00", 0x81),
    "SUBSCRIBE without a filter [3.8.3-3]": (b"\x82\x03\x00\x01\x00", 0x82),
    "SUBSCRIBE without options": (b"\x82\x06\x00\x01\x00\x00\x01a", 0x81),
    "SUBSCRIBE with QoS 3 [3.8.3-4]": (b"\x82\x07\x00\x01\x00\x00\x01a\x03", 0x81),
    "UNSUBSCRIBE without a filter": (b"\xa2\x03\x00\x01\x00", 0x82),
    "PUBREL with flags 0 [3.6.1-1]": (b"\x60\x02\x00\x01", 0x81),
    "PINGREQ with a body": (b"\xc0\x01\x00", 0x81),
    "packet type 0": (b"\x00\x00", 0x81),
    "CONNACK from a client": (b"\x20\x03\x00\x00\x00", 0x82),
    "AUTH that nobody asked for": (b"\xf0\x00", 0x82),
    "a second CONNECT [3.1.0-2]": (encode(ConnectPacket(MQTT_5, "c"), MQTT_5), 0x82),
    "a subscription identifier in PUBLISH": (b"\x30\x07\x00\x01t\x02\x0b\x01x", 0x82),
    "a topic alias of 0": (b"\x30\x08\x00\x01t\x03\x23\x00\x00x", 0x94),
    "a topic alias beyond the maximum": (b"\x30\x08\x00\x01t\x03\x23\x00\x0bx", 0x94),
    "an alias that stands for nothing": (b"\x30\x07\x00\x00\x03\x23\x00\x01x", 0x82),
    "a property twice": (b"\x30\x0a\x00\x01t\x04\x01\x00\x01\x00xx", 0x82),
    "a property of another packet": (b"\x30\x0a\x00\x01t\x05\x11\x00\x00\x00\x01x", 0x81),
    "an unknown property": (b"\x30\x07\x00\x01t\x02\x7e\x00x", 0x81),
    "a session expiry that is raised": (b"\xe0\x07\x00\x05\x11\x00\x00\x00\x01", 0x82),
    "a subscription identifier": (b"\x82\x09\x00\x01\x02\x0b\x01\x00\x01a\x00", 0xA1),
}


@pytest.mark.parametrize("name", RAW)
def test_what_no_client_may_send_ends_5_with_its_code(name: str) -> None:
    octets, code = RAW[name]
    peer = Peer(MQTT_5)
    [end] = peer.say(octets)
    assert isinstance(end, ConnectionEnd)
    assert peer.heard() == [SignalPacket(DISCONNECT, code)]
    assert peer.say(publish(1)) == []  # nothing is listened to any more


RAW_3 = {
    "QoS 3": b"\x36\x06\x00\x01t\x00\x01x",
    "packet id 0": b"\x32\x05\x00\x01t\x00\x00",
    "DUP with QoS 0": b"\x38\x04\x00\x01tx",
    "no topic": b"\x30\x03\x00\x00x",
    "a wildcard": b"\x30\x06\x00\x03a/#x",
    "U+0000": b"\x30\x05\x00\x02a\x00x",
    "a second CONNECT": encode(ConnectPacket(MQTT_3, "c"), MQTT_3),
    "SUBSCRIBE with flags 0": b"\x80\x06\x00\x01\x00\x01a\x00",
    "SUBSCRIBE with reserved options": b"\x82\x06\x00\x01\x00\x01a\x04",
    "UNSUBSCRIBE without a filter": b"\xa2\x02\x00\x01",
    "AUTH": b"\xf0\x00",
    "DISCONNECT with a body": b"\xe0\x01\x00",
}


@pytest.mark.parametrize("name", RAW_3)
def test_what_no_client_may_send_closes_3_without_a_word(name: str) -> None:
    peer = Peer(MQTT_3)
    [end] = peer.say(RAW_3[name])
    assert isinstance(end, ConnectionEnd)
    assert peer.heard() == []


FIRST = {  # the first packet, and the octets that answer it
    "no CONNECT [3.1.0-1]": (b"\xc0\x00", b""),
    "another protocol [3.1.2-1]": (b"\x10\x0e\x00\x06MQIsdp\x03\x02\x00\x00\x00\x00", b"\x20\x02\x00\x01"),
    "level 3 [3.1.2-2]": (b"\x10\x0c\x00\x04MQTT\x03\x02\x00\x00\x00\x00", b"\x20\x02\x00\x01"),
    "level 6": (b"\x10\x0d\x00\x04MQTT\x06\x02\x00\x00\x00\x00\x00", b"\x20\x03\x00\x84\x00"),
    "reserved flag [3.1.2-3]": (b"\x10\x0c\x00\x04MQTT\x04\x03\x00\x00\x00\x00", b""),
    "will QoS without a will [3.1.2-11]": (b"\x10\x0c\x00\x04MQTT\x04\x0a\x00\x00\x00\x00", b""),
    "password without a user name [3.1.2-22]": (b"\x10\x0f\x00\x04MQTT\x04\x42\x00\x00\x00\x00\x00\x01p", b""),
    "octets behind the payload": (b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x00!", b""),
    "5: reserved flag": (b"\x10\x0d\x00\x04MQTT\x05\x03\x00\x00\x00\x00\x00", b"\x20\x03\x00\x81\x00"),
    "larger than a CONNECT may be": (b"\x10\xff\x7f", b""),
    "an authentication method": (
        encode(ConnectPacket(MQTT_5, "c", properties={"authentication_method": "x"}), MQTT_5),
        b"\x20\x03\x00\x8c\x00",
    ),
    "authentication data without a method": (
        encode(ConnectPacket(MQTT_5, "c", properties={"authentication_data": b"x"}), MQTT_5),
        b"\x20\x03\x00\x82\x00",
    ),
}


@pytest.mark.parametrize("name", FIRST)
def test_the_first_packet(name: str) -> None:
    said, answer = FIRST[name]
    session = ProtocolSession(ProtocolLimits(), ClientOverruns())
    session.feed(said)
    [end] = iter(session.next, None)
    assert isinstance(end, ConnectionEnd)
    assert session.output() == answer


def test_connack_tells_5_what_it_must_keep_to() -> None:
    told = Peer(MQTT_5, keepalive=0).connack.properties
    assert told["receive_maximum"] == 3
    assert told["maximum_packet_size"] == 2000
    assert told["topic_alias_maximum"] == 10
    assert told["server_keepalive"] == 600
    assert (told["subscription_identifiers_available"], told["shared_available"]) == (0, 0)
    assert "server_keepalive" not in Peer(MQTT_5, keepalive=30).connack.properties


def test_acknowledgements_keep_the_order_of_the_messages_also_refusals() -> None:
    peer = Peer(MQTT_5)
    first, second, third = peer.say(publish(1), publish(2, 2), publish(3))
    peer.session.acknowledge(first, 7)
    peer.session.acknowledge(second, 0, 0x87, "no")
    peer.session.acknowledge(third, 0)
    assert peer.session.settle(6)
    assert peer.heard() == []
    assert not peer.session.settle(7)
    assert peer.heard() == [
        AckPacket(PUBACK, 1),
        AckPacket(PUBREC, 2, 0x87, {"reason_string": "no"}),
        AckPacket(PUBACK, 3),
    ]


def test_3_is_told_that_a_refused_message_is_done() -> None:
    peer = Peer(MQTT_3)
    [message] = peer.say(publish(1))
    peer.session.acknowledge(message, 0, 0x87, "no")
    peer.session.settle(0)
    assert peer.heard() == [AckPacket(PUBACK, 1)]


def test_more_than_the_receive_maximum_ends_5_once_and_is_then_waited_for() -> None:
    overruns = ClientOverruns()
    peer = Peer(MQTT_5, overruns=overruns)
    *_, end = peer.say(publish(1), publish(2), publish(3), publish(4))
    assert isinstance(end, ConnectionEnd)
    assert peer.heard() == [SignalPacket(DISCONNECT, 0x93)]
    again = Peer(MQTT_5, overruns=overruns)
    again.session.feed(b"".join(encode(publish(ident), MQTT_5) for ident in range(1, 6)))
    taken: list[int] = []
    while len(taken) < 5:
        for message in iter(again.session.next, None):
            assert isinstance(message, PublishPacket)
            taken.append(message.packet_id)
            again.session.acknowledge(message, len(taken))
        assert again.session.unacknowledged <= 3
        again.session.settle(len(taken))
    assert taken == [1, 2, 3, 4, 5]
    assert [packet.packet_id for packet in again.heard() if isinstance(packet, AckPacket)] == taken


def test_clients_that_overran_are_remembered_up_to_a_bound() -> None:
    overruns = ClientOverruns()
    for number in range(MOST_OVERRUNS + 1):
        overruns.add(str(number))
    assert "0" not in overruns
    assert str(MOST_OVERRUNS) in overruns


def test_3_is_not_read_beyond_the_window() -> None:
    peer = Peer(MQTT_3)
    taken = []
    peer.session.feed(b"".join(encode(publish(ident), MQTT_3) for ident in range(1, 6)))
    for message in iter(peer.session.next, None):
        taken.append(message)
        peer.session.acknowledge(message, 1)
    assert len(taken) == 3
    assert peer.session.blocked
    assert peer.session.held
    peer.session.settle(1)
    assert len(list(iter(peer.session.next, None))) == 2


def test_a_repeat_that_still_waits_is_the_same_message() -> None:
    peer = Peer(MQTT_3)
    [message] = peer.say(publish(1), publish(1, dup=True))
    peer.session.acknowledge(message, 1)
    peer.session.settle(1)
    assert peer.heard() == [AckPacket(PUBACK, 1)]
    assert len(peer.say(publish(1, dup=True))) == 1  # a new exchange: at least once


def test_a_packet_id_in_use_is_an_error() -> None:
    peer = Peer(MQTT_5)
    *_, end = peer.say(publish(1), publish(1))
    assert isinstance(end, ConnectionEnd)


def test_qos_2_is_taken_once_until_it_is_released() -> None:
    peer = Peer(MQTT_5)
    [message] = peer.say(publish(1, 2))
    peer.session.acknowledge(message, 1)
    assert peer.received == {1}
    assert peer.say(publish(1, 2, dup=True)) == []
    peer.session.settle(1)
    assert peer.heard() == [AckPacket(PUBREC, 1)]
    assert peer.say(publish(1, 2, dup=True)) == [RepeatedMessage(1)]
    peer.session.receive(RepeatedMessage(1), 0)
    peer.session.settle(1)
    assert peer.heard() == [AckPacket(PUBREC, 1)]
    [release] = peer.say(AckPacket(PUBREL, 1))
    assert peer.received == set()
    peer.session.complete(1, 2)
    peer.session.settle(1)
    assert peer.heard() == []
    peer.session.settle(2)
    assert peer.heard() == [AckPacket(PUBCOMP, 1)]
    assert isinstance(release, AckPacket)
    assert len(peer.say(publish(1, 2))) == 1


def test_qos_2_of_an_earlier_connection_is_not_taken_again() -> None:
    peer = Peer(MQTT_5, received={5})
    assert peer.say(publish(5, 2, dup=True)) == [RepeatedMessage(5)]
    peer.session.receive(RepeatedMessage(5), 3)
    peer.session.settle(2)
    assert peer.heard() == []
    peer.session.settle(3)
    assert peer.heard() == [AckPacket(PUBREC, 5)]


@pytest.mark.parametrize(("version", "code"), [(MQTT_3, 0), (MQTT_5, 0x92)])
def test_an_unknown_release_is_completed(version: int, code: int) -> None:
    peer = Peer(version)
    [release] = peer.say(AckPacket(PUBREL, 9))
    assert isinstance(release, AckPacket)
    peer.session.complete(9, 0, release.code)
    peer.session.settle(0)
    assert peer.heard() == [AckPacket(PUBCOMP, 9, code)]


def test_a_refused_qos_2_message_is_over() -> None:
    peer = Peer(MQTT_5)
    [message] = peer.say(publish(1, 2))
    peer.session.acknowledge(message, 0, 0x99)
    peer.session.settle(0)
    assert peer.received == set()
    assert len(peer.say(publish(1, 2))) == 1


def test_messages_that_are_never_released_are_bounded() -> None:
    peer = Peer(MQTT_5, received=set(range(2, 1002)))
    [end] = peer.say(publish(1, 2))
    assert isinstance(end, ConnectionEnd)


def test_topic_aliases() -> None:
    peer = Peer(MQTT_5)
    named = PublishPacket(TOPIC, b"1", properties={"topic_alias": 2})
    alone = PublishPacket("", b"2", properties={"topic_alias": 2})
    first, second = peer.say(named, alone)
    assert isinstance(first, PublishPacket)
    assert isinstance(second, PublishPacket)
    assert (first.topic, second.topic) == (TOPIC, TOPIC)


def test_ping_is_answered() -> None:
    peer = Peer(MQTT_3)
    peer.say(SignalPacket(PINGREQ))
    assert peer.heard() == [SignalPacket(PINGRESP)]


def test_suback_of_3_has_one_code_for_no() -> None:
    peer = Peer(MQTT_3)
    [packet] = peer.say(SubscribePacket(4, [("a", 1), ("b", 1)]))
    assert isinstance(packet, SubscribePacket)
    peer.session.subscribed(packet, SUBACK, [1, 0x87])
    assert peer.session.output() == b"\x90\x04\x00\x04\x01\x80"


def test_nothing_larger_than_the_client_takes_is_sent() -> None:
    peer = Peer(MQTT_5, properties={"maximum_packet_size": 30})
    assert not peer.session.write(PublishPacket(TOPIC, b"x" * 40))
    [message] = peer.say(publish(1))
    peer.session.acknowledge(message, 0, 0x87, "a reason that is much too long for this client")
    peer.session.settle(0)
    assert peer.heard() == [AckPacket(PUBACK, 1, 0x87)]


def test_no_reasons_for_who_wants_none() -> None:
    peer = Peer(MQTT_5, properties={"request_problem_information": 0})
    [message] = peer.say(publish(1))
    peer.session.acknowledge(message, 0, 0x87, "why")
    peer.session.settle(0)
    assert peer.heard() == [AckPacket(PUBACK, 1, 0x87)]


def test_a_session_expiry_may_be_changed_where_there_was_one() -> None:
    peer = Peer(MQTT_5, properties={"session_expiry": 10})
    [goodbye] = peer.say(SignalPacket(DISCONNECT, 0, {"session_expiry": 5}))
    assert isinstance(goodbye, SignalPacket)
    assert goodbye.properties == {"session_expiry": 5}
