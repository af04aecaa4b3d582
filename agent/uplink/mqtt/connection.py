"""MQTT connection, from CONNECT to its end, over gmqtt.

What is not acknowledged when a connection ends is the caller's to send again on the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from gmqtt.mqtt.connection import MQTTConnection
from gmqtt.mqtt.constants import MQTTCommands

from gatepost.agent.core.errors import ConnectFailed, NotConnected
from gatepost.agent.uplink.mqtt.ack_gathering import AckGathering
from gatepost.agent.uplink.mqtt.codec import check_filter, check_topic, encode_properties, packet_size, parse_publish
from gatepost.agent.uplink.mqtt.connect_options import ConnectOptions, LastWill
from gatepost.agent.uplink.mqtt.endpoint import BrokerEndpoint
from gatepost.agent.uplink.mqtt.error_text import describe_end, explain_failure, unanswered
from gatepost.agent.uplink.mqtt.gmqtt_client import first_values, make_client
from gatepost.agent.uplink.mqtt.inbox import LONGEST_SHOWN, InboundMessage, MessageInbox
from gatepost.agent.uplink.mqtt.keepalive import KeepaliveTimer
from gatepost.agent.uplink.mqtt.publisher import FIRST_ID, LAST_ID, MAX_IN_FLIGHT, MqttPublisher, OnAck, ignore_acks
from gatepost.agent.uplink.mqtt.reason_codes import (
    MALFORMED,
    PACKET_TOO_LARGE,
    PROTOCOL_ERROR,
    ConnectionLost,
    connect_refused,
)
from gatepost.agent.uplink.mqtt.subscriber import MqttSubscriber
from gatepost.agent.uplink.mqtt.transport import MqttStream, open_transport
from gatepost.agent.uplink.mqtt.version_fallback import ProtocolChoice

__all__ = [
    "BrokerEndpoint",
    "ConnectFailed",
    "ConnectOptions",
    "ConnectionLost",
    "InboundMessage",
    "LastWill",
    "MqttConnection",
    "ProtocolChoice",
    "check_filter",
    "check_topic",
    "packet_size",
]

log = logging.getLogger(__name__)


class MqttConnection:
    """Connection made for one attempt, on a running loop: `open` once, publish by `publisher` until `on_lost`; `close`
    always ends it.

    `on_ack` gets (tag, reason code) in wire order, all of one received chunk at once; QoS 0 counts as acknowledged
    (0x00) when the kernel has taken it. `on_message` returns the reason code of PUBACK / PUBREC: 0, or >= 0x80 to
    refuse. `on_lost` is called once if an opened connection ends otherwise than by `close` or `abort`. `on_ack` and
    `on_lost` do not raise.
    """

    def __init__(
        self,
        endpoint: BrokerEndpoint,
        options: ConnectOptions,
        *,
        on_message: Callable[[InboundMessage], Awaitable[int]],
        on_lost: Callable[[ConnectionLost], None],
        on_ack: OnAck = ignore_acks,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.endpoint = endpoint
        self.options = options
        self.version = 5 if options.protocol == "5" else 4
        self.keepalive = options.keepalive
        self.session_present = False
        self.server: dict[str, Any] = {}  # CONNACK properties by gmqtt's names
        self._on_lost = on_lost
        self._monotonic = monotonic
        self._stream = MqttStream(options.inbound_size, monotonic)
        self.publisher = MqttPublisher(self._stream, self.version, on_ack, monotonic, str(endpoint))
        self.inbox = MessageInbox(
            on_message,
            self._answer,
            options.seen,
            pause=self._stream.pause if options.inbound_only else None,
            at_once=options.inbound_at_once,
            time_limit=options.inbound_time_limit,
        )
        self._handler: Any = None  # gmqtt's MqttPackageHandler
        self._mqtt: Any = None  # gmqtt's MQTTConnection
        self._keepalive: KeepaliveTimer | None = None
        self._connack: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ended = asyncio.Event()
        self._opened = False
        self._given_up = False  # by close or abort: no on_lost
        self._lost: ConnectionLost | None = None
        self._subscriber = MqttSubscriber(str(endpoint))
        self.subscribe = self._subscriber.subscribe
        self.unsubscribe = self._subscriber.unsubscribe

    # -- opening -------------------------------------------------------------------------------------------------------

    async def open(self, timeout: float) -> None:
        """Connect and await CONNACK within `timeout` seconds. Raises ConnectFailed; nothing is left open then."""
        try:
            async with asyncio.timeout(timeout):
                await self._open()
        except TimeoutError:
            failure = unanswered(self.endpoint, timeout, connected=self._mqtt is not None)
        except ConnectFailed as problem:
            failure = problem
        except (OSError, ValueError) as problem:
            failure = explain_failure(problem, self.endpoint)
        except BaseException:
            self.abort()
            raise
        else:
            return
        self.abort()
        await self._until_ended(1.0)
        raise failure from None

    async def _open(self) -> None:
        options = self.options
        if self.endpoint.secure and options.context is None:
            raise ConnectFailed("settings", f"{self.endpoint.scheme} needs a TLS context", retry="later")
        client = make_client(
            options,
            {
                MQTTCommands.CONNACK: self._on_connack,
                MQTTCommands.PUBLISH: self._on_publish,
                MQTTCommands.PUBREL: self._on_pubrel,
                MQTTCommands.DISCONNECT: self._on_disconnect,
                MQTTCommands.PINGRESP: self._on_pingresp,
            },
        )
        handler = self._handler = client._package_handler
        handler.on_subscribe = handler.on_unsubscribe = self._subscriber.answered
        self._stream.wire(self, self.publisher, client._connection_state, handler.id_generator)
        transport = await open_transport(self.endpoint, self._stream, options)
        self._mqtt = MQTTConnection(
            transport, self._stream, options.clean_start, options.keepalive, package_handler=handler
        )
        self._stop_gmqtt_timer()
        await self._mqtt.auth(
            options.client_id.encode(),
            client._username,
            client._password,
            will_message=client._will_message,
            **client._connect_properties,
        )
        await self._connack

    def _on_connack(self, command: int, body: bytes) -> None:
        if self._connack.done():
            self.broken(PROTOCOL_ERROR, "a second CONNACK")
            return
        handler = self._handler
        if body[1]:
            properties = handler._parse_properties(body[2:])[0] if len(body) > 2 else None
            failure = connect_refused(body[1], *_reason_texts(properties))
            self._connack.set_exception(failure)
            return
        handler._handle_connack_packet(command, body)
        self._stop_gmqtt_timer()  # the server's keep alive has started it again
        if handler.has_error:
            raise ValueError("malformed properties")
        handler.id_generator._max = FIRST_ID  # gmqtt has set it to the receive maximum
        self._learn(bool(body[0] & 1), first_values(handler._connack_properties))
        later = asyncio.get_running_loop().call_later
        self._keepalive = KeepaliveTimer(
            self.keepalive, self._stream, self._ping, self._on_ping_unanswered, self._monotonic, later
        )
        self._subscriber.mqtt = self._mqtt
        self._opened = self.publisher.is_open = True
        self.publisher.last_ack_at = self._monotonic()
        self._connack.set_result(None)

    def _learn(self, session_present: bool, server: dict[str, Any]) -> None:
        self.server = server
        self.session_present = session_present
        if not session_present:
            self.options.seen.clear()
        self.publisher.maximum_packet_size = server.get("maximum_packet_size")
        self.keepalive = server.get("server_keep_alive", self.options.keepalive)
        self.publisher.receive_maximum = min(server.get("receive_maximum", LAST_ID) or 1, MAX_IN_FLIGHT)
        self.publisher.maximum_qos = server.get("max_qos", 2)
        self.publisher.retain_available = bool(server.get("retain_available", 1))

    def _stop_gmqtt_timer(self) -> None:
        """Its timer looks every half interval and finds a dead peer after two; KeepaliveTimer does both better."""
        if self._mqtt is not None:
            self._mqtt._keep_connection_callback.cancel()

    # -- state ---------------------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        return self.publisher.is_open

    @property
    def gathering(self) -> AckGathering | None:
        """By which acknowledgements may be left in the kernel; None where they cannot."""
        return self._stream.gathering

    def properties(
        self,
        content_type: str | None = None,
        user_properties: Iterable[tuple[str, str]] = (),
        *,
        response_topic: str | None = None,
        correlation_data: bytes | None = None,
        message_expiry: int | None = None,
    ) -> bytes:
        """For `publish`, to be made once and reused; b"" with 3.1.1. ValueError for what does not fit."""
        if self.version != 5:
            return b""
        return encode_properties(
            content_type,
            user_properties,
            response_topic=response_topic,
            correlation_data=correlation_data,
            message_expiry=message_expiry,
        )

    def check(self, limit: float, now: float | None = None) -> bool:
        """True when messages are in flight and none was acknowledged for `limit` seconds: it is being lost then."""
        if not self.is_open or not self.publisher.stalled(limit, self._monotonic() if now is None else now):
            return False
        count = len(self.publisher.flight)
        message = f"the broker acknowledged nothing for {limit:g} s while {count} messages were in flight"
        self._lose(ConnectionLost(None, message, "the link is half-open or the broker is stuck", silent=True))
        return True

    # -- ending --------------------------------------------------------------------------------------------------------

    async def close(self, timeout: float, reason: int = 0) -> None:
        """DISCONNECT and be gone within `timeout` seconds, whatever the peer does. Also after a loss: ends what runs.

        Messages being handled get half of the time to finish. Never raises (but for cancellation).
        """
        self._given_up = True
        try:
            await self.inbox.drain(timeout / 2)
            if self.is_open:
                self._mqtt.send_disconnect(reason_code=reason)
                self.publisher.flush()
                self.publisher.stop()
                self._stream.shut()
                await self._until_ended(timeout / 2)
        finally:
            self.abort()
            await self.inbox.stop()
        await self._until_ended(1.0)

    def abort(self) -> None:
        """End it now, without DISCONNECT (the broker publishes the will)."""
        self._given_up = True
        self._stop()

    def _stop(self) -> None:
        self.publisher.stop()
        self._subscriber.mqtt = None
        if self._keepalive is not None:
            self._keepalive.stop()
        self._stop_gmqtt_timer()
        self._stream.abort()

    async def _until_ended(self, timeout: float) -> None:
        if self._mqtt is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._ended.wait()

    def _lose(self, lost: ConnectionLost) -> None:
        if self._lost is None:
            self._lost = lost
        self._stop()

    def _on_ping_unanswered(self) -> None:
        hint = "the link is half-open or the broker is stuck"
        self._lose(ConnectionLost(None, "the broker did not answer a ping", hint, silent=True))

    # -- what the stream tells (transport.Owner) -----------------------------------------------------------------------

    def received(self, command: int, body: bytes) -> None:
        try:
            self._handler._handle_packet(command, body)
        except Exception as problem:  # whatever a malformed packet makes of the parser
            self.broken(MALFORMED, f"a malformed packet of type {command >> 4} ({type(problem).__name__})")

    def oversized(self, command: int, head: bytes) -> None:
        message, mid = parse_publish(command, head)
        log.warning("a message on %s was too large and was not taken", message.topic[:LONGEST_SHOWN])
        if message.qos:
            self._answer(message.qos, mid, PACKET_TOO_LARGE)

    def broken(self, code: int, message: str) -> None:
        if not self._connack.done():
            self._connack.set_exception(
                ConnectFailed("malformed", f"the broker sent {message}", "check the port in url", "later")
            )
        self._lose(ConnectionLost(code, f"the broker sent {message}", "the broker violates MQTT", retry="later"))

    def ended(self, problem: Exception | None) -> None:
        self._stop()
        self._ended.set()
        lost = self._lost or describe_end(problem)
        if not self._connack.done():
            self._connack.set_exception(explain_failure(problem, self.endpoint, before_connack=True))
        if not self._connack.cancelled():
            self._connack.exception()  # nobody may be waiting any more
        self._subscriber.stop(NotConnected(lost.message, lost.hint))
        if self._opened and not self._given_up:
            self._given_up = True
            self._on_lost(lost)

    # -- packets from the broker (hooks of gmqtt's handler) ------------------------------------------------------------

    def _on_publish(self, command: int, body: bytes) -> None:
        message, mid = parse_publish(command, body, self._handler._parse_properties)
        self.inbox.take(message, mid)

    def _on_pubrel(self, command: int, body: bytes) -> None:
        mid = body[0] << 8 | body[1]
        known = self.inbox.release(mid)
        self._mqtt.send_command_with_mid(MQTTCommands.PUBCOMP, mid, False, reason_code=0 if known else 0x92)

    def _ping(self) -> None:
        self.publisher.pinged()
        self._mqtt._send_ping_request()

    def _on_pingresp(self, command: int, body: bytes) -> None:
        self.publisher.ping_answered()

    def _on_disconnect(self, command: int, body: bytes) -> None:
        code = body[0] if body else 0
        properties = self._handler._parse_properties(body[1:])[0] if len(body) > 1 else None
        self._lose(ConnectionLost.disconnected(code, *_reason_texts(properties)))

    def _answer(self, qos: int, mid: int, code: int) -> None:
        if self.is_open:
            kind = MQTTCommands.PUBACK if qos == 1 else MQTTCommands.PUBREC
            self._mqtt.send_command_with_mid(kind, mid, False, reason_code=code)


def _reason_texts(properties: dict[str, list[Any]] | None) -> tuple[str, str]:
    """Reason string and server reference, as the broker sent them."""
    texts = first_values(properties)
    return texts.get("reason_string", ""), texts.get("server_reference", "")
