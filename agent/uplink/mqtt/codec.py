"""PUBLISH as octets: checked topics, exact sizes, properties encoded once (MQTT 5 and 3.1.1, section 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from struct import Struct
from typing import Any

from gatepost.agent.uplink.mqtt.inbox import InboundMessage

_MANY = {"user_property", "subscription_identifier"}  # may stand more than once


def parse_publish(
    command: int,
    body: bytes,
    parse_properties: Callable[[bytes], tuple[dict[str, list[Any]] | None, bytes | None]] | None = None,
) -> tuple[InboundMessage, int]:
    """(message, packet id; 0 for QoS 0). Raises ValueError, IndexError or UnicodeDecodeError when it is malformed.

    `parse_properties` is gmqtt's; without it the body ends after the packet id.
    """
    qos = command >> 1 & 3
    if qos == 3:
        raise ValueError("QoS 3")
    at = 2 + (body[0] << 8 | body[1])
    if at > len(body):
        raise ValueError("topic too long")
    topic = body[2:at].decode()
    if not topic:
        raise ValueError("no topic")
    mid = 0
    if qos:
        mid = body[at] << 8 | body[at + 1]
        if not mid:
            raise ValueError("packet id 0")
        at += 2
    properties: dict[str, Any] = {}
    payload = b""
    if parse_properties is not None:
        parsed, rest = parse_properties(body[at:])
        if parsed is None or rest is None:
            raise ValueError("malformed properties")
        properties = {name: values if name in _MANY else values[0] for name, values in parsed.items()}
        payload = bytes(rest)
    return InboundMessage(topic, payload, qos, bool(command & 1), bool(command & 8), properties), mid


MAX_STRING = 65_535
MAX_REMAINING = 268_435_455
NO_PROPERTIES = b"\x00"  # MQTT 5: a property block of no octets

MAX_LAYOUTS = 500
_LAYOUTS: dict[int, Struct] = {}  # of heads, by the length of the topic


def check_topic(topic: bytes | str) -> str | None:
    """What is wrong with a topic to publish to; None when nothing is."""
    problem, text = _check_text(topic, "topic")
    if problem is None and ("+" in text or "#" in text):
        problem = "the topic holds a wildcard (+ or #)"
    return problem


def check_filter(topic: bytes | str) -> str | None:
    """What is wrong with a topic filter to subscribe to; None when nothing is."""
    problem, text = _check_text(topic, "topic filter")
    if problem is not None:
        return problem
    levels = text.split("/")
    if levels[0] == "$share":
        if len(levels) < 3 or not levels[1] or "+" in levels[1] or "#" in levels[1] or levels[2:] == [""]:
            return "a shared subscription is $share/<name>/<filter>"
        levels = levels[2:]
    for position, level in enumerate(levels):
        if "#" in level and (level != "#" or position != len(levels) - 1):
            return "# stands alone and last in a topic filter"
        if "+" in level and level != "+":
            return "+ stands alone in its level of a topic filter"
    return None


def _check_text(topic: bytes | str, kind: str) -> tuple[str | None, str]:
    try:
        text = topic if isinstance(topic, str) else topic.decode()
        size = len(text.encode()) if isinstance(topic, str) else len(topic)
    except UnicodeError:
        return f"the {kind} is not valid UTF-8", ""
    if not text:
        return f"the {kind} is empty", ""
    if "\0" in text:
        return f"the {kind} holds a NUL character", ""
    if size > MAX_STRING:
        return f"the {kind} is longer than {MAX_STRING} octets", ""
    return None, text


def varint(value: int) -> bytes:
    """A variable byte integer (MQTT 5, section 1.5.5); ValueError above 268,435,455."""
    if not 0 <= value <= MAX_REMAINING:
        raise ValueError(f"{value} does not fit a variable byte integer")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def remaining_length(topic: bytes, payload: bytes, properties: bytes, qos: int) -> int:
    """Of a PUBLISH (MQTT 5, section 2.1.4); `properties` with their length."""
    return 2 + len(topic) + (2 if qos else 0) + len(properties) + len(payload)


def packet_size(topic: bytes, payload: bytes, properties: bytes, qos: int, version: int = 5) -> int:
    """Octets that PUBLISH takes on the wire; `properties` as encode_properties gives them (b"" means none)."""
    remaining = remaining_length(topic, payload, properties or (NO_PROPERTIES if version == 5 else b""), qos)
    return 1 + remaining + (1 if remaining < 128 else 2 if remaining < 16_384 else 3 if remaining < 2_097_152 else 4)


def publish_head(command: int, remaining: int, topic: bytes, mid: int = 0) -> bytes:
    """Fixed header, topic and, with QoS 1 and 2, packet id: what stands before the properties."""
    length = len(topic)
    if mid and 128 <= remaining < 16_384:  # nearly all of them
        layout = _LAYOUTS.get(length) or _layout(length)
        return layout.pack(command, remaining & 0x7F | 0x80, remaining >> 7, length, topic, mid)
    head = bytes((command,)) + varint(remaining) + length.to_bytes(2, "big") + topic
    return head + mid.to_bytes(2, "big") if mid else head


def _layout(length: int) -> Struct:
    """Of a head with a remaining length of two octets and a topic of so many."""
    if len(_LAYOUTS) >= MAX_LAYOUTS:
        _LAYOUTS.clear()
    layout = _LAYOUTS[length] = Struct(f">BBBH{length}sH")
    return layout


def encode_properties(
    content_type: str | None = None,
    user_properties: Iterable[tuple[str, str]] = (),
    *,
    response_topic: str | None = None,
    correlation_data: bytes | None = None,
    message_expiry: int | None = None,
    utf8: bool | None = None,
) -> bytes:
    """The property block of an MQTT 5 PUBLISH with its length; ValueError for what does not fit.

    `message_expiry` in seconds; `utf8` says that the payload is text.
    """
    out = bytearray()
    if utf8 is not None:
        out += bytes((0x01, utf8))
    if message_expiry is not None:
        if not 0 <= message_expiry <= 0xFFFF_FFFF:
            raise ValueError("a message expiry is 0 to 4294967295 seconds")
        out += b"\x02" + message_expiry.to_bytes(4, "big")
    if content_type is not None:
        out += b"\x03" + text(content_type)
    if response_topic is not None:
        out += b"\x08" + text(response_topic)
    if correlation_data is not None:
        out += b"\x09" + binary(correlation_data)
    for name, value in user_properties:
        out += b"\x26" + text(name) + text(value)
    return varint(len(out)) + bytes(out)


def text(value: str) -> bytes:
    """UTF-8 with its length; ValueError for what MQTT has no place for."""
    if "\0" in value:
        raise ValueError("a field holds a NUL character")
    return binary(value.encode())


def binary(value: bytes) -> bytes:
    """With its length of 16 bits; ValueError when it is too long for that."""
    if len(value) > MAX_STRING:
        raise ValueError(f"a field is longer than {MAX_STRING} octets")
    return len(value).to_bytes(2, "big") + value
