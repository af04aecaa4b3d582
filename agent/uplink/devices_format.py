"""Format `devices`: JSON objects, one a reading (contract, section 3)."""

from __future__ import annotations

import time
from collections.abc import Callable

import orjson

from gatepost.agent.core.views import PAYLOAD_SCHEMA
from gatepost.agent.store.model import EVENT, URGENT, Record, Series
from gatepost.agent.uplink.mqtt.codec import encode_properties
from gatepost.agent.uplink.topics import BrokerTopics

CONTENT_TYPE = "application/json"
MAX_SERIES = 2000  # remembered ready to use
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
        self._blocks: dict[int, bytes] = {}

    def render(
        self, record: Record, series: Series, wall: int, clock: str, replayed: bool, template: str | None = None
    ) -> tuple[bytes, bytes, bytes]:
        """Topic, payload, and properties as an MQTT 5 property block, b"" for 3.1.1.

        `wall` in microseconds; `clock` synchronised, rectified or unsynchronised; `template`: another topic.
        """
        known = self._known.get(series.number)
        if known is None:
            known = self._remember(series)
        topic, middle = known
        if template is not None:
            metric = str(orjson.loads(series.common).get("metric_type", ""))
            topic = self._topics("data", series.device, metric, template=template).encode()
        name = b"%b%d" % (self._prefix(record.seq), record.seq)
        marks = (record.bits & URGENT != 0, replayed, clock)
        tail = self._marks.get(marks)
        if tail is None:
            tail = self._mark(*marks)
        second, micros = divmod(wall, 1_000_000)
        moment = self._seconds.get(second)
        if moment is None:
            moment = self._moment(second)
        body = record.body
        end = b"," + body[1:] if len(body) > 2 else b"}"
        if record.bits & EVENT:
            tail = b""
        payload = b'{"id":"%b%b%b.%06dZ"%b%b' % (name, middle, moment, micros, tail, end)
        return topic, payload, self._block(name) if self._with_properties else b""

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
        self._marks[urgent, replayed, clock] = tail = b"," + text[1:-1]
        return tail

    def _block(self, name: bytes) -> bytes:
        """Content type and the user properties `id` and `schema`; only the id differs between messages."""
        head = self._blocks.get(len(name))
        if head is None:
            whole = encode_properties(CONTENT_TYPE, [("schema", str(PAYLOAD_SCHEMA)), ("id", name.decode())])
            head = self._blocks[len(name)] = whole[: -len(name)]
        return head + name
