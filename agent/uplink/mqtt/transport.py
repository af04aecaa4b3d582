"""Transport to a broker: TCP, TLS or WebSocket, opened and tuned; and the octets of MQTT over it, cut into packets.

`MqttStream` is gmqtt's protocol with its reading replaced: no StreamReader, no task, one pass over each received chunk,
acknowledgements collected without a function call each.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from struct import Struct
from typing import Any, Protocol

from gmqtt.mqtt.protocol import MQTTProtocol

from gatepost.agent.core.lazy_modules import import_lazily
from gatepost.agent.uplink.mqtt.ack_gathering import AckGathering
from gatepost.agent.uplink.mqtt.connect_options import ConnectOptions
from gatepost.agent.uplink.mqtt.dial import dial
from gatepost.agent.uplink.mqtt.endpoint import BrokerEndpoint
from gatepost.agent.uplink.mqtt.publisher import MqttPublisher

MOST_UNREAD = 16_000_000  # octets that wait for a broker to read; no window of the largest batches takes so many
CONNACK, PUBLISH, PUBACK, PUBREC, PUBCOMP = 0x20, 0x30, 0x40, 0x50, 0x70
PLAIN_PUBACK = 0x4002  # its first two octets where it has no reason code: a success
_PLAIN_ACKS = Struct(">HH").iter_unpack
# Seconds in which more answers may come before the kernel acknowledges what came, for each message in flight.
ACK_DELAY, LONGEST_ACK_DELAY = 0.00002, 0.005
_TCP_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux


class StreamOwner(Protocol):
    """Owner of a stream: its connection."""

    def received(self, command: int, body: bytes) -> None:
        """Any packet that is no plain acknowledgement."""

    def oversized(self, command: int, head: bytes) -> None:
        """A PUBLISH beyond `limit` is being skipped; `head` holds its topic and packet id."""

    def broken(self, code: int, message: str) -> None:
        """The peer does not keep to the protocol."""

    def ended(self, problem: Exception | None) -> None:
        """The connection is gone: the transport's error, None where the peer closed it."""


