"""PUBLISH from the broker, taken apart (MQTT 5 and 3.1.1, section 3.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agent.uplink.inbound import Inbound

_MANY = {"user_property", "subscription_identifier"}  # may stand more than once


def parse_publish(
    command: int,
    body: bytes,
    parse_properties: Callable[[bytes], tuple[dict[str, list[Any]] | None, bytes | None]] | None = None,
) -> tuple[Inbound, int]:
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
        found, rest = parse_properties(body[at:])
        if found is None or rest is None:
            raise ValueError("malformed properties")
        properties = {name: values if name in _MANY else values[0] for name, values in found.items()}
        payload = bytes(rest)
    return Inbound(topic, payload, qos, bool(command & 1), bool(command & 8), properties), mid
