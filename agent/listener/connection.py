"""One connection of a device: octets between its transport and the rules of session.py, and what it is asked to do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from gatepost.agent.core.clock import US
from gatepost.agent.core.token_bucket import TokenBucket
from gatepost.agent.listener.authentication import RefusedClient
from gatepost.agent.listener.client_sessions import LONGEST_ID, ClientSession, OutgoingMessage
from gatepost.agent.listener.interfaces import ConnectionOwner, OctetLayer
from gatepost.agent.listener.packets import (
    MQTT_3,
    MQTT_5,
    AckPacket,
    ConnectPacket,
    PublishPacket,
    SignalPacket,
    SubscribePacket,
    UnsubscribePacket,
    WillMessage,
)
from gatepost.agent.listener.properties import DISCONNECT, PUBREL, SUBACK, UNSUBACK
from gatepost.agent.listener.session import WILL_ANYWAY, ClientIntent, ConnectionEnd, ProtocolSession, RepeatedMessage
from gatepost.agent.listener.wire import StreamOver

log = logging.getLogger(__name__)

WRITE_BUFFER = 64 * 1024  # octets that a device has not taken, beyond which it is hung up on
BEFORE_CONNECT = 20_000  # octets that anybody may send: CONNECT, and the handshake of a WebSocket
FAREWELL = 1.0  # seconds until a connection that was told to go is cut off
RECHECK = 60.0  # seconds after which the wall clock is looked at again for a token's end
CLIENT_ID_REFUSED, CLIENT_ID_REFUSED_3, NOT_AUTHORIZED, QUOTA = 0x85, 2, 0x87, 0x97
SERVER_UNAVAILABLE_3 = 3
NO_SUBSCRIPTION = 0x11
LONG_PAUSE = 10.0  # seconds after which 5 is told rather than kept waiting


class DeviceConnection(asyncio.BufferedProtocol):
    """Made for each accepted connection. Everything is synchronous: a packet is dealt with when it is read."""

    __slots__ = (
        "_budget", "_expiry", "_heard", "_held", "_loop", "_octets", "_over", "_pause", "_reading", "_server",
        "_timer", "_websocket", "_will", "address", "client", "device", "session", "since", "tls", "token",
        "transport", "waits",
    )  # fmt: skip

    def __init__(self, server: ConnectionOwner, websocket: OctetLayer | None) -> None:
        self.session = ProtocolSession(server.limits, server.sessions.overruns)
        self.device = ""
        self.client: ClientSession | None = None
        self.token = ""
        self.address = ""
        self.tls = False
        self.since = 0  # wall microseconds
        self.transport: asyncio.Transport | None = None  # until the handshake of TLS is over
        self.waits: Callable[[], object] | None = None  # ends the wait of a message that could not be taken yet
        self._server = server
        self._websocket = websocket
        self._loop = asyncio.get_running_loop()
        self._will: WillMessage | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._pause: asyncio.TimerHandle | None = None  # of the rate
        self._heard = self._loop.time()
        self._budget = TokenBucket(server.rate, max(1.0, 2 * server.rate), self._heard)
        self._octets = 0
        self._held = 0
        self._reading = True
        self._over = False
        self._timer = self._loop.call_later(server.connect_timeout, self._too_late)  # later of the keepalive

    # --- the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport = cast(asyncio.Transport, transport)  # uvloop's are none by their class
        transport.set_write_buffer_limits(high=WRITE_BUFFER)
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else ""
        self.tls = transport.get_extra_info("ssl_object") is not None
        if self._over:
            transport.abort()

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._server.buffer  # shared: what is read is copied before anything else is

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(memoryview(self._server.buffer)[:nbytes]))

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        self._heard = self._loop.time()
        if not self.session.accepted:
            self._octets += len(data)
            if self._octets > BEFORE_CONNECT:
                self._end("malformed", "too much data before CONNECT")
                return
        if self._websocket is not None:
            try:
                data = self._websocket.feed(data)
            except StreamOver as error:
                self._flush()
                self._end("connection lost", str(error))
                return
        self.session.feed(data)
        self._work()
        if self._websocket is not None and self._websocket.over:
            self._flush()
            self._end("connection lost", self._websocket.over)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._end("connection lost", "the connection was lost")

    def pause_writing(self) -> None:
        self._end("not reading", "the device does not read what it is sent")
        if self.transport is not None:
            self.transport.abort()

    def _flush(self) -> None:
        if self.transport is None:
            return
        out = self.session.output()
        if self._websocket is not None:
            if out:
                self._websocket.wrap(out)
            out = self._websocket.output()
        if out:
            self.transport.write(out)

    # --- packets

    def _work(self) -> None:
        take = self.session.next
        while (intent := take()) is not None:
            if isinstance(intent, PublishPacket):
                self._on_publish(intent)
            else:
                self._on_other(intent)
            if self._over:
                return
        self._flush()
        self._balance()

    def _on_other(self, intent: ClientIntent) -> None:
        match intent:
            case AckPacket():
                self._on_ack(intent)
            case RepeatedMessage():
                assert self.client is not None
                self.session.receive(intent, self.client.ticket)
                self._settle_now(self.client.ticket)
            case ConnectPacket():
                self._on_connect(intent)
            case SubscribePacket():
                self._on_subscribe(intent)
            case UnsubscribePacket():
                self._on_unsubscribe(intent)
            case SignalPacket():
                self._on_signal(intent)
            case ConnectionEnd():
                self._server.count_malformed(self, intent.message)
                self._flush()
                self._end(intent.key, intent.message)

    def _balance(self) -> None:
        """Octets that wait are counted, and no more are read while nothing is taken."""
        if self._over:
            return
        held = self.session.held + (0 if self._websocket is None else self._websocket.held)
        if held != self._held:
            self._server.held += held - self._held
            self._held = held
            if self._server.too_much_held(held):
                self.hang_up(QUOTA, "quota", "too many unprocessed octets")
                return
        wanted = not self.session.blocked
        if wanted is not self._reading and self.transport is not None:
            self._reading = wanted
            (self.transport.resume_reading if wanted else self.transport.pause_reading)()

    def go_on(self) -> None:
        """What kept it from being read may be over."""
        if not self._over and not self.session.blocked:
            self._heard = self._loop.time()
            try:
                self._work()
            except Exception:  # whoever called goes on with the other connections
                log.exception("a connection failed")
                self._end("failed", "the gateway failed on one of its messages")

    def settle(self, durable: int) -> bool:
        """See WaitsForDisk."""
        left = self.session.settle(durable)
        if not self._over:
            self._flush()
            if not self._reading:
                self.go_on()
        return left

    def _on_connect(self, packet: ConnectPacket) -> None:
        server, session, five = self._server, self.session, packet.level == MQTT_5
        certificate = self.transport.get_extra_info("peercert") if self.tls and self.transport is not None else None
        verdict = server.authenticator.judge(self.address, packet.username, packet.password, certificate)
        if isinstance(verdict, RefusedClient):
            server.count_refused_client(self, packet, verdict)
            self._refuse(verdict.code(packet.level), "refused", verdict.why)
            return
        if len(packet.client_id) > LONGEST_ID or (not packet.client_id and not five and not packet.clean):
            code = CLIENT_ID_REFUSED if five else CLIENT_ID_REFUSED_3
            self._refuse(code, "refused", "its client id cannot be used")  # [3.1.3-8]
            return
        told: dict[str, Any] = {}
        client_id = packet.client_id or server.assigned_id()
        if five and not packet.client_id:
            told["assigned_client_id"] = client_id
        asked = packet.properties.get("session_expiry", 0) if five else 0 if packet.clean else server.session_expiry
        expiry = min(asked, server.session_expiry)
        if expiry != asked:
            told["session_expiry"] = expiry
        self.device, self.token = verdict.device, verdict.token
        self.since = server.clock.now().wall
        self._will = packet.will
        admitted = server.admit(self, client_id, packet.clean, expiry)
        if admitted is None:
            self._refuse(QUOTA if five else SERVER_UNAVAILABLE_3, "refused", "the device has too many connections")
            return
        self.client, present = admitted
        session.accept(packet, self.client.received, present, told)
        self._timer.cancel()
        self._timer = self._loop.call_later(1.5 * session.keepalive, self._check_keepalive)
        if verdict.expires is not None:
            self._check_expiry(verdict.expires)
        self._flush()
        server.connected(self)
        self.send_waiting()

    def _refuse(self, code: int, key: str, message: str) -> None:
        self.session.refuse(code)
        self._flush()
        self._end(key, message)

    def _on_publish(self, packet: PublishPacket) -> None:
        server = self._server
        wait = self._budget.take(self._heard) if server.rate else 0.0
        if wait:
            if wait >= LONG_PAUSE and packet.qos and self.session.version == MQTT_5:
                server.intake.refuse(self.device, packet.topic, "rate")
                self.acknowledge(packet, 0, QUOTA, "rate")
                return
            self._budget.spend()
            self._pause_for(wait)
        server.take_message(self, packet)

    def acknowledge(self, packet: PublishPacket, ticket: int, code: int, reason: str) -> None:
        self.session.acknowledge(packet, ticket, code, reason)
        self._settle_now(ticket)

    def _settle_now(self, ticket: int) -> None:
        """Send what is due; what is not waits for its commit, and so does all that stands in line before it."""
        committed = self._server.commits.committed
        if ticket > committed or self.session.settle(committed):
            self._server.acknowledger.wait(self, ticket)

    def _pause_for(self, seconds: float) -> None:
        if seconds > 0:
            self.session.paused = True
            self._pause = self._loop.call_later(seconds, self.unpause)

    def unpause(self) -> None:
        """Unless something else holds it back."""
        self._pause = None
        self.session.paused = self.waits is not None or self._server.holding.holds_back(self.device)
        self.go_on()

    def end_wait(self) -> None:
        end, self.waits = self.waits, None
        if end is not None:
            end()

    def hold_back(self) -> None:
        """What this device says cannot be taken now."""
        self.session.paused = True
        self._balance()

    def _on_ack(self, packet: AckPacket) -> None:
        client = self.client
        assert client is not None
        if packet.kind == PUBREL:
            if not packet.code:
                self._server.sessions.keep(client)
            self.session.complete(packet.packet_id, client.ticket, packet.code)
            self._settle_now(client.ticket)
            return
        message = client.flight.pop(packet.packet_id, None)
        if message is None:
            return
        if packet.code >= 0x80:
            message.give_up(f"the device refused it (0x{packet.code:02x})")
        elif not message.done.done():
            message.done.set_result(True)
        self.send_waiting()

    def _on_subscribe(self, packet: SubscribePacket) -> None:
        client, server = self.client, self._server
        assert client is not None
        codes, retained = [], []
        for topic, options in packet.filters:
            code = server.judge_filter(self.device, topic, options & 3)
            codes.append(code)
            if code < 0x80:
                handling = options >> 4 & 3
                if handling == 0 or (handling == 1 and topic not in client.subscriptions):
                    retained += server.retained_for(self.device, topic)
                client.subscriptions[topic] = code
            else:
                client.subscriptions.pop(topic, None)
        server.sessions.keep(client)
        self.session.subscribed(packet, SUBACK, codes)
        for topic, payload in retained:
            self.session.write(PublishPacket(topic, payload, 0, 0, True))
        self.send_waiting()

    def _on_unsubscribe(self, packet: UnsubscribePacket) -> None:
        client = self.client
        assert client is not None
        codes = [
            0 if client.subscriptions.pop(topic, None) is not None else NO_SUBSCRIPTION for topic in packet.filters
        ]
        self._server.sessions.keep(client)
        self.session.subscribed(packet, UNSUBACK, codes)

    def _on_signal(self, packet: SignalPacket) -> None:
        if packet.kind != DISCONNECT:
            return
        if packet.code != WILL_ANYWAY:
            self._will = None  # [3.14.4-3]
        assert self.client is not None
        if "session_expiry" in packet.properties:
            self.client.expiry = min(packet.properties["session_expiry"], self._server.session_expiry)
        self._end("disconnected", "the device disconnected")

    # --- messages for the device

    def send_waiting(self) -> None:
        """What its session holds for it, within the client's receive maximum."""
        client, now = self.client, self._loop.time()
        if client is None or self._over:
            return
        while client.waiting and len(client.flight) < self.session.receive_maximum:
            message = client.waiting.pop(0)
            if message.done.done():
                continue
            if now >= message.expires:
                message.give_up("it has expired")
            else:
                self._send(client, message, now)
        self._flush()

    def _send(self, client: ClientSession, message: OutgoingMessage, now: float) -> None:
        qos = self._server.granted(client, message.topic)
        ident = client.next_id() if qos else 0
        packet = PublishPacket(message.topic, message.payload, qos, ident, False, message.sent and bool(qos))
        if self.session.version == MQTT_5:
            packet.properties = {"message_expiry": max(1, round(message.expires - now))}
        if not self.session.write(packet):
            message.give_up("it is larger than the device takes")
            return
        message.sent = True
        self._server.watch.expect()
        if qos:
            client.flight[ident] = message
        else:
            message.done.set_result(False)

    # --- the end

    def hang_up(self, code: int, key: str, message: str, will: bool = True) -> None:
        """The server ends it, for a reason that 5 is told."""
        if self._over:
            return
        if not will:
            self._will = None
        self.session.hang_up(code)
        self._flush()
        self._end(key, message)

    def _end(self, key: str, message: str) -> None:
        """Once: whatever ended it."""
        if self._over:
            return
        self._over = self.session.ended = True
        for timer in (self._timer, self._expiry, self._pause):
            if timer is not None:
                timer.cancel()
        self.end_wait()
        self._server.held -= self._held
        self._held = 0
        if self._websocket is not None:
            self._websocket.close()
            self._flush()
        transport = self.transport
        if transport is not None and not transport.is_closing():
            with suppress(RuntimeError):
                transport.resume_reading()  # or the end of the peer is not seen
            transport.close()
            self._loop.call_later(FAREWELL, transport.abort)
        self._server.ended(self, self._will, key, message)

    def _too_late(self) -> None:
        self._server.count_malformed(self, "no CONNECT in time")
        self._end("timeout", "no CONNECT in time")

    def _check_keepalive(self) -> None:
        """[3.1.2-24] A device that is kept waiting cannot be heard."""
        limit, now = 1.5 * self.session.keepalive, self._loop.time()
        if not self._reading:
            self._heard = now
        left = self._heard + limit - now
        if left > 0:
            self._timer = self._loop.call_later(left, self._check_keepalive)
            return
        self.hang_up(0x8D, "keepalive", "nothing came within its keepalive")

    def _check_expiry(self, expires: int) -> None:
        left = (expires - self._server.clock.now().wall) / US
        if left > 0:
            self._expiry = self._loop.call_later(min(left + 0.05, RECHECK), self._check_expiry, expires)
            return
        self.hang_up(NOT_AUTHORIZED, "token expired", "its token has expired")

    def as_dict(self) -> dict[str, Any]:
        version, now = self.session.version, self._server.clock.now().wall
        return {
            "device": self.device,
            "client_id": "" if self.client is None else self.client.client_id,
            "address": self.address,
            "protocol": "3.1.1" if version == MQTT_3 else "5",
            "tls": self.tls,
            "since": self.since,
            "last": now - round((self._loop.time() - self._heard) * US),
            "unacknowledged": self.session.unacknowledged,
        }
