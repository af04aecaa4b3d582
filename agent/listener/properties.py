"""Properties of MQTT 5 packets (section 2.2.2): a table of what they are and where they may stand, read and written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from gatepost.agent.listener.wire import MALFORMED, PROTOCOL_ERROR, BodyReader, PacketError
from gatepost.agent.uplink.mqtt.codec import binary, text, varint

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = range(1, 8)
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = range(8, 16)
WILL = 0  # the properties of the will inside CONNECT
ACKS = (PUBACK, PUBREC, PUBREL, PUBCOMP)

Properties = dict[str, Any]  # by name; a user property is a list of (name, value)


class PropertyRule(NamedTuple):
    """One property: its identifier, how it is written, and the packets that it may stand in."""

    ident: int
    kind: str
    packets: frozenset[int]


def _rule(ident: int, kind: str, *packets: int) -> PropertyRule:
    return PropertyRule(ident, kind, frozenset(packets))


PROPERTIES = {
    "payload_format": _rule(0x01, "flag", PUBLISH, WILL),
    "message_expiry": _rule(0x02, "four", PUBLISH, WILL),
    "content_type": _rule(0x03, "text", PUBLISH, WILL),
    "response_topic": _rule(0x08, "text", PUBLISH, WILL),
    "correlation_data": _rule(0x09, "binary", PUBLISH, WILL),
    "subscription_identifier": _rule(0x0B, "varint", PUBLISH, SUBSCRIBE),
    "session_expiry": _rule(0x11, "four", CONNECT, CONNACK, DISCONNECT),
    "assigned_client_id": _rule(0x12, "text", CONNACK),
    "server_keepalive": _rule(0x13, "two", CONNACK),
    "authentication_method": _rule(0x15, "text", CONNECT, CONNACK, AUTH),
    "authentication_data": _rule(0x16, "binary", CONNECT, CONNACK, AUTH),
    "request_problem_information": _rule(0x17, "flag", CONNECT),
    "will_delay": _rule(0x18, "four", WILL),
    "request_response_information": _rule(0x19, "flag", CONNECT),
    "response_information": _rule(0x1A, "text", CONNACK),
    "server_reference": _rule(0x1C, "text", CONNACK, DISCONNECT),
    "reason_string": _rule(0x1F, "text", CONNACK, *ACKS, SUBACK, UNSUBACK, DISCONNECT, AUTH),
    "receive_maximum": _rule(0x21, "two", CONNECT, CONNACK),
    "topic_alias_maximum": _rule(0x22, "two", CONNECT, CONNACK),
    "topic_alias": _rule(0x23, "two", PUBLISH),
    "maximum_qos": _rule(0x24, "flag", CONNACK),
    "retain_available": _rule(0x25, "flag", CONNACK),
    "user_property": _rule(
        0x26, "pair", CONNECT, CONNACK, PUBLISH, WILL, *ACKS, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, DISCONNECT, AUTH
    ),
    "maximum_packet_size": _rule(0x27, "four", CONNECT, CONNACK),
    "wildcard_available": _rule(0x28, "flag", CONNACK),
    "subscription_identifiers_available": _rule(0x29, "flag", CONNACK),
    "shared_available": _rule(0x2A, "flag", CONNACK),
}
_BY_IDENT = {rule.ident: name for name, rule in PROPERTIES.items()}
_NOT_ZERO = frozenset({"subscription_identifier", "receive_maximum", "maximum_packet_size"})


def read_properties(body: BodyReader, packet: int) -> Properties:
    """The property block at the reader's place; PacketError for what may not stand there, or stands twice."""
    length = body.varint()
    if not length:
        return {}
    block = BodyReader(body.take(length))
    found: Properties = {}
    while not block.at_end:
        name = _BY_IDENT.get(block.varint())
        if name is None:
            raise PacketError(MALFORMED, "an unknown property")
        rule = PROPERTIES[name]
        if packet not in rule.packets:
            raise PacketError(MALFORMED, f"{name} may not stand in this packet")
        value = _READ[rule.kind](block)
        if rule.kind == "pair":
            found.setdefault(name, []).append(value)
            continue
        if name in found:
            raise PacketError(PROTOCOL_ERROR, f"{name} stands twice")
        if (rule.kind == "flag" and value > 1) or (not value and name in _NOT_ZERO):
            raise PacketError(PROTOCOL_ERROR, f"{name} cannot be {value}")
        found[name] = value
    return found


def write_properties(properties: Mapping[str, Any]) -> bytes:
    """The property block with its length."""
    if not properties:
        return b"\0"
    out = bytearray()
    for name, value in properties.items():
        rule = PROPERTIES[name]
        for one in value if rule.kind == "pair" else (value,):
            out.append(rule.ident)
            out += _WRITE[rule.kind](one)
    return varint(len(out)) + bytes(out)


_READ: dict[str, Callable[[BodyReader], Any]] = {
    "flag": BodyReader.u8,
    "two": BodyReader.u16,
    "four": BodyReader.u32,
    "varint": BodyReader.varint,
    "text": BodyReader.text,
    "binary": BodyReader.binary,
    "pair": BodyReader.pair,
}
_WRITE: dict[str, Any] = {
    "flag": lambda value: bytes((value,)),
    "two": lambda value: value.to_bytes(2, "big"),
    "four": lambda value: value.to_bytes(4, "big"),
    "varint": varint,
    "text": text,
    "binary": binary,
    "pair": lambda pair: text(pair[0]) + text(pair[1]),
}
