"""The packets of MQTT 3.1.1 and 5 as structs, decoded and encoded: sans-I/O, both directions.

`decode` raises PacketError with the reason code that MQTT 5 has for what is wrong; `encode` takes what `decode` gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from gatepost.agent.listener.properties import (
    ACKS,
    AUTH,
    CONNACK,
    CONNECT,
    DISCONNECT,
    PINGREQ,
    PINGRESP,
    PUBLISH,
    PUBREL,
    SUBACK,
    SUBSCRIBE,
    UNSUBACK,
    UNSUBSCRIBE,
    WILL,
    Properties,
    read_properties,
    write_properties,
)
from gatepost.agent.listener.wire import MALFORMED, PROTOCOL_ERROR, BodyReader, PacketError
from gatepost.agent.uplink.mqtt.codec import binary, check_filter, check_topic, text, varint

MQTT_3, MQTT_5 = 4, 5  # protocol levels
BAD_LEVEL = 0x84  # 3.1.1: return code 1


class WillMessage(Struct):
    """What the server publishes when the connection ends without DISCONNECT."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties = {}


class ConnectPacket(Struct):
    level: int
    client_id: str
    clean: bool = True
    keepalive: int = 0
    will: WillMessage | None = None
    username: str | None = None
    password: bytes | None = None
    properties: Properties = {}


class ConnackPacket(Struct):
    code: int
    session_present: bool = False
    properties: Properties = {}


class PublishPacket(Struct, gc=False):
    """`packet_id` 0 with QoS 0; `topic` empty where an alias stands for it."""

    topic: str
    payload: bytes
    qos: int = 0
    packet_id: int = 0
    retain: bool = False
    dup: bool = False
    properties: Properties = {}


class AckPacket(Struct, gc=False):
    """PUBACK, PUBREC, PUBREL or PUBCOMP, as `kind` says."""

    kind: int
    packet_id: int
    code: int = 0
    properties: Properties = {}


class SubscribePacket(Struct):
    """Each topic filter with its options octet: QoS in the lowest two bits (MQTT 5, section 3.8.3.1)."""

    packet_id: int
    filters: list[tuple[str, int]]
    properties: Properties = {}


class UnsubscribePacket(Struct):
    packet_id: int
    filters: list[str]
    properties: Properties = {}


class CodesPacket(Struct):
    """SUBACK or UNSUBACK; 3.1.1's UNSUBACK has no codes."""

    kind: int
    packet_id: int
    codes: list[int]
    properties: Properties = {}


class SignalPacket(Struct):
    """PINGREQ, PINGRESP, DISCONNECT or AUTH."""

    kind: int
    code: int = 0
    properties: Properties = {}


MqttPacket = (
    ConnectPacket
    | ConnackPacket
    | PublishPacket
    | AckPacket
    | SubscribePacket
    | UnsubscribePacket
    | CodesPacket
    | SignalPacket
)

_FLAGS = {PUBREL: 2, SUBSCRIBE: 2, UNSUBSCRIBE: 2}


def decode(first: int, body: bytes, version: int) -> MqttPacket:
    """The packet whose first octet and body these are; CONNECT names its own version. Raises PacketError."""
    kind = first >> 4
    if kind == PUBLISH:
        return decode_publish(first, body, version)
    decoder = _DECODERS.get(kind)
    if decoder is None or first & 15 != _FLAGS.get(kind, 0):
        raise PacketError(MALFORMED, "a packet with an invalid first octet")
    reader = BodyReader(body)
    packet = decoder(kind, reader, version)
    reader.end()
    return packet


