"""Publisher of one connection: PUBLISH encoded, corked, in flight until it is acknowledged.

Packet ids are FIRST_ID and up; those below are left to gmqtt's own generator for SUBSCRIBE and UNSUBSCRIBE.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from gatepost.agent.core.errors import NotConnected, UplinkError, WindowFull
from gatepost.agent.uplink.mqtt.codec import MAX_REMAINING, NO_PROPERTIES, publish_head
from gatepost.agent.uplink.mqtt.reason_codes import REFUSED

PING_DELAY = 0.2  # seconds that messages of QoS 0 wait for the ping that shows that the broker has them
PINGREQ = b"\xc0\x00"
MOST_QUEUED = 4096  # pieces of packets: a loop turn in which a broker sends megabytes of requests makes more answers
FIRST_ID = 64  # packet ids below are gmqtt's
LAST_ID = 65_535
MAX_IN_FLIGHT = 65_000  # leaves ids to search through when a window is full
_PUBREL = b"\x62\x02"

PlainMessage = tuple[bytes, bytes, bytes]  # topic, payload, properties

OnAck = Callable[[list[tuple[int, int]]], None]


def ignore_acks(acks: list[tuple[int, int]]) -> None:
    """OnAck until another one is set."""


class PacketSink(Protocol):
    """Sink of octets; `paused` while the kernel has not taken all of them."""

    paused: bool
    last_in: float

    @property
    def unsent(self) -> int:
        """Octets written and not yet taken by the kernel."""

    def write(self, data: bytes) -> None: ...


class MqttPublisher:
    """Publisher, the hot path. Nothing is sent unless `is_open`. The limits are the broker's, from CONNACK: WindowFull
    beyond `receive_maximum` messages of QoS 1 and 2; `on_ack` as in MqttConnection."""

    def __init__(
        self, sink: PacketSink, version: int, on_ack: OnAck, monotonic: Callable[[], float], where: str
    ) -> None:
        self._sink = sink
        self.on_ack = on_ack
        self.version = version
        self._monotonic = monotonic
        self._where = where
        self._no_properties = NO_PROPERTIES if version == 5 else b""
        self._call_soon = asyncio.get_running_loop().call_soon
        self._call_later = asyncio.get_running_loop().call_later
        self.acknowledged_by_ping = False  # QoS 0 is done with the next PINGRESP, not when the kernel has it
        self._unpinged: list[int] = []  # tags sent since the last PINGREQ
        self.pings = 0  # PINGREQ without their PINGRESP
        self._pinged: list[int] = []  # tags sent before a PINGREQ that is not answered yet
        self._ping_due = False
        self._out: list[bytes] = []
        self._sent: list[int] = []  # tags of QoS 0 that the kernel has not taken yet
        self._mid = FIRST_ID - 1
        self._released: set[int] = set()  # QoS 2: PUBREL sent, PUBCOMP due
        self.flight: dict[int, int] = {}  # packet id -> tag, in order of sending
        self.busy_since = 0.0  # when the first of what is in flight was sent, while none was acknowledged
        self.corked = False  # something is queued for the end of this loop turn
        self.is_open = False
        self.receive_maximum = MAX_IN_FLIGHT
        self.maximum_packet_size: int | None = None
        self.maximum_qos = 2
        self.retain_available = True
        self.last_ack_at = monotonic()

    def publish(self, topic: bytes, payload: bytes, qos: int, retain: bool, properties: bytes, tag: int) -> None:
        """Queue a message for the end of this loop turn. Raises NotConnected, WindowFull, UplinkError (too long).

        `properties` as the connection made them. The caller has checked the topic and the broker's maximum packet size;
        a QoS above the broker's maximum is lowered to it, `retain` is left out where the broker keeps none.
        """
        if not self.is_open:
            raise NotConnected(f"not connected to {self._where}")
        if qos > self.maximum_qos:
            qos = self.maximum_qos
        command = 0x30 | qos << 1
        if retain and self.retain_available:
            command |= 1
        properties = properties or self._no_properties
        remaining = len(topic) + len(properties) + len(payload) + (4 if qos else 2)
        if remaining > MAX_REMAINING:
            raise UplinkError("a message is longer than MQTT allows", key="broker-message-too-large")
        if not qos:
            if self.acknowledged_by_ping:
                self._unpinged.append(tag)
                self._ping_later()
            else:
                self._sent.append(tag)
            self._out += (publish_head(command, remaining, topic), properties, payload)
        else:
            flight = self.flight
            if len(flight) >= self.receive_maximum:
                raise WindowFull(f"{len(flight)} messages are in flight to {self._where}", "lower window")
            mid = self._mid + 1
            while mid in flight or mid > LAST_ID:
                mid = mid + 1 if mid < LAST_ID else FIRST_ID
            self._mid = mid
            if not flight:
                self.busy_since = self._monotonic()
            flight[mid] = tag
            self._out += (publish_head(command, remaining, topic, mid), properties, payload)
        if not self.corked:
            self.corked = True
            self._call_soon(self.flush)

    def publish_all(self, messages: Sequence[PlainMessage], qos: int, tags: Sequence[int]) -> None:
        """`publish` of many that are not retained. Raises what that does."""
        qos = min(qos, self.maximum_qos)
        flight, mid, out = self.flight, self._mid, self._out
        if not self.is_open or not qos or len(flight) + len(messages) > self.receive_maximum:
            for (topic, payload, properties), tag in zip(messages, tags, strict=True):
                self.publish(topic, payload, qos, False, properties, tag)
            return
        if not flight:
            self.busy_since = self._monotonic()
        command = 0x30 | qos << 1
        for (topic, payload, properties), tag in zip(messages, tags, strict=True):
            mid += 1
            while mid in flight or mid > LAST_ID:
                mid = mid + 1 if mid < LAST_ID else FIRST_ID
            flight[mid] = tag
            remaining = len(topic) + len(properties) + len(payload) + 4
            out += (publish_head(command, remaining, topic, mid), properties, payload)
        self._mid = mid
        if not self.corked:
            self.corked = True
            self._call_soon(self.flush)

    def queue(self, packet: bytes) -> None:
        """Any other packet, in order with the messages; also before CONNACK."""
        self._out.append(packet)
        if len(self._out) >= MOST_QUEUED:
            self.flush()
        elif not self.corked:
            self.corked = True
            self._call_soon(self.flush)

    def flush(self) -> None:
        """Write what this loop turn has queued as one; happens by itself at its end."""
        self.corked = False
        out = self._out
        if out:
            self._out = []
            self._sink.write(b"".join(out))
        if self._sent:
            self.taken()

    def taken(self) -> None:
        """The kernel may have everything now: QoS 0 is done then."""
        if self._sent and not self._out and not self._sink.paused and self.is_open:
            sent, self._sent = self._sent, []
            self.on_ack([(tag, 0) for tag in sent])

    def _ping_later(self) -> None:
        if not self._ping_due and not self._pinged:
            self._ping_due = True
            self._call_later(PING_DELAY, self._ping)

    def _ping(self) -> None:
        """A broker deals with the packets of a connection in order: its answer shows that it has all before."""
        self._ping_due = False
        if self.is_open and self._unpinged and not self._pinged:
            self._pinged, self._unpinged = self._unpinged, []
            self.pings += 1
            self.queue(PINGREQ)

    def hurry_ping(self) -> None:
        """The caller's window is full: ask now whether the broker has what was sent."""
        if self._unpinged and not self._pinged:
            self._ping()

    def pinged(self) -> None:
        """A PINGREQ of the keep alive goes out: its answer comes before that of a later one."""
        self.pings += 1

    def ping_answered(self) -> None:
        """PINGRESP. Only the answer to the newest PINGREQ shows that what was sent before that one has arrived."""
        self.pings = max(0, self.pings - 1)
        if self.pings or not self._pinged:
            return
        tags, self._pinged = self._pinged, []
        if self._unpinged:
            self._ping_later()
        self.acked([(tag, 0) for tag in tags])

    def acked(self, acks: list[tuple[int, int]]) -> None:
        """Acknowledgements (tag, reason code) in the order in which they came."""
        self.last_ack_at = self._sink.last_in
        self.on_ack(acks)

    def pubrec(self, mid: int, code: int) -> bool:
        """First half of QoS 2; true when the message has ended with it: refused."""
        if code >= REFUSED:
            return True
        if mid in self.flight:
            self._released.add(mid)
            self.last_ack_at = self._sink.last_in
            self.queue(_PUBREL + mid.to_bytes(2, "big"))
        return False

    def released(self, mid: int) -> bool:
        """PUBCOMP: whether PUBREL was sent for it, so that the message is done."""
        known = mid in self._released
        self._released.discard(mid)
        return known

    def stop(self) -> None:
        """Nothing more is sent; what is in flight stays in `unacked`."""
        self.is_open = False
        self._out.clear()

    @property
    def in_flight(self) -> int:
        """Messages without their acknowledgement, QoS 0 that the kernel has not taken included."""
        return len(self.flight) + len(self._sent) + len(self._unpinged) + len(self._pinged)

    @property
    def unsent(self) -> int:
        """Octets published and not yet taken by the kernel."""
        return self._sink.unsent + sum(map(len, self._out))

    def unacked(self) -> list[int]:
        """Tags without their acknowledgement, in order of sending (QoS 0 last); also after the end."""
        return [*self.flight.values(), *self._sent, *self._pinged, *self._unpinged]

    def stalled(self, limit: float, now: float) -> bool:
        """Whether messages are in flight and none was acknowledged for `limit` seconds."""
        return bool(self.flight) and now - max(self.last_ack_at, self.busy_since) >= limit
