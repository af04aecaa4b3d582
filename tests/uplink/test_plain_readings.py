"""Plain readings are the same messages as one by one; what is not plain is left to the renderer."""

from __future__ import annotations

from collections import deque
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.agent.settings.model import RouteRule
from gatepost.agent.store.delivery.positions import DeliveryPosition
from gatepost.agent.store.model import EVENT, IN_STEP, URGENT, Record, Series
from gatepost.agent.uplink.devices_format import DevicesFormat, PlainReadings
from gatepost.agent.uplink.lanes import Lanes
from gatepost.agent.uplink.message_renderer import MessageRenderer
from gatepost.agent.uplink.mqtt.publisher import FIRST_ID, LAST_ID, MqttPublisher
from gatepost.agent.uplink.routing import BrokerRoutes
from gatepost.agent.uplink.topics import BrokerTopics

WALL = 1_795_170_600_123_456
SECOND_START = 1000


class SomeStore:
    """Series 1 to 3, the third damaged; boot time is shifted by `shift` where the clock is not in step."""

    def __init__(self, shift: int | None = None) -> None:
        self.shift = shift
        common = [b'{"metric_type":"a","units":{"v":"1"}}', b'{"metric_type":"b","quality":"bad"}', b"{no json"]
        self.series = {number: Series(number, 1, f"d{number}", None, common[number - 1]) for number in (1, 2, 3)}

    def series_of(self, number: int) -> Series:
        return self.series[number]

    def time_of(self, record: Record) -> tuple[int, str]:
        if record.bits & IN_STEP:
            return record.wall, "synchronised"
        return (record.wall, "unsynchronised") if self.shift is None else (record.mono + self.shift, "rectified")

    def id_prefix(self, seq: int) -> bytes:
        return b"gw:first:" if seq < SECOND_START else b"gw:second:"


class EveryFlag:
    carries_flags = True


def made(store: SomeStore, version: int, *rules: RouteRule, qos: int = 1) -> tuple[PlainReadings, MessageRenderer]:
    form = DevicesFormat("gw", store.id_prefix, BrokerTopics({}, "gw", None), version)
    routes: Any = BrokerRoutes("b", rules, {})
    anything: Any = EveryFlag()
    renderer = MessageRenderer(anything, form, routes, str, anything, qos, None)
    some: Any = store
    return PlainReadings(form, some, renderer.is_plain), renderer


def one_by_one(store: SomeStore, renderer: MessageRenderer, records: list[Record], replayed: bool) -> list[Any]:
    found = []
    for record in records:
        wall, clock = store.time_of(record)
        one = renderer.route(record, store.series_of(record.series), wall, clock, replayed)
        (message,) = renderer.render((one,))
        found.append((message.topic, message.payload, message.properties))
    return found


RECORDS = st.lists(
    st.builds(
        lambda step, series, wall, mono, bits, members: (step, series, wall, mono, bits, orjson.dumps(members)),
        st.integers(1, 3),
        st.integers(1, 2),
        st.sampled_from([WALL, WALL + 1, WALL + 5_000_000]),
        st.sampled_from([5, 6]),
        st.sampled_from([0, IN_STEP, IN_STEP | URGENT, URGENT]),
        st.dictionaries(st.sampled_from("uvw"), st.integers(0, 9), min_size=1),
    ),
    min_size=1,
    max_size=12,
)


@given(RECORDS, st.sampled_from([1, 5, 92, 990]), st.booleans(), st.sampled_from([4, 5]), st.sampled_from([None, 77]))
def test_they_are_what_the_renderer_makes_of_each(
    rows: list[Any], first: int, replayed: bool, version: int, shift: int | None
) -> None:
    store = SomeStore(shift)
    plain, renderer = made(store, version)
    records, seq = [], first
    for step, *columns in rows:
        seq += step
        records.append(Record(seq, *columns))
    expected = one_by_one(store, renderer, records, replayed)
    left, found = deque(records), []
    while left:
        some = plain.messages(left, 5, replayed)
        if some:
            found += some
            for _ in some:
                left.popleft()
        else:  # numbers of two lengths, or of two starts
            assert len(str(left[0].seq)) != len(str(seq)) or left[0].seq < SECOND_START <= seq
            found.append(expected[len(found)])
            left.popleft()
    assert found == expected