class MqttStream(MQTTProtocol):  # type: ignore[misc]
    """MQTT stream of one connection. `limit`: the largest packet that is taken in."""

    def __init__(self, limit: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__(connection_state=None, id_generator=None)
        self._limit = limit
        self._monotonic = monotonic
        self._owner: StreamOwner | None = None
        self._publisher: MqttPublisher | None = None
        self._rest = b""
        self._skip = 0  # octets of an oversized packet still to come
        self._quickack: Callable[[], None] | None = None
        self.gathering: AckGathering | None = None
        self._greeted = False
        self._quickack_due = False
        self._call_later = asyncio.get_running_loop().call_later
        self._running = False
        self.paused = False
        self.last_in = self.last_out = monotonic()

    def wire(self, owner: StreamOwner, publisher: MqttPublisher, connection_state: Any, id_generator: Any) -> None:
        """The last two are gmqtt's: its protocol version and its packet ids."""
        self._owner, self._publisher = owner, publisher
        self._connection_state, self.id_generator = connection_state, id_generator

    def acknowledge_by(self, link: socket.socket) -> None:
        """The socket below the transport, to have the kernel acknowledge at once."""
        self._quickack = _quickack_of(link)

    def gather_on(self, link: socket.socket) -> None:
        """The same socket, where what it gives are the octets of MQTT: acknowledgements may be left in the kernel."""
        self.gathering = AckGathering(link, self._take)

    # -- the transport's side ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super(MQTTProtocol, self).connection_made(transport)  # past gmqtt's read loop: data_received parses
        self._running = True
        self.last_in = self.last_out = self._monotonic()
        with contextlib.suppress(AttributeError, NotImplementedError):
            transport.set_write_buffer_limits(high=1, low=0)  # type: ignore[attr-defined]  # paused = not all handed over

    def eof_received(self) -> bool:
        return False  # half-closed is closed

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        if self._publisher is not None:
            self._publisher.taken()

    def connection_lost(self, exc: Exception | None) -> None:
        self._running = False
        self._quickack = None
        if self.gathering is not None:
            self.gathering.pause(True)
        self._rest = b""
        super(MQTTProtocol, self).connection_lost(None)  # gmqtt would log the trace of every loss
        if self._owner is not None:
            self._owner.ended(exc)

    def data_received(self, data: bytes) -> None:
        if self.gathering is not None:
            self.gathering.stop()
        self._take(data)

    def _take(self, data: bytes) -> None:
        """Hot: thousands of acknowledgements a second come through here."""
        owner, publisher = self._owner, self._publisher
        if not self._running or owner is None or publisher is None:
            return
        self.last_in = self._monotonic()
        if not self._greeted:
            if data[0] != CONNACK:
                owner.broken(0x81, "something that is not MQTT")
                return
            self._greeted = True
        if self.unsent > MOST_UNREAD:
            owner.broken(0x97, "more than it reads the answers to")
            return
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        if self._rest:
            data = self._rest + data
            self._rest = b""
        acks: list[tuple[int, int]] = []
        take = publisher.flight.pop
        at, end = 0, len(data)
        for kind, mid in _PLAIN_ACKS(memoryview(data)[: end & ~3]):
            if kind != PLAIN_PUBACK:
                break
            at += 4
            tag = take(mid, None)
            if tag is not None:
                acks.append((tag, 0))
        while at + 1 < end:
            command = data[at]
            length = data[at + 1]
            body = at + 2
            if length > 0x7F:
                length, body = _long_length(data, at, end)
                if length < 0:
                    if body < 0:
                        owner.broken(0x81, "a packet with a malformed length")
                    break
            after = body + length
            if after > end:
                if length > self._limit:
                    self._oversized(owner, command, data, body, after)
                    at = end if self._skip else at
                break
            if command == PUBACK and length > 1:
                tag = take(data[body] << 8 | data[body + 1], None)
                if tag is not None:
                    acks.append((tag, data[body + 2] if length > 2 else 0))
            elif command in (PUBREC, PUBCOMP) and length > 1:
                mid = data[body] << 8 | data[body + 1]
                code = data[body + 2] if length > 2 else 0
                if command == PUBREC:
                    ended = publisher.pubrec(mid, code)
                else:
                    ended, code = publisher.released(mid), 0  # the broker owns it since PUBREC
                tag = take(mid, None) if ended else None
                if tag is not None:
                    acks.append((tag, code))
            else:
                if acks:  # before what may end the connection
                    publisher.acked(acks)
                    acks = []
                owner.received(command, data[body:after])
                if not self._running:
                    at = end
                    break
            at = after
        if at < end and self._running:
            self._rest = data[at:] if at else data
        if acks:
            publisher.acked(acks)
        if self._quickack is not None and publisher.flight and not publisher.corked and not self._quickack_due:
            self._quickack_due = True
            self._call_later(min(ACK_DELAY * len(publisher.flight), LONGEST_ACK_DELAY), self._acknowledge)

    def _acknowledge(self) -> None:
        """TCP's acknowledgement rides on what is sent next. Where nothing is, a broker with Nagle's algorithm would
        hold back the rest of its answers until a timer runs out."""
        self._quickack_due = False
        publisher = self._publisher
        if self._running and publisher is not None and not publisher.corked and self.last_out < self.last_in:
            assert self._quickack is not None
            self._quickack()

    def _oversized(self, owner: StreamOwner, command: int, data: bytes, body: int, after: int) -> None:
        """Skip a packet that is not worth the memory, once its topic and packet id are here to refuse it by."""
        if command & 0xF0 != PUBLISH:
            owner.broken(0x95, "a packet larger than this gateway accepts")
            return
        have = len(data) - body
        if have < 2 or have < (needed := 4 + (data[body] << 8 | data[body + 1])):
            return
        self._skip = after - len(data)
        owner.oversized(command, data[body : body + needed])

    # -- the connection's side -----------------------------------------------------------------------------------------

    def write_data(self, data: bytes) -> None:
        """gmqtt's own packets: CONNECT, SUBSCRIBE, PINGREQ, DISCONNECT, acknowledgements."""
        if self._publisher is not None:
            self._publisher.queue(bytes(data))

    def write(self, data: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self.last_out = self._monotonic()
        transport.write(data)

    @property
    def unsent(self) -> int:
        """Octets that wait in this process for the kernel to take them."""
        transport = self._transport
        return 0 if transport is None or not self._connected.is_set() else int(transport.get_write_buffer_size())

    def pause(self, on: bool) -> None:
        """Stop or go on reading, acknowledgements included."""
        transport = self._transport
        if transport is not None and not transport.is_closing():
            if self.gathering is not None:
                self.gathering.pause(on)
            with contextlib.suppress(RuntimeError):
                transport.pause_reading() if on else transport.resume_reading()

    def abort(self) -> None:
        self._running = False
        if self._transport is not None:
            self._transport.abort()

    def shut(self) -> None:
        """Close when everything written is out; bounded by the caller."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()


def _long_length(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Remaining length of more than one octet: (length, where the body starts); (-1, 0) when it is not all here,
    (-1, -1) when it is malformed."""
    length = 0
    for count in range(4):
        place = at + 1 + count
        if place >= end:
            return -1, 0
        octet = data[place]
        length |= (octet & 0x7F) << 7 * count
        if octet < 0x80:
            return length, place + 1
    return -1, -1


def _quickack_of(link: socket.socket) -> Callable[[], None] | None:
    """What makes the kernel acknowledge now what was received; None where it cannot. Not by the socket that a
    transport shows: uvloop's makes a new one for each call. 2: what comes later is not acknowledged at once, too, or a
    broker with Nagle's algorithm would send each of its answers by itself."""
    if _TCP_QUICKACK is None or link.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    option = _TCP_QUICKACK
    set_option = link.setsockopt

    def quickack() -> None:
        try:  # noqa: SIM105 - often enough for its calls to count
            set_option(socket.IPPROTO_TCP, option, 2)
        except OSError:
            pass

    return quickack


async def open_transport(endpoint: BrokerEndpoint, stream: MqttStream, options: ConnectOptions) -> asyncio.Transport:
    """Connect `stream` to the endpoint; raises OSError, ssl.SSLError or ConnectFailed. The caller bounds it."""
    link: dict[str, Any] = {"ssl": options.context, "server_hostname": endpoint.host} if endpoint.secure else {}
    link["sock"] = dialled = await dial(endpoint.host, endpoint.port, options.dead_after)
    stream.acknowledge_by(dialled)
    if not endpoint.secure and not endpoint.websocket:
        stream.gather_on(dialled)
    try:
        if endpoint.websocket:
            import_lazily("importlib.metadata")  # websockets.version imports it and does not use it
            from gatepost.agent.uplink.mqtt.websocket import open_websocket

            return await open_websocket(endpoint, options.inbound_size, stream, link)
        transport, _ = await asyncio.get_running_loop().create_connection(lambda: stream, **link)
    except BaseException:
        dialled.close()
        raise
    return transport
