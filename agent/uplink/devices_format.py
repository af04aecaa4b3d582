"""Format `devices`: JSON objects, one a reading (contract, section 3); plain ones many at a time."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable
from itertools import islice

import orjson

from gatepost.agent.core.views import PAYLOAD_SCHEMA
from gatepost.agent.store.model import EVENT, IN_STEP, URGENT, Record, Series
from gatepost.agent.store.reading_payload import RecordSource
from gatepost.agent.uplink.mqtt.codec import encode_properties
from gatepost.agent.uplink.mqtt.publisher import PlainMessage
from gatepost.agent.uplink.topics import BrokerTopics

CONTENT_TYPE = "application/json"
IDENTITY = b'{"id":"'
MAX_SERIES = 2000  # remembered ready to use
OVERHEAD = 9  # octets of a PUBLISH beside topic, properties and payload, at most
MAX_SECONDS = 100  # remembered as text: live and backlog come by turns


class DevicesFormat:
    """Payload format `devices`: joins the series, rendered once, with each stored body, without parsing either."""

    def __init__(self, gateway: str, prefix: Callable[[int], bytes], topics: BrokerTopics, version: int) -> None:
        """`prefix` gives what stands before the number of a row in its id."""
        self._prefix = prefix
        self._gateway = orjson.dumps(gateway)
        self._topics = topics
        self._with_properties = version == 5
        self._known: dict[int, tuple[bytes, bytes]] = {}
        self._seconds: dict[int, bytes] = {}
        self._marks: dict[tuple[bool, bool, str], bytes] = {}
        self._heads: dict[int, bytes] = {}

    def render(
        self, record: Record, series: Series, wall: int, clock: str, replayed: bool, template: str | None = None
    ) -> tuple[bytes, bytes, bytes]:
        """Topic, payload, and properties as an MQTT 5 property block, b"" for 3.1.1.

        `wall` in microseconds; `clock` synchronised, rectified or unsynchronised; `template`: another topic.
        """
        topic, middle = self.known(series)
        if template is not None:
            metric = str(orjson.loads(series.common).get("metric_type", ""))
            topic = self._topics("data", series.device, metric, template=template).encode()
        name = b"%b%d" % (self._prefix(record.seq), record.seq)
        body = record.body
        if record.bits & EVENT:
            between = self._time(middle, wall)
        else:
            between = self.between(middle, wall, record.bits & URGENT != 0, replayed, clock)
        if len(body) > 2:
            payload = b"%b%b%b%b" % (IDENTITY, name, between, body[1:])
        else:
            payload = b"%b%b%b}" % (IDENTITY, name, between[:-1])
        return topic, payload, self._head(len(name)) + name if self._with_properties else b""

    def known(self, series: Series) -> tuple[bytes, bytes]:
        """Topic, and what stands between the id and the time."""
        return self._known.get(series.number) or self._remember(series)

    def between(self, middle: bytes, wall: int, urgent: bool, replayed: bool, clock: str) -> bytes:
        """What stands between the id and the members of the body."""
        marks = (urgent, replayed, clock)
        return self._time(middle, wall) + (self._marks.get(marks) or self._mark(*marks))

    def beginnings(self, seq: int) -> tuple[bytes, bytes]:
        """What stands before the number of a row in its payload and its properties."""
        prefix = self._prefix(seq)
        head = self._head(len(prefix) + len(str(seq))) + prefix if self._with_properties else b""
        return IDENTITY + prefix, head

    def _time(self, middle: bytes, wall: int) -> bytes:
        second, micros = divmod(wall, 1_000_000)
        return b'%b%b.%06dZ",' % (middle, self._seconds.get(second) or self._moment(second), micros)

    def _remember(self, series: Series) -> tuple[bytes, bytes]:
        if len(self._known) >= MAX_SERIES:
            self._known.clear()
        common = orjson.loads(series.common)
        middle = b'","schema":%d,"gateway_id":%b' % (PAYLOAD_SCHEMA, self._gateway)
        if "event" in common:
            topic = self._topics("gateway_events")
        else:
            topic = self._topics("data", series.device, str(common.get("metric_type", "")))
            middle += b',"device_id":%b' % orjson.dumps(series.device)
            if series.patient is not None:
                middle += b',"patient_id":%b' % orjson.dumps(series.patient)
        if len(series.common) > 2:
            middle += b"," + series.common[1:-1]
        self._known[series.number] = known = (topic.encode(), middle + b',"timestamp":"')
        return known

    def _moment(self, second: int) -> bytes:
        if len(self._seconds) >= MAX_SECONDS:
            self._seconds.clear()
        text = self._seconds[second] = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        return text

    def _mark(self, urgent: bool, replayed: bool, clock: str) -> bytes:
        text = orjson.dumps({"clock": clock, "urgent": urgent, "replayed": replayed})
        self._marks[urgent, replayed, clock] = tail = text[1:-1] + b","
        return tail

    def _head(self, length: int) -> bytes:
        """Content type and the user properties `schema` and `id`, up to an id of so many octets."""
        head = self._heads.get(length)
        if head is None:
            whole = encode_properties(CONTENT_TYPE, [("schema", str(PAYLOAD_SCHEMA)), ("id", "x" * length)])
            head = self._heads[length] = whole[:-length]
        return head


# What `DevicesFormat.known` gives of a series; nothing where its readings are not plain.
SeriesTopic = tuple[bytes, bytes] | tuple[()]


class PlainReadings:
    """Plain readings of one connection, many at a time: those that the broker is given as they are, by no rule.

    The common case in the fewest steps. What differs in any way is left to the message renderer, one by one.
    `is_plain` says whether readings like this one are plain; it raises where they cannot be sent at all."""

    def __init__(
        self, payloads: DevicesFormat, store: RecordSource, is_plain: Callable[[Record, Series, bytes], bool]
    ) -> None:
        self._payloads = payloads
        self._store = store
        self._is_plain = is_plain
        self._known: dict[int, SeriesTopic] = {}

    def forget(self) -> None:
        """Other rules are in force."""
        self._known.clear()

    def messages(
        self, records: deque[Record], most: int, replayed: bool, limit: int | None = None
    ) -> list[PlainMessage]:
        """Those of the first records, at most so many, up to one that is not plain or whose packet may be beyond the
        limit."""
        payloads, known = self._payloads, self._known
        made: list[PlainMessage] = []
        lowest, highest = records[0].seq, records[min(most, len(records)) - 1].seq
        identity, block = payloads.beginnings(lowest)
        if payloads.beginnings(highest) != (identity, block):  # of two starts, or their numbers are not as long
            return made
        series = bits = wall = mono = -1
        topic = between = b""
        for record in islice(records, most):
            seq, body = record.seq, record.body
            # Those of a chunk have the same moment.
            if record.wall != wall or record.series != series or record.mono != mono or record.bits != bits:
                series, bits, wall, mono = record.series, record.bits, record.wall, record.mono
                found = known.get(series)
                if found is None:
                    found = self._learn(record)
                if not found or bits & EVENT:
                    break
                topic, middle = found
                try:
                    moment, clock = (wall, "synchronised") if bits & IN_STEP else self._store.time_of(record)
                except KeyError:  # forgotten while the record waited
                    break
                between = payloads.between(middle, moment, bits & URGENT != 0, replayed, clock)
            if len(body) <= 2 or not lowest <= seq <= highest:
                break
            payload = b"%b%d%b%b" % (identity, seq, between, body[1:])
            properties = b"%b%d" % (block, seq) if block else block
            if limit is not None and len(topic) + len(properties) + len(payload) + OVERHEAD > limit:
                break
            made.append((topic, payload, properties))
        return made

    def _learn(self, record: Record) -> SeriesTopic | None:
        """None where memory has forgotten the series."""
        try:
            series = self._store.series_of(record.series)
        except KeyError:
            return None
        found: SeriesTopic = ()
        with contextlib.suppress(Exception):  # a damaged one: said of each reading, where it is rendered
            known = self._payloads.known(series)
            found = known if self._is_plain(record, series, known[0]) else ()
        if len(self._known) >= MAX_SERIES:
            self._known.clear()
        self._known[record.series] = found
        return found