def decode_publish(first: int, body: bytes, version: int) -> PublishPacket:
    """Hot: a PUBLISH, its topic without wildcards."""
    qos = first >> 1 & 3
    dup = bool(first & 8)
    if qos == 3 or (dup and not qos):
        raise PacketError(MALFORMED, "QoS 3" if qos == 3 else "DUP with QoS 0")
    size = len(body)
    if size < 2:
        raise PacketError(MALFORMED, "a packet that is too short")
    at = 2 + (body[0] << 8 | body[1])
    if at > size:
        raise PacketError(MALFORMED, "a packet that is too short")
    try:
        topic = body[2:at].decode()
    except UnicodeDecodeError:
        raise PacketError(MALFORMED, "a topic that is not UTF-8") from None
    if "\0" in topic or "+" in topic or "#" in topic or not (topic or version == MQTT_5):
        raise PacketError(MALFORMED, check_topic(topic) or "no topic")
    packet_id = 0
    if qos:
        if at + 2 > size:
            raise PacketError(MALFORMED, "a packet that is too short")
        packet_id = body[at] << 8 | body[at + 1]
        if not packet_id:
            raise PacketError(PROTOCOL_ERROR, "packet id 0")
        at += 2
    if version != MQTT_5:
        return PublishPacket(topic, body[at:], qos, packet_id, bool(first & 1), dup)
    if at < size and not body[at]:
        if not topic:
            raise PacketError(PROTOCOL_ERROR, "neither a topic nor an alias")
        return PublishPacket(topic, body[at + 1 :], qos, packet_id, bool(first & 1), dup)
    reader = BodyReader(body, at)
    properties = read_properties(reader, PUBLISH)
    if not topic and "topic_alias" not in properties:
        raise PacketError(PROTOCOL_ERROR, "neither a topic nor an alias")
    return PublishPacket(topic, reader.rest(), qos, packet_id, bool(first & 1), dup, properties)


def _connect(kind: int, body: BodyReader, version: int) -> ConnectPacket:
    if body.text() != "MQTT":
        raise PacketError(BAD_LEVEL, "another protocol than MQTT 3.1.1 or 5")
    level, flags = body.u8(), body.u8()
    if level not in (MQTT_3, MQTT_5):
        raise PacketError(BAD_LEVEL, "another version than 3.1.1 or 5")
    will_qos = flags >> 3 & 3
    if flags & 1 or will_qos == 3 or (not flags & 4 and flags & 0x38):
        raise PacketError(MALFORMED, "contradictory flags in CONNECT")
    if level == MQTT_3 and flags & 0xC0 == 0x40:
        raise PacketError(MALFORMED, "a password without a user name")
    packet = ConnectPacket(level, "", bool(flags & 2), body.u16())
    if level == MQTT_5:
        packet.properties = read_properties(body, CONNECT)
    packet.client_id = body.text()
    if flags & 4:
        properties = read_properties(body, WILL) if level == MQTT_5 else {}
        packet.will = WillMessage(body.text(), body.binary(), will_qos, bool(flags & 0x20), properties)
        wrong = check_topic(packet.will.topic)
        if wrong:
            raise PacketError(MALFORMED, f"will: {wrong}")
    packet.username = body.text() if flags & 0x80 else None
    packet.password = body.binary() if flags & 0x40 else None
    return packet


def _connack(kind: int, body: BodyReader, version: int) -> ConnackPacket:
    flags, code = body.u8(), body.u8()
    if flags > 1:
        raise PacketError(MALFORMED, "invalid flags in CONNACK")
    return ConnackPacket(code, bool(flags), read_properties(body, CONNACK) if version == MQTT_5 else {})


def _ack(kind: int, body: BodyReader, version: int) -> AckPacket:
    packet = AckPacket(kind, body.packet_id())
    if version == MQTT_5 and not body.at_end:
        packet.code = body.u8()
        packet.properties = {} if body.at_end else read_properties(body, kind)
    return packet


def _subscribe(kind: int, body: BodyReader, version: int) -> SubscribePacket:
    packet = SubscribePacket(body.packet_id(), [])
    if version == MQTT_5:
        packet.properties = read_properties(body, SUBSCRIBE)
    while not body.at_end:
        topic, options = _filter(body), body.u8()
        if options & 3 == 3 or options & (0xC0 if version == MQTT_5 else 0xFC) or options & 0x30 == 0x30:
            raise PacketError(MALFORMED, "invalid options of a subscription")
        packet.filters.append((topic, options))
    _must_have(packet.filters)
    return packet


def _unsubscribe(kind: int, body: BodyReader, version: int) -> UnsubscribePacket:
    packet = UnsubscribePacket(body.packet_id(), [])
    if version == MQTT_5:
        packet.properties = read_properties(body, UNSUBSCRIBE)
    while not body.at_end:
        packet.filters.append(_filter(body))
    _must_have(packet.filters)
    return packet


def _filter(body: BodyReader) -> str:
    topic = body.text()
    wrong = check_filter(topic)
    if wrong:
        raise PacketError(MALFORMED, wrong)
    return topic


