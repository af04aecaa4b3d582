"""Message renderer: a stored record as a message that this broker is given, or why it is not."""

from __future__ import annotations

from typing import Any

import orjson

from gatepost.agent.store import Record
from gatepost.agent.store.model import EVENT, Series
from gatepost.agent.uplink.formats import PayloadFormat
from gatepost.agent.uplink.mqtt.codec import check_topic, packet_size
from gatepost.agent.uplink.mqtt.publisher import MqttPublisher
from gatepost.agent.uplink.mqtt.reason_codes import PACKET_TOO_LARGE, TOPIC_INVALID
from gatepost.agent.uplink.routing import BrokerRoutes

MAX_TOPICS = 5000  # known to be valid
MAX_SERIES = 20_000  # whose route is remembered

OutgoingMessage = tuple[bytes, bytes, int, bytes]  # topic, payload, QoS, properties


class UnsendableMessage(Exception):
    """Record that can never be sent to this broker: `code` as the broker would say it, None where it would not."""

    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class MessageRenderer:
    """Renderer of one connection: routes, payload format, and the broker's limits."""

    def __init__(self, payload_format: PayloadFormat, routes: BrokerRoutes, qos: int) -> None:
        self._format = payload_format
        self._routes = routes
        self._qos = qos
        self._version = 5
        self._maximum_packet_size: int | None = None
        self._routed: dict[int, bool] = {}  # by series
        self._valid_topics: set[bytes] = set()

    def start(self, publisher: MqttPublisher) -> None:
        self._version = publisher.version
        self._maximum_packet_size = publisher.maximum_packet_size

    def reroute(self, routes: BrokerRoutes) -> None:
        self._routes = routes
        self._routed.clear()

    def render(self, record: Record, series: Series, wall: int, clock: str, replayed: bool) -> OutgoingMessage | None:
        """None for what is not routed to this broker. Raises UnsendableMessage."""
        try:
            routed = self._routed.get(record.series)
            if routed is None:
                routed = self._route(record, series)
            if not routed:
                return None
            topic, payload, properties = self._format.render(record, series, wall, clock, replayed)
        except Exception as error:  # a damaged row must not hold up the others
            reason = f"it cannot be written as a message: {type(error).__name__}: {error}"
            raise UnsendableMessage(None, reason) from error
        qos = 1 if record.bits & EVENT else self._qos
        limit = self._maximum_packet_size
        if limit is not None:
            size = packet_size(topic, payload, properties, qos, self._version)
            if size > limit:
                reason = f"packet too large: {size} octets, the broker takes {limit}"
                raise UnsendableMessage(PACKET_TOO_LARGE, reason)
        if topic not in self._valid_topics:
            problem = check_topic(topic)
            if problem:
                raise UnsendableMessage(TOPIC_INVALID, f"topic not valid: {problem}")
            if len(self._valid_topics) < MAX_TOPICS:
                self._valid_topics.add(topic)
        return topic, payload, qos, properties

    def _route(self, record: Record, series: Series) -> bool:
        if len(self._routed) >= MAX_SERIES:
            self._routed.clear()
        common: dict[str, Any] = orjson.loads(series.common)
        routed = bool(record.bits & EVENT) or self._routes.wants(series.device, str(common.get("metric_type", "")))
        self._routed[record.series] = routed
        return routed
