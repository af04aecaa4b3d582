"""Options of a connection and its last will."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import NamedTuple

from gatepost.agent.uplink.mqtt.version_fallback import Version

LARGEST_INBOUND = 262_144  # octets of a packet
LARGEST_FURTHER = 1_100_000  # where documents come: one that is far too large must be seen to be refused


class LastWill(NamedTuple):
    """Last will: published by the broker when this client is gone without a DISCONNECT."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = True
    content_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectOptions:
    """Connect options. `context` is needed for mqtts and wss (tls.tls_context). Times in seconds, sizes in octets.

    `seen` belongs to a session that outlives connections (`clean_start` False): pass the same set to each of them, so
    that a QoS 2 message is not taken twice.
    """

    client_id: str
    protocol: Version = "5"
    username: str | None = None
    password: str | bytes | None = None
    keepalive: int = 30
    will: LastWill | None = None
    context: ssl.SSLContext | None = None
    clean_start: bool = True
    session_expiry: int = 0  # MQTT 5: how long the broker keeps the session after the connection's end
    dead_after: float = 20.0  # sent data that the peer's kernel does not acknowledge for so long ends the connection
    inbound_maximum: int = 20  # unacknowledged messages that the broker may have under way to us (MQTT 5)
    inbound_size: int = LARGEST_INBOUND  # largest packet taken in
    inbound_at_once: int = 8
    inbound_only: bool = False  # nothing is published, so that reading may pause while too many messages wait
    inbound_time_limit: float | None = 30.0  # how long on_message may take; None: for ever
    seen: set[int] = field(default_factory=set)