def _must_have(filters: Sequence[object]) -> None:
    if not filters:
        raise PacketError(PROTOCOL_ERROR, "no topic filter")


def _codes(kind: int, body: BodyReader, version: int) -> CodesPacket:
    packet = CodesPacket(kind, body.packet_id(), [])
    if version == MQTT_5:
        packet.properties = read_properties(body, kind)
    packet.codes = list(body.rest())
    return packet


def _signal(kind: int, body: BodyReader, version: int) -> SignalPacket:
    packet = SignalPacket(kind)
    if version == MQTT_5 and kind in (DISCONNECT, AUTH) and not body.at_end:
        packet.code = body.u8()
        packet.properties = {} if body.at_end else read_properties(body, kind)
    return packet


_DECODERS: dict[int, Callable[[int, BodyReader, int], MqttPacket]] = {
    CONNECT: _connect,
    CONNACK: _connack,
    SUBSCRIBE: _subscribe,
    UNSUBSCRIBE: _unsubscribe,
    **dict.fromkeys(ACKS, _ack),
    **dict.fromkeys((SUBACK, UNSUBACK), _codes),
    **dict.fromkeys((PINGREQ, PINGRESP, DISCONNECT, AUTH), _signal),
}


def encode(packet: MqttPacket, version: int) -> bytes:
    """The packet as octets; ValueError for a field that is too long. CONNECT is written in its own version."""
    five = version == MQTT_5
    first = _FLAGS.get(getattr(packet, "kind", 0), 0)
    match packet:
        case PublishPacket():
            first = PUBLISH << 4 | packet.dup << 3 | packet.qos << 1 | packet.retain
            body = text(packet.topic) + (packet.packet_id.to_bytes(2, "big") if packet.qos else b"")
            body += (write_properties(packet.properties) if five else b"") + packet.payload
        case AckPacket():
            first |= packet.kind << 4
            body = packet.packet_id.to_bytes(2, "big") + _code(packet, five)
        case ConnectPacket():
            first, body = CONNECT << 4, _connect_body(packet)
        case ConnackPacket():
            first = CONNACK << 4
            body = bytes((packet.session_present, packet.code)) + (write_properties(packet.properties) if five else b"")
        case SubscribePacket() | UnsubscribePacket():
            first = (SUBSCRIBE if isinstance(packet, SubscribePacket) else UNSUBSCRIBE) << 4 | 2
            body = packet.packet_id.to_bytes(2, "big") + (write_properties(packet.properties) if five else b"")
            for each in packet.filters:
                body += text(each) if isinstance(each, str) else text(each[0]) + bytes((each[1],))
        case CodesPacket():
            first = packet.kind << 4
            body = packet.packet_id.to_bytes(2, "big") + (write_properties(packet.properties) if five else b"")
            body += bytes(packet.codes) if five or packet.kind == SUBACK else b""
        case SignalPacket():
            first, body = packet.kind << 4, _code(packet, five) if packet.kind in (DISCONNECT, AUTH) else b""
    return bytes((first,)) + varint(len(body)) + body


def _code(packet: AckPacket | SignalPacket, five: bool) -> bytes:
    """The reason code and properties of MQTT 5, left out where they say nothing."""
    if not five or not (packet.code or packet.properties):
        return b""
    return bytes((packet.code,)) + (write_properties(packet.properties) if packet.properties else b"")


def _connect_body(packet: ConnectPacket) -> bytes:
    five, will = packet.level == MQTT_5, packet.will
    flags = packet.clean << 1 | (packet.username is not None) << 7 | (packet.password is not None) << 6
    if will is not None:
        flags |= 4 | will.qos << 3 | will.retain << 5
    body = text("MQTT") + bytes((packet.level, flags)) + packet.keepalive.to_bytes(2, "big")
    body += (write_properties(packet.properties) if five else b"") + text(packet.client_id)
    if will is not None:
        body += (write_properties(will.properties) if five else b"") + text(will.topic) + binary(will.payload)
    body += b"" if packet.username is None else text(packet.username)
    return body + (b"" if packet.password is None else binary(packet.password))


def puback(kind: int, packet_id: int) -> bytes:
    """Hot: a PUBACK, PUBREC or PUBCOMP that says that all is well, in both versions."""
    return bytes((kind << 4, 2, packet_id >> 8, packet_id & 0xFF))
