"""Messages of gateways: readings, batches, reports, and what is refused."""

from __future__ import annotations

import gzip
from typing import Any

import orjson
import pytest
from gatepost_fleet.message import Reading, RefusedMessage, Report, parse
from gatepost_fleet.topics import nats_subject, routing_key, topic_of_key, topic_of_subject
from hypothesis import given
from hypothesis import strategies as st

TOPIC = "gateways/ward-7/devices/cuff-3/data"


def reading(seq: int = 7, **more: Any) -> dict[str, Any]:
    return {
        "id": f"ward-7:6f2c9a1b:{seq}",
        "schema": 1,
        "gateway_id": "ward-7",
        "device_id": "cuff-3",
        "patient_id": "P-001",
        "metric_type": "blood_pressure",
        "systolic": 120,
        "timestamp": "2026-11-20T10:30:00.123456Z",
        "clock": "synchronised",
        "replayed": False,
        **more,
    }


def test_a_reading() -> None:
    (one,) = parse(TOPIC, orjson.dumps(reading()))
    assert isinstance(one, Reading)
    assert one[:6] == ("ward-7", "6f2c9a1b", 7, "cuff-3", "P-001", "blood_pressure")
    assert one.time.isoformat() == "2026-11-20T10:30:00.123456+00:00"
    assert orjson.loads(one.payload) == reading()


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_batch_with_one_bad_reading(pack: Any) -> None:
    whole = {"gateway_id": "ward-7", "schema": 1, "readings": [reading(1), {"id": 4}, reading(3)]}
    found = parse("gateways/ward-7/data", pack(orjson.dumps(whole)))
    assert [type(each) for each in found] == [Reading, Reading, RefusedMessage]


def test_bad_readings_of_a_batch_are_one_refusal_however_many() -> None:
    whole = {"gateway_id": "ward-7", "schema": 1, "readings": [reading(1), *[0] * 100_000]}
    found = parse("gateways/ward-7/data", gzip.compress(orjson.dumps(whole), 1))
    assert [type(each) for each in found] == [Reading, RefusedMessage]
    assert isinstance(found[1], RefusedMessage)
    assert found[1].why.endswith("(and 99999 more)")
    assert orjson.loads(found[1].payload) == [0] * 100_000


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"schema": 2}, "schema 2"),
        ({"gateway_id": "ward-8"}, "another gateway"),
        ({"id": "ward-8:6f2c9a1b:7", "gateway_id": "ward-8"}, "another gateway"),
        ({"id": "ward-7:6f2c9a1b:0"}, "no id"),
        ({"id": "ward-7:6f2c9a1b:99999999999999999999"}, "no id"),
        ({"timestamp": "yesterday"}, "yesterday"),
        ({"timestamp": "2026-11-20T10:30:00"}, "time zone"),
        ({"note": "a\0b"}, "NUL"),
        ({"device_id": None}, "text"),
    ],
)
def test_what_is_refused_says_why(change: dict[str, Any], why: str) -> None:
    (one,) = parse(TOPIC, orjson.dumps(reading(**change)))
    assert isinstance(one, RefusedMessage)
    assert why in one.why


def test_a_gateway_that_was_given_another_id_keeps_the_first_one_in_its_ids() -> None:
    (one,) = parse(TOPIC, orjson.dumps(reading(id="ward-8:6f2c9a1b:7")))
    assert isinstance(one, Reading)
    assert (one.gateway, one.epoch, one.seq) == ("ward-7", "6f2c9a1b", 7)


def test_reports_and_topics_of_no_concern() -> None:
    (status,) = parse("gateways/ward-7/status", b'{"gateway_id": "ward-7", "status": "online"}')
    assert status == Report("status", "ward-7", {"gateway_id": "ward-7", "status": "online"})
    event = {"id": "ward-7:e:9", "gateway_id": "ward-7", "event": "gap"}
    (gap,) = parse("gateways/ward-7/events", orjson.dumps(event))
    assert isinstance(gap, Report)
    assert (gap.epoch, gap.seq) == ("e", 9)
    assert parse("gateways/ward-7/commands", b"{}") == []
    assert parse("devices/cuff-3/status", b"{}") == []


@pytest.mark.parametrize(
    "change",
    [
        *({"sent": "many"}, {"upto_seq": None}, {"from_seq": True}, {"epoch": 7}),
        *({"from_seq": 9}, {"sent": 9}, {"sent": 2**63 - 2}, {"skipped": 3}, {"skipped": -1}, {"gaps": "none"}),
    ],
)
def test_an_account_that_cannot_be_compared_is_refused(change: dict[str, Any]) -> None:
    account = {"epoch": "a", "broker": "b", "from_seq": 1, "upto_seq": 8, "sent": 6, **change}
    (one,) = parse("gateways/ward-7/account", orjson.dumps(account))
    assert isinstance(one, RefusedMessage)
    whole = {"epoch": "a", "broker": "b", "from_seq": 1, "upto_seq": 8, "sent": 6, "skipped": 2, "gaps": 90}
    (one,) = parse("gateways/ward-7/account", orjson.dumps(whole))
    assert isinstance(one, Report)


@pytest.mark.parametrize("body", [{"version": False}, {"version": ""}, {"version": -1}, {"status": "merry"}])
def test_a_report_that_cannot_be_compared_is_refused(body: dict[str, Any]) -> None:
    for change, kind in ((body, RefusedMessage), ({}, Report), ({"version": None, "status": "unsigned"}, Report)):
        report = {"version": 4, "status": "applied", "gateway_id": "ward-7", **change}
        (one,) = parse("gateways/ward-7/reported", orjson.dumps(report))
        assert isinstance(one, kind)


def test_a_gateway_that_asks_names_what_it_has() -> None:
    for have, kept in ((41, 41), (None, 0)):
        (one,) = parse("gateways/ward-7/desired/get", orjson.dumps({"have": have, "hash": "sha256:0"}))
        assert (one.kind, one.body) == ("asked", {"have": kept})  # type: ignore[union-attr]
    (bad,) = parse("gateways/ward-7/desired/get", b'{"have": "all"}')
    assert isinstance(bad, RefusedMessage)


def test_a_bomb_is_refused() -> None:
    (one,) = parse(TOPIC, gzip.compress(bytes(20_000_000)))
    assert isinstance(one, RefusedMessage)


@given(st.text(max_size=40), st.binary(max_size=200))
def test_nothing_is_raised(topic: str, payload: bytes) -> None:
    for kind in ("devices/d/data", "gateways/g/events", topic):
        for packed in (payload, b"\x1f\x8b" + payload, b"\x28\xb5\x2f\xfd" + payload):
            parse(kind, packed)


@given(st.lists(st.text("ab.-_1", min_size=1, max_size=4), min_size=1, max_size=5))
def test_topics_survive_every_engine(levels: list[str]) -> None:
    topic = "/".join(levels)
    assert topic_of_subject(nats_subject(topic)) == topic
    assert topic_of_key(routing_key(topic)) == topic
