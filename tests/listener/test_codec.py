"""The codec: what is encoded comes back, in any pieces, and nothing but PacketError comes of octets."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.agent.listener.packets import (
    MQTT_3,
    MQTT_5,
    AckPacket,
    CodesPacket,
    ConnackPacket,
    ConnectPacket,
    MqttPacket,
    PublishPacket,
    SignalPacket,
    SubscribePacket,
    UnsubscribePacket,
    WillMessage,
    decode,
    encode,
)
from gatepost.agent.listener.properties import (
    ACKS,
    AUTH,
    CONNACK,
    CONNECT,
    DISCONNECT,
    PINGREQ,
    PINGRESP,
    PROPERTIES,
    PUBLISH,
    SUBACK,
    SUBSCRIBE,
    UNSUBACK,
    UNSUBSCRIBE,
    WILL,
)
from gatepost.agent.listener.wire import PacketError, PacketSplitter
from tests.support.failing import failing

TEXT = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=20)
TOPIC = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0+#$"), min_size=1, max_size=20)
IDS = st.integers(1, 65_535)
OCTETS = st.binary(max_size=200)
VALUES = {
    "flag": st.integers(0, 1),
    "two": st.integers(1, 65_535),
    "four": st.integers(1, 2**32 - 1),
    "varint": st.integers(1, 268_435_455),
    "text": TEXT,
    "binary": OCTETS,
    "pair": st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=3),
}


def properties(packet: int, version: int) -> st.SearchStrategy[dict]:
    if version == MQTT_3:
        return st.just({})
    known = {name: VALUES[rule.kind] for name, rule in PROPERTIES.items() if packet in rule.packets}
    return st.fixed_dictionaries({}, optional=known)


def packets(version: int) -> st.SearchStrategy[MqttPacket]:
    five = version == MQTT_5
    code = st.integers(0, 255) if five else st.just(0)
    will = st.builds(WillMessage, TOPIC, OCTETS, st.integers(0, 2), st.booleans(), properties(WILL, version))
    username = st.none() | TEXT
    connect = st.builds(
        ConnectPacket,
        st.just(version),
        TEXT,
        st.booleans(),
        st.integers(0, 65_535),
        st.none() | will,
        username if five else TEXT,
        st.none() | OCTETS,
        properties(CONNECT, version),
    )
    publish = st.builds(PublishPacket, TOPIC, OCTETS, st.just(0), st.just(0), st.booleans()) | st.builds(
        PublishPacket, TOPIC, OCTETS, st.integers(1, 2), IDS, st.booleans(), st.booleans(), properties(PUBLISH, version)
    )
    acks = st.one_of(*(st.builds(AckPacket, st.just(kind), IDS, code, properties(kind, version)) for kind in ACKS))
    options = st.integers(0, 2) if not five else st.sampled_from([0, 1, 2, 4, 9, 0x12, 0x2E])
    filters = TOPIC | st.just("devices/+/data") | st.just("#")
    subscribe = st.builds(
        SubscribePacket,
        IDS,
        st.lists(st.tuples(filters, options), min_size=1, max_size=4),
        properties(SUBSCRIBE, version),
    )
    unsubscribe = st.builds(
        UnsubscribePacket, IDS, st.lists(filters, min_size=1, max_size=4), properties(UNSUBSCRIBE, version)
    )
    codes = st.builds(
        CodesPacket, st.just(SUBACK), IDS, st.lists(st.integers(0, 255), max_size=4), properties(SUBACK, version)
    ) | st.builds(
        CodesPacket,
        st.just(UNSUBACK),
        IDS,
        st.lists(st.integers(0, 255), max_size=4) if five else st.just([]),
        properties(UNSUBACK, version),
    )
    signals = st.builds(SignalPacket, st.sampled_from([PINGREQ, PINGRESP]))
    for kind in (DISCONNECT, AUTH):
        signals |= st.builds(SignalPacket, st.just(kind), code, properties(kind, version))
    connack = st.builds(ConnackPacket, st.integers(0, 255), st.booleans(), properties(CONNACK, version))
    return st.one_of(connect, connack, publish, acks, subscribe, unsubscribe, codes, signals)


@pytest.mark.parametrize("version", [MQTT_3, MQTT_5])
@given(data=st.data())
def test_what_is_encoded_comes_back_in_any_pieces(version: int, data: st.DataObject) -> None:
    sent = data.draw(st.lists(packets(version), max_size=6))
    octets = b"".join(encode(packet, version) for packet in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=8)))
    splitter, found = PacketSplitter(1_000_000), []
    for start, end in zip([0, *cuts], [*cuts, len(octets)], strict=True):
        splitter.feed(octets[start:end])
        while (cut := splitter.next()) is not None:
            found.append(decode(*cut, version))
    assert found == sent
    assert splitter.held == 0


@pytest.mark.parametrize("version", [MQTT_3, MQTT_5])
@given(octets=st.binary(max_size=300), broken=st.data())
def test_nothing_but_a_packet_error_comes_of_octets(version: int, octets: bytes, broken: st.DataObject) -> None:
    valid = bytearray(encode(broken.draw(packets(version)), version))
    for _ in range(broken.draw(st.integers(0, 3))):
        valid[broken.draw(st.integers(0, len(valid) - 1))] = broken.draw(st.integers(0, 255))
    for stream in (octets, bytes(valid), bytes(valid[: len(valid) // 2]) + octets):
        splitter = PacketSplitter(1000)
        splitter.feed(stream)
        with suppress(PacketError):
            while (cut := splitter.next()) is not None:
                decode(*cut, version)


def test_the_length_has_four_octets_at_most() -> None:
    splitter = PacketSplitter(300_000_000)
    splitter.feed(b"\x30\xff\xff\xff\xff\x01")
    with failing(PacketError, code=0x81):
        splitter.next()


def test_a_packet_that_is_too_large_is_known_by_its_length() -> None:
    splitter = PacketSplitter(100)
    splitter.feed(b"\x30\x80\x01")
    with failing(PacketError, code=0x95):
        splitter.next()


def test_large_packets_in_single_octets() -> None:
    octets = encode(PublishPacket("devices/a/data", b"x" * 60_000, 1, 7), MQTT_3)
    splitter = PacketSplitter(64_000)
    for at in range(len(octets)):
        assert splitter.next() is None
        splitter.feed(octets[at : at + 1])
    cut = splitter.next()
    assert cut is not None
    assert isinstance(packet := decode(*cut, MQTT_3), PublishPacket)
    assert len(packet.payload) == 60_000
