"""A format's writer of a series says the same as its `reading`, on every row of the log."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gatepost.agent.core.clock import SystemClock
from gatepost.agent.settings.model import RouteRule
from gatepost.agent.store.model import EVENT, IN_STEP, URGENT, Record, Series
from gatepost.agent.uplink.formats.interface import FormatContext
from gatepost.agent.uplink.formats.scalar import ScalarFormat, ScalarOptions
from gatepost.agent.uplink.message_renderer import MessageRenderer
from gatepost.agent.uplink.mqtt.codec import encode_properties
from gatepost.agent.uplink.routing import BrokerRoutes
from gatepost.agent.uplink.topics import BrokerTopics
from gatepost.agent.uplink.wire_message import RoutedRecord

WALL = 1_795_170_600_123_456
UNITS = {"spo2": "%", "heart_rate": "/min"}
VALUES = {"spo2": 97, "heart_rate": 61.5, "position": "left", "axes": [1, 2.5]}


class Limits:
    """Of the broker."""

    maximum_packet_size = None

    def __init__(self, version: int) -> None:
        self.version = version


def properties(kind: str | None = None, pairs: Any = (), message_expiry: int | None = None) -> bytes:
    return encode_properties(kind, pairs, message_expiry=message_expiry)


def renderer(payload: str = "json", version: int = 5, retain: bool = False) -> MessageRenderer:
    topics = BrokerTopics(dict(ScalarFormat.default_topics), "ward-7", None)
    options = ScalarOptions(payload=payload, retain=retain)  # type: ignore[arg-type]
    one = ScalarFormat(FormatContext("ward-7", "1", 1, options, topics, {}))
    routes = BrokerRoutes("b", [], {})
    made = MessageRenderer(one, None, routes, lambda seq: f"ward-7:6f2c9a1b:{seq}", SystemClock(), 1, None)
    made.start(Limits(version), properties)  # type: ignore[arg-type]
    return made


def row(
    body: dict[str, Any], common: dict[str, Any] | None = None, patient: str | None = "P-1", bits: int = IN_STEP
) -> tuple[Record, Series]:
    members = {"metric_type": "pulse_oximetry", "units": UNITS, "quality": "good", "flags": []} | (common or {})
    return Record(1042, 1, WALL, 5, bits, orjson.dumps(body)), Series(1, 1, "ox", patient, orjson.dumps(members))


ROWS = {
    "values": row(VALUES),
    "no patient": row(VALUES, patient=None),
    "urgent": row(VALUES, bits=IN_STEP | URGENT),
    "flags": row(VALUES, {"flags": ["spo2:no-finger", "from-memory", "spo2_:x"], "quality": "uncertain"}),
    "the device's own time": row(VALUES | {"device_timestamp": "2026-11-20T10:29:58"}),
    "what repeats is with the values": row({"units": {"spo2": "1"}, "flags": ["spo2:weak"], "spo2": 97}),
    "a value beside what repeats": row({"spo2": 97}, {"heart_rate": 60}),
    "a waveform": row({"samples": [1, 2, 3], "rate_hz": 500, "scale": 1, "offset": 0, "unit": "mV"}),
    "nothing": row({}),
}
RULES = [None, RouteRule(topic="lab/{room}/{device}/{metric}/{value}", qos=0), RouteRule(retain=True, qos=2)]


@pytest.mark.parametrize("rule", RULES, ids=["no rule", "topic", "retain"])
@pytest.mark.parametrize("payload", ["json", "bare"])
@pytest.mark.parametrize("name", ROWS)
def test_the_same_messages_as_reading_gives(name: str, payload: str, rule: RouteRule | None) -> None:
    record, series = ROWS[name]
    for version in (5, 4):
        one = renderer(payload, version, retain=True)
        for clock, replayed in (("synchronised", False), ("rectified", True), ("synchronised", False)):
            routed = RoutedRecord(record, series, WALL, clock, replayed, rule)
            expected = [one.wire(message) for message in one.outgoing([routed])]
            assert one.render([routed]) == expected


def test_values_are_written_without_an_object_for_each_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    one = renderer()
    monkeypatch.setattr(one, "outgoing", lambda some: pytest.fail("the slow way"))
    record, series = ROWS["the device's own time"]
    messages = one.render([RoutedRecord(record, series, WALL, "synchronised", False, None)])
    assert [message.topic.decode().rpartition("/")[2] for message in messages] == list(VALUES)
    first = orjson.loads(messages[0].payload)
    assert first["metadata"] == {
        "id": "ward-7:6f2c9a1b:1042",
        "gateway_id": "ward-7",
        "patient_id": "P-1",
        "device_timestamp": "2026-11-20T10:29:58",
        "clock": "synchronised",
        "urgent": False,
        "replayed": False,
        "quality": "good",
    }


def test_an_event_is_no_reading() -> None:
    one = renderer()
    record, series = row({"event": "gap", "count": 3}, bits=IN_STEP | EVENT)
    (message,) = one.render([RoutedRecord(record, series, WALL, "synchronised", False, None)])
    assert message.topic == b"gateways/ward-7/events"