def record(seq: int, series: int = 1, bits: int = IN_STEP, body: bytes = b'{"v":1}') -> Record:
    return Record(seq, series, WALL, 5, bits, body)


@pytest.mark.parametrize(
    "other",
    [record(3, bits=IN_STEP | EVENT), record(3, body=b"{}"), record(3, series=3), record(3, series=4), record(1)],
)
def test_what_is_not_plain_ends_the_run(other: Record) -> None:
    plain, _ = made(SomeStore(), 5)
    assert len(plain.messages(deque([record(2), other, record(4)]), 9, False)) == 1
    assert plain.messages(deque([other, record(4)]), 9, False) == ([] if other.seq == 3 else plain.messages(
        deque([record(1), record(4)]), 9, False))  # fmt: skip


def test_a_series_that_was_forgotten_is_known_once_it_is_back() -> None:
    store = SomeStore()
    series = store.series.pop(1)
    plain, _ = made(store, 5)
    assert not plain.messages(deque([record(1)]), 1, False)
    store.series[1] = series
    assert plain.messages(deque([record(1)]), 1, False)


def test_other_rules_are_followed_from_the_next_run_on() -> None:
    plain, renderer = made(SomeStore(), 5)
    assert plain.messages(deque([record(1)]), 1, False)
    renderer.reroute(BrokerRoutes("b", [RouteRule(devices=["d1"], every=5.0)], {}))
    plain.forget()
    assert not plain.messages(deque([record(1)]), 1, False)
    assert not made(SomeStore(), 5, qos=0)[0].messages(deque([record(1)]), 1, False)


def test_what_may_be_too_large_is_left_to_the_renderer() -> None:
    plain, _ = made(SomeStore(), 5)
    records = deque([record(1), record(2, body=b'{"v":"%b"}' % (b"x" * 400))])
    assert len(plain.messages(records, 2, False)) == 2
    assert len(plain.messages(records, 2, False, 400)) == 1


class Wire:
    paused, last_in, unsent = False, 0.0, 0

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data


@pytest.mark.parametrize(("qos", "broker"), [(1, 2), (2, 2), (2, 1), (1, 0)])
async def test_published_together_they_are_the_same_packets(qos: int, broker: int) -> None:
    wires = []
    for together in (True, False):
        wire = Wire()
        publisher = MqttPublisher(wire, 5, lambda acks: None, lambda: 0.0, "there")
        publisher.is_open, publisher.maximum_qos, publisher._mid = True, broker, LAST_ID - 1
        publisher.flight[FIRST_ID] = 99  # is passed over
        messages = [(b"a/b", b"x" * size, b"\x00") for size in (1, 200, 20_000)]
        if together:
            publisher.publish_all(messages, qos, [1, 2, 3])
        else:
            for tag, (topic, payload, properties) in enumerate(messages, 1):
                publisher.publish(topic, payload, qos, False, properties, tag)
        publisher.flush()
        wires.append((wire.data, publisher.flight, publisher._mid))
    assert wires[0] == wires[1]


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 1.0])
def test_runs_share_as_single_readings_do(share: float) -> None:
    counts = []
    for together in (True, False):
        lanes = Lanes(DeliveryPosition.starting("b", 1), 10_000, share)
        lanes.live.buffer.extend(record(seq) for seq in range(10_001, 20_001))
        lanes.backlog.buffer.extend(record(seq) for seq in range(1, 10_001))
        sent = {"live": 0, "backlog": 0}
        while sum(sent.values()) < 5000:
            lane, most = lanes.run(50) if together else (lanes.choose(), 1)
            assert lane is not None
            assert 1 <= most <= 50
            lane.take_run(most)
            sent[lane.name] += most
        counts.append(sent["backlog"] / sum(sent.values()))
    assert abs(counts[0] - counts[1]) < 0.01
