"""Message renderer: stored records as the messages that this broker is given, or why they are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from gatepost.agent.core.clock import Clock, rfc3339
from gatepost.agent.core.views import PAYLOAD_MEMBERS
from gatepost.agent.settings.model import RouteRule
from gatepost.agent.store import Record
from gatepost.agent.store.model import EVENT, URGENT, Series
from gatepost.agent.uplink.batches import BatchEncoder
from gatepost.agent.uplink.devices_format import DevicesFormat
from gatepost.agent.uplink.formats.interface import OutgoingMessage, PayloadFormat, SeriesWriter
from gatepost.agent.uplink.formats.stored_reading import SCHEMA, StoredReading
from gatepost.agent.uplink.mqtt.codec import check_topic, packet_size
from gatepost.agent.uplink.mqtt.publisher import MqttPublisher
from gatepost.agent.uplink.mqtt.reason_codes import PACKET_TOO_LARGE, TOPIC_INVALID
from gatepost.agent.uplink.routing import EVERYTHING, BrokerRoutes, SeriesRoute
from gatepost.agent.uplink.wire_message import RoutedRecord, WireMessage
from gatepost.drivers.reading import UNREAL

MAX_TOPICS = 5000  # known to be valid
MAX_HEADS = 100  # beginnings of property blocks
MAX_SERIES = 20_000  # whose route is remembered
SCHEMAS = (SCHEMA,)


class UnsendableMessage(Exception):
    """Record that can never be sent to this broker: `code` as the broker would say it, None where it would not."""

    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class MessageRenderer:
    """Renderer of one connection: routes, payload format, and the broker's limits. `fast` renders format `devices`;
    None = `payload_format` renders the readings."""

    def __init__(
        self,
        payload_format: PayloadFormat,
        fast: DevicesFormat | None,
        routes: BrokerRoutes,
        reading_id: Callable[[int], str],
        clock: Clock,
        qos: int,
        batches: BatchEncoder | None,
    ) -> None:
        self.batches = batches
        self._format = payload_format
        self.fast = fast
        self._routes = routes
        self._reading_id = reading_id
        self._clock = clock
        self.qos = qos
        self._properties: Callable[..., bytes] = lambda *_, **__: b""
        self._version = 5
        self.maximum_packet_size: int | None = None
        self._routed: dict[int, SeriesRoute] = {}  # by series
        self._members: dict[int, dict[str, Any]] = {}  # of series, decoded
        self._valid_topics: set[bytes] = set()
        self._writers: dict[tuple[int, str | None], SeriesWriter | None] = {}  # by series and topic of the rule
        self._moment = 0  # of the burst that is being rendered
        self._like: tuple[Any, ...] = ()  # what the last property block was made of
        self._last_block = b""
        self._heads: dict[tuple[str, tuple[tuple[str, str], ...], int, int | None], bytes] = {}  # of property blocks

    def start(self, publisher: MqttPublisher, properties: Callable[..., bytes]) -> None:
        self._version = publisher.version
        self.maximum_packet_size = publisher.maximum_packet_size
        self._properties = properties
        self._like = ()

    def reroute(self, routes: BrokerRoutes) -> None:
        self._routes = routes
        self._routed.clear()

    def begin_burst(self) -> None:
        """What is rendered until the next call is published together, at this moment."""
        if self.fast is None:
            self._moment = self.now()

    def route(self, record: Record, series: Series, wall: int, clock: str, replayed: bool) -> RoutedRecord:
        """Judge a record; UnsendableMessage when it is damaged."""
        try:
            route = self._routed.get(record.series)
            if route is None:
                route = self._route(record, series)
            rule = route.rules[0] if route.plain else self._rule(route, record, series)
        except Exception as error:  # a damaged row must not hold up the others
            raise _unwritable(error) from error
        return RoutedRecord(record, series, wall, clock, replayed, rule)

    def is_plain(self, record: Record, series: Series, topic: bytes) -> bool:
        """Whether readings like this one are sent as they are, by no rule, each as a message with QoS 1 or 2.
        Raises what says that they cannot be sent."""
        if self.batches is not None or not self.qos:
            return False
        self._check_topic(topic)
        return (self._routed.get(record.series) or self._route(record, series)).plain

    def joins(self, rule: RouteRule | None) -> bool:
        """Whether readings that this rule sends may share a message. Batches of format `devices` have one topic."""
        own = rule is not None and self.fast is not None and (rule.topic is not None or bool(rule.retain))
        return not own and (rule is None or not rule.every)

    def metric(self, series: Series) -> str:
        return str(self._common(series).get("metric_type", ""))

    def now(self) -> int:
        return self._clock.now().wall

    def render(self, some: Sequence[RoutedRecord]) -> Sequence[WireMessage]:
        """The messages of one record, or of several in a batch; none = done without. Raises UnsendableMessage."""
        messages: list[WireMessage] | None
        try:
            one = some[0]
            rule, record = one.rule or EVERYTHING, one.record
            qos = 1 if record.bits & EVENT else self.qos
            if rule.qos is not None:
                qos = rule.qos
            if self.fast is None:
                messages = self._quickly(one) if len(some) == 1 else None
                if messages is None:
                    messages = [self.wire(message) for message in self.outgoing(some)]
            elif len(some) > 1 and self.batches is not None:
                messages = [self.batches.wire(self.fast, some, qos)]
            else:
                topic, payload, properties = self.fast.render(
                    record, one.series, one.wall, one.clock, one.replayed, rule.topic
                )
                messages = [WireMessage(topic, payload, qos, bool(rule.retain), properties)]
        except Exception as error:
            raise _unwritable(error) from error
        limit, valid = self.maximum_packet_size, self._valid_topics
        for message in messages:
            if limit is not None or message.topic not in valid:
                self._check(message)
        return messages

    def _quickly(self, one: RoutedRecord) -> list[WireMessage] | None:
        """By the format's writer of the series; None where it has none, or cannot."""
        record, rule = one.record, one.rule or EVERYTHING
        key = (record.series, rule.topic)
        writer = self._writers[key] if key in self._writers else self._writer(one, key)
        if writer is None or record.bits & EVENT:
            return None
        identity = self._reading_id(record.seq).encode()
        marks = (one.clock, record.bits & URGENT != 0, one.replayed)
        written = writer.write(orjson.loads(record.body), identity, rfc3339(one.wall).encode(), marks)
        if written is None:
            return None
        qos = self.qos if rule.qos is None else rule.qos
        retain = writer.retain if rule.retain is None else rule.retain
        block = self._block(writer.content_type, SCHEMAS, identity, None) if self._version == 5 else b""
        return [WireMessage(topic, payload, qos, retain, block) for topic, payload in written]

    def _writer(self, one: RoutedRecord, key: tuple[int, str | None]) -> SeriesWriter | None:
        if len(self._writers) >= MAX_SERIES:
            self._writers.clear()
        series, common = one.series, self._common(one.series)
        writer = None
        if PAYLOAD_MEMBERS.issuperset(common):
            writer = self._format.series_writer(series.device, series.patient, common, key[1])
        self._writers[key] = writer
        return writer

    def wire(self, message: OutgoingMessage) -> WireMessage:
        """A message of the format itself, for this connection's version. ValueError for what does not fit."""
        block = b""
        if self._version == 5:
            kind, pairs, expiry = message.content_type, message.user_properties, message.expiry
            like = (kind, pairs, expiry)
            if like != self._like:  # the messages of a reading have the same one
                if pairs and pairs[-1][0] == "id":
                    self._last_block = self._block(kind, pairs[:-1], pairs[-1][1].encode(), expiry)
                else:
                    self._last_block = self._properties(kind or None, pairs, message_expiry=expiry)
                self._like = like
            block = self._last_block
        return WireMessage(message.topic.encode(), message.payload, message.qos, message.retain, block)

    def _block(self, kind: str, pairs: tuple[tuple[str, str], ...], identity: bytes, expiry: int | None) -> bytes:
        """The properties with the user property `id`, the last of them: only that differs between readings."""
        key = (kind, pairs, len(identity), expiry)
        head = self._heads.get(key)
        if head is None:
            if len(self._heads) >= MAX_HEADS:
                self._heads.clear()
            whole = self._properties(kind or None, (*pairs, ("id", identity.decode())), message_expiry=expiry)
            if not whole.endswith(identity):
                return whole
            head = self._heads[key] = whole[: len(whole) - len(identity)]
        return head + identity

    def outgoing(self, some: Sequence[RoutedRecord]) -> Sequence[OutgoingMessage]:
        """What the payload format makes of one record, or of several in a batch, for any connection."""
        now = self._moment or self.now()
        one = some[0]
        if one.record.bits & EVENT:
            return self._format.event(self._reading(one).as_event(), now)
        if len(some) > 1:
            return self._format.batch([self._reading(each) for each in some], now)
        return self._format.reading(self._reading(one), now)

    def _reading(self, one: RoutedRecord) -> StoredReading:
        record, series = one.record, one.series
        members = self._common(series)
        return StoredReading(
            self._reading_id(record.seq),
            self._format.context.gateway,
            series.device,
            series.patient,
            {**members, **orjson.loads(record.body)},
            one.wall,
            one.clock,
            bool(record.bits & URGENT),
            one.replayed,
            record.seq,
            one.rule,
        )

    def _common(self, series: Series) -> dict[str, Any]:
        members = self._members.get(series.number)
        if members is None:
            if len(self._members) >= MAX_SERIES:
                self._members.clear()
            members = self._members[series.number] = orjson.loads(series.common)
        return members

    def _check(self, message: WireMessage) -> None:
        topic, limit = message.topic, self.maximum_packet_size
        if limit is not None:
            size = packet_size(topic, message.payload, message.properties, message.qos, self._version)
            if size > limit:
                reason = f"packet too large: {size} octets, the broker accepts at most {limit}"
                raise UnsendableMessage(PACKET_TOO_LARGE, reason)
        self._check_topic(topic)

    def _check_topic(self, topic: bytes) -> None:
        if topic not in self._valid_topics:
            problem = check_topic(topic)
            if problem:
                raise UnsendableMessage(TOPIC_INVALID, f"topic not valid: {problem}")
            if len(self._valid_topics) < MAX_TOPICS:
                self._valid_topics.add(topic)

    def _route(self, record: Record, series: Series) -> SeriesRoute:
        if len(self._routed) >= MAX_SERIES:
            self._routed.clear()
        common: dict[str, Any] = orjson.loads(series.common)
        if record.bits & EVENT:
            route = SeriesRoute((RouteRule(),))
        elif not self._format.carries_flags and not UNREAL.isdisjoint(common.get("flags") or ()):
            route = SeriesRoute(())  # of no patient, and its messages could not say so
        else:
            route = self._routes.series(series.device, str(common.get("metric_type", "")))
        self._routed[record.series] = route
        return route

    def _rule(self, route: SeriesRoute, record: Record, series: Series) -> RouteRule | None:
        if not route.rules:
            return None
        common = self._common(series)
        urgent = bool(record.bits & URGENT)
        return route.rule(urgent, common.get("quality", "good") == "good")


def _unwritable(error: Exception) -> UnsendableMessage:
    if isinstance(error, UnsendableMessage):
        return error
    return UnsendableMessage(None, f"it cannot be written as a message: {type(error).__name__}: {error}")
