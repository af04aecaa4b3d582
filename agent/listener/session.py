"""Rules of one MQTT connection as the server, sans-I/O: octets in, checked packets and octets out.

What a rule rests on stands behind it: [3.1.4-2] is a requirement of MQTT 3.1.1, §4.9 a section of MQTT 5.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from msgspec import Struct

from gatepost.agent.listener.packets import (
    BAD_LEVEL,
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
    decode,
    decode_publish,
    encode,
    puback,
)
from gatepost.agent.listener.properties import (
    CONNECT,
    DISCONNECT,
    PINGREQ,
    PINGRESP,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
)
from gatepost.agent.listener.wire import PROTOCOL_ERROR, TOO_LARGE, PacketError, PacketSplitter

CONNECT_LIMIT = 4096  # octets of the first packet
ALIASES = 10  # topic aliases of a client
MOST_OVERRUNS = 1000  # clients that are remembered
MOST_RECEIVED = 1000  # QoS 2 messages that were received and never released
NO_LIMIT = 1 << 30  # 5 has its receive maximum, and is hung up on beyond it, once
REFUSED = 0x80  # reason codes from here on say no
BAD_AUTHENTICATION_METHOD, RECEIVE_MAXIMUM_EXCEEDED, ALIAS_INVALID = 0x8C, 0x93, 0x94
UNKNOWN_PACKET_ID, IDENTIFIERS_NOT_SUPPORTED, WILL_ANYWAY = 0x92, 0xA1, 0x04
SESSION_TAKEN_OVER, SERVER_SHUTTING_DOWN = 0x8E, 0x8B


class ProtocolLimits(NamedTuple):
    """Limits that a server sets: octets of a packet, unacknowledged messages, seconds of keepalive."""

    max_packet: int = 64_000
    window: int = 20
    keepalive_max: int = 600


class RepeatedMessage(NamedTuple):
    """A QoS 2 message that was taken before: `receive` it once more, when what is known of it is on disk."""

    packet_id: int


class ConnectionEnd(NamedTuple):
    """The connection is over: a stable key, and words for a person."""

    key: str
    message: str


ClientIntent = (
    ConnectPacket
    | PublishPacket
    | RepeatedMessage
    | AckPacket
    | SubscribePacket
    | UnsubscribePacket
    | SignalPacket
    | ConnectionEnd
)


class _DueAck(Struct, gc=False):
    """An acknowledgement that goes out once the commit `ticket` is on disk."""

    ticket: int
    octets: bytes
    packet_id: int
    ends: bool  # the packet id is free with it


class ClientOverruns:
    """Client ids that have sent more than the receive maximum. Some libraries send all that they have kept as soon as
    they are connected, each time anew: hung up on each time, they would never be rid of it. After the first time
    they are kept from sending more, as clients of 3.1.1 are."""

    def __init__(self) -> None:
        self._clients: dict[str, None] = {}

    def add(self, client_id: str) -> None:
        self._clients[client_id] = self._clients.pop(client_id, None)
        if len(self._clients) > MOST_OVERRUNS:
            del self._clients[next(iter(self._clients))]

    def __contains__(self, client_id: str) -> bool:
        return client_id in self._clients


class ProtocolSession:
    """`feed` octets, take `next` until it gives None, answer each; `output` is what is to be written. CONNECT is
    answered with `accept` or `refuse` before the next intent is taken.

    `acknowledge` and `complete` put answers in line; `settle(ticket)` sends those whose turn has come, in the order of
    the packets that they answer [4.6.0-2, -3]. While `blocked`, nothing more is taken: call `next` again later.
    """

    __slots__ = (
        "_aliases", "_client_id", "_client_limit", "_due", "_expiry_zero", "_explains", "_flight", "_limits", "_most",
        "_out", "_overruns", "_received", "_splitter", "accepted", "ended", "keepalive", "paused", "receive_maximum",
        "unacknowledged", "version",
    )  # fmt: skip

    def __init__(self, limits: ProtocolLimits, overruns: ClientOverruns) -> None:
        self.version = MQTT_3
        self.keepalive = 0  # seconds; 0 before CONNECT was accepted
        self.accepted = False
        self.ended = False
        self.paused = False  # the owner wants no more packets for now
        self.receive_maximum = 65_535  # of the client
        self.unacknowledged = 0  # messages that wait for the disk
        self._limits = limits
        self._overruns = overruns
        self._client_id = ""
        self._most = limits.window  # of those
        self._splitter = PacketSplitter(CONNECT_LIMIT)
        self._out: list[bytes] = []
        self._due: list[_DueAck] = []  # nearly always empty at once
        self._flight: set[int] = set()  # packet ids of this connection that are not yet free again
        self._received: set[int] = set()  # QoS 2: stored and not released; outlives the connection
        self._aliases: dict[int, str] = {}
        self._client_limit: int | None = None
        self._explains = True
        self._expiry_zero = True

    # --- octets

    @property
    def held(self) -> int:
        """Octets that came and were not yet understood."""
        return self._splitter.held

    @property
    def blocked(self) -> bool:
        """3.1.1 knows no receive maximum: its client is kept from sending more."""
        return self.paused or self.unacknowledged >= self._most

    def feed(self, data: bytes) -> None:
        if not self.ended:
            self._splitter.feed(data)

    def output(self) -> bytes:
        if not self._out:
            return b""
        out, self._out = self._out, []
        return b"".join(out)

    def write(self, packet: MqttPacket) -> bool:
        """False for a packet that is larger than the client takes (§3.1.2.11.4)."""
        octets = encode(packet, self.version)
        if self._client_limit is not None and len(octets) > self._client_limit:
            return False
        self._out.append(octets)
        return True

    # --- packets

    def next(self) -> ClientIntent | None:
        """What the client wants next, checked; None = nothing for now. A protocol error ends with ConnectionEnd."""
        while not (self.paused or self.ended or self.unacknowledged >= self._most):
            try:
                cut = self._splitter.next()
                if cut is None:
                    return None
                first, body = cut
                intent: ClientIntent | None
                if first >> 4 == PUBLISH and self.accepted:
                    intent = self._publish(decode_publish(first, body, self.version))
                else:
                    intent = self._take(first, body)
            except PacketError as error:
                intent = self._broken(error)
            if intent is not None:
                return intent
        return None

    def _take(self, first: int, body: bytes) -> ClientIntent | None:
        if not self.accepted:
            return self._first_packet(first, body)
        packet = decode(first, body, self.version)
        match packet:
            case AckPacket(kind=kind) if kind == PUBREL:
                return self._release(packet)
            case AckPacket(kind=kind) if kind == PUBACK:
                return packet
            case SignalPacket(kind=kind) if kind == PINGREQ:
                self._out.append(bytes((PINGRESP << 4, 0)))
                return packet
            case SignalPacket(kind=kind) if kind == DISCONNECT:
                return self._goodbye(packet)
            case SubscribePacket():
                if "subscription_identifier" in packet.properties:
                    raise PacketError(IDENTIFIERS_NOT_SUPPORTED, "subscription identifiers are not available")
                return packet
            case UnsubscribePacket():
                return packet
        raise PacketError(PROTOCOL_ERROR, "a packet that a client may not send now")  # also a second CONNECT, AUTH

    def _first_packet(self, first: int, body: bytes) -> ClientIntent:
        if first >> 4 != CONNECT:
            raise PacketError(PROTOCOL_ERROR, "the first packet is not CONNECT")  # [3.1.0-1]
        five = body[:6] == b"\0\4MQTT" and len(body) > 6 and body[6] >= MQTT_5
        self.version = MQTT_5 if five else MQTT_3
        try:
            packet = decode(first, body, self.version)
        except PacketError as error:
            if five or error.code == BAD_LEVEL:  # 3.1.1 has no return code for the rest
                self.refuse(error.code if five else 1)
            raise
        assert isinstance(packet, ConnectPacket)
        if "authentication_method" in packet.properties:
            self.refuse(BAD_AUTHENTICATION_METHOD)
            raise PacketError(BAD_AUTHENTICATION_METHOD, "an authentication method is not available")
        if "authentication_data" in packet.properties:
            self.refuse(PROTOCOL_ERROR)
            raise PacketError(PROTOCOL_ERROR, "authentication data without a method")  # §3.1.2.11.10
        return packet

    def _publish(self, packet: PublishPacket) -> PublishPacket | RepeatedMessage | None:
        if packet.properties:
            self._alias(packet)
        ident = packet.packet_id
        if not ident:
            return packet
        if packet.qos == 2 and ident in self._received:  # a repeat: it is stored, or on its way there
            if any(ack.packet_id == ident for ack in self._due):
                return None
            self._flight.add(ident)
            return RepeatedMessage(ident)
        if ident in self._flight:
            if packet.dup:
                return None  # the same message once more: one reading, one acknowledgement
            raise PacketError(PROTOCOL_ERROR, "a packet id that is in use")
        if self._most == NO_LIMIT and len(self._flight) >= self._limits.window:
            self._overruns.add(self._client_id)
            raise PacketError(RECEIVE_MAXIMUM_EXCEEDED, "more unacknowledged messages than the receive maximum")
        if packet.qos == 2 and len(self._received) >= MOST_RECEIVED:
            raise PacketError(RECEIVE_MAXIMUM_EXCEEDED, "too many messages that are never released")
        self._flight.add(ident)
        return packet

    def _alias(self, packet: PublishPacket) -> None:
        """§3.3.2.3.4"""
        if "subscription_identifier" in packet.properties:
            raise PacketError(PROTOCOL_ERROR, "a subscription identifier from a client")
        alias = packet.properties.pop("topic_alias", None)
        if alias is None:
            return
        if not 1 <= alias <= ALIASES:
            raise PacketError(ALIAS_INVALID, "a topic alias beyond the maximum")
        if packet.topic:
            self._aliases[alias] = packet.topic
            return
        packet.topic = self._aliases.get(alias, "")
        if not packet.topic:
            raise PacketError(PROTOCOL_ERROR, "an unknown topic alias")

    def _release(self, packet: AckPacket) -> AckPacket:
        packet.code = 0 if packet.packet_id in self._received else UNKNOWN_PACKET_ID
        self._received.discard(packet.packet_id)
        return packet

    def _goodbye(self, packet: SignalPacket) -> ClientIntent:
        if self._expiry_zero and packet.properties.get("session_expiry"):
            raise PacketError(PROTOCOL_ERROR, "a session expiry of 0 cannot be raised")  # §3.14.2.2.2
        self.ended = True
        return packet

    def _broken(self, error: PacketError) -> ConnectionEnd:
        key = "too large" if error.code == TOO_LARGE else "protocol error"
        if self.accepted:
            self.hang_up(error.code)
        self.ended = True
        return ConnectionEnd(key, error.message)

    # --- answers

    def accept(self, packet: ConnectPacket, received: set[int], present: bool, told: dict[str, Any]) -> None:
        """CONNACK 0. `received`: QoS 2 ids of the session, kept up to date; `told`: properties such as session_expiry
        and assigned_client_id."""
        limits = self._limits
        keepalive = min(packet.keepalive or limits.keepalive_max, limits.keepalive_max)
        properties: dict[str, Any] = {}
        if self.version == MQTT_5:
            self._client_id = packet.client_id
            if packet.client_id not in self._overruns:
                self._most = NO_LIMIT
            self.receive_maximum = packet.properties.get("receive_maximum", 65_535)
            self._client_limit = packet.properties.get("maximum_packet_size")
            self._explains = bool(packet.properties.get("request_problem_information", 1))
            self._expiry_zero = not packet.properties.get("session_expiry", 0)
            properties = {
                "receive_maximum": limits.window,
                "maximum_packet_size": limits.max_packet,
                "topic_alias_maximum": ALIASES,
                "subscription_identifiers_available": 0,
                "shared_available": 0,
                **({"server_keepalive": keepalive} if keepalive != packet.keepalive else {}),
                **told,
            }
        self.accepted, self.keepalive = True, keepalive
        self._received = received
        self._splitter.limit = limits.max_packet
        self._out.append(encode(ConnackPacket(0, present, properties), self.version))

    def refuse(self, code: int) -> None:
        """CONNACK with a code of its version, and the end [3.2.2-4]."""
        self._out.append(encode(ConnackPacket(code), self.version))
        self.ended = True

    def hang_up(self, code: int) -> None:
        """The server ends it: 5 is told why (§3.14)."""
        if self.accepted and not self.ended and self.version == MQTT_5:
            self.write(SignalPacket(DISCONNECT, code))
        self.ended = True

    def acknowledge(self, packet: PublishPacket, ticket: int, code: int = 0, reason: str = "") -> None:
        """PUBACK or PUBREC once the commit `ticket` is on disk (0 = now). 3.1.1 has no code: it is told that all is
        well, since it would repeat the message for ever."""
        if not packet.qos:
            return
        ident, refused = packet.packet_id, code >= REFUSED
        kind = PUBACK if packet.qos == 1 else PUBREC
        if kind == PUBREC and not refused:
            self._received.add(ident)
        octets = puback(kind, ident)
        if code and self.version == MQTT_5:
            octets = self._with_reason(AckPacket(kind, ident, code), reason)
        self._put(_DueAck(ticket, octets, ident, kind == PUBACK or refused))

    def receive(self, repeated: RepeatedMessage, ticket: int) -> None:
        """PUBREC once more."""
        self._put(_DueAck(ticket, puback(PUBREC, repeated.packet_id), repeated.packet_id, False))

    def complete(self, packet_id: int, ticket: int, code: int = 0) -> None:
        """PUBCOMP once the commit in which the packet id was forgotten is on disk."""
        octets = puback(PUBCOMP, packet_id)
        if code and self.version == MQTT_5:
            octets = self._with_reason(AckPacket(PUBCOMP, packet_id, code), "")
        self._put(_DueAck(ticket, octets, packet_id, True))

    def settle(self, durable: int) -> bool:
        """Send what is on disk up to the commit `durable`; whether something is left that waits."""
        due, count = self._due, 0
        for ack in due:
            if ack.ticket > durable:
                break
            count += 1
            self._out.append(ack.octets)
            if ack.ends:
                self._flight.discard(ack.packet_id)
        if count:
            del due[:count]
            self.unacknowledged -= count
        return bool(due)

    def _put(self, ack: _DueAck) -> None:
        self._due.append(ack)
        self.unacknowledged += 1

    def _with_reason(self, packet: AckPacket, reason: str) -> bytes:
        if reason and self._explains:
            octets = encode(AckPacket(packet.kind, packet.packet_id, packet.code, {"reason_string": reason}), MQTT_5)
            if self._client_limit is None or len(octets) <= self._client_limit:
                return octets
        return encode(packet, MQTT_5)

    def subscribed(self, packet: SubscribePacket | UnsubscribePacket, kind: int, codes: list[int]) -> None:
        """SUBACK or UNSUBACK, a code for each filter in order [3.8.4-5]."""
        if self.version == MQTT_3:
            codes = [REFUSED if code >= REFUSED else code for code in codes]
        self.write(CodesPacket(kind, packet.packet_id, codes))
