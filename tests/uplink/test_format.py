"""Format `devices` against the contract, from readings as the intake encodes them."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.agent.core.clock import rfc3339
from gatepost.agent.devices.encoding import encode
from gatepost.agent.store.model import EVENT, IN_STEP, URGENT, Record, Series
from gatepost.agent.uplink.devices_format import MAX_SECONDS, MAX_SERIES, DevicesFormat
from gatepost.agent.uplink.topics import BrokerTopics
from gatepost.drivers.reading import Reading, Waveform

WALL = 1_795_170_600_123_456  # 2026-11-20T10:30:00.123456Z
RFC = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")


def make(version: int = 5, **topics: str) -> DevicesFormat:
    return DevicesFormat("ward-7", lambda seq: b"ward-7:6f2c9a1b:", BrokerTopics(topics, "ward-7", "org"), version)


def common_of(reading: Reading) -> dict[str, Any]:
    common: dict[str, Any] = {"metric_type": reading.metric, "units": reading.units}
    return common | {"quality": "good", "flags": list(reading.flags)}


def render(
    reading: Reading,
    *,
    patient: str | None = None,
    bits: int = IN_STEP,
    clock: str = "synchronised",
    replayed: bool = False,
    device: str = "cuff-3",
    wall: int = WALL,
    version: int = 5,
) -> tuple[str, dict[str, Any], bytes]:
    reading, body = encode(reading)
    series = Series(1, 1, device, patient, orjson.dumps(common_of(reading)))
    record = Record(1042, 1, wall, 0, bits, body)
    topic, payload, properties = make(version).render(record, series, wall, clock, replayed)
    return topic.decode(), orjson.loads(payload), properties


CUFF = Reading(
    "blood_pressure",
    {"systolic": 120, "diastolic": 80, "mean": 93, "heart_rate": 72},
    units={"systolic": "mm[Hg]", "diastolic": "mm[Hg]", "mean": "mm[Hg]", "heart_rate": "/min"},
    device_time="2026-11-20T10:29:58",
)


def test_the_contract_s_example() -> None:
    topic, payload, _ = render(CUFF, patient="P-001")
    assert topic == "devices/cuff-3/data"
    assert payload == {
        "id": "ward-7:6f2c9a1b:1042",
        "schema": 1,
        "gateway_id": "ward-7",
        "device_id": "cuff-3",
        "patient_id": "P-001",
        "metric_type": "blood_pressure",
        "systolic": 120,
        "diastolic": 80,
        "mean": 93,
        "heart_rate": 72,
        "units": {"systolic": "mm[Hg]", "diastolic": "mm[Hg]", "mean": "mm[Hg]", "heart_rate": "/min"},
        "timestamp": "2026-11-20T10:30:00.123456Z",
        "device_timestamp": "2026-11-20T10:29:58",
        "clock": "synchronised",
        "urgent": False,
        "replayed": False,
        "quality": "good",
        "flags": [],
    }


def test_absent_optional_members_are_left_out() -> None:
    _, payload, _ = render(Reading("reading", {"t": 1}))
    assert "patient_id" not in payload
    assert "device_timestamp" not in payload
    assert None not in payload.values()


def test_a_reading_without_values_is_valid_too() -> None:
    _, payload, _ = render(Reading("pulse_oximetry", {}, flags=("spo2:no-finger",)))
    assert payload["flags"] == ["spo2:no-finger"]
    assert payload["replayed"] is False


@pytest.mark.parametrize("clock", ["synchronised", "unsynchronised", "rectified"])
@pytest.mark.parametrize("urgent", [False, True])
@pytest.mark.parametrize("replayed", [False, True])
def test_marks(clock: str, urgent: bool, replayed: bool) -> None:
    _, payload, _ = render(CUFF, clock=clock, bits=URGENT if urgent else 0, replayed=replayed)
    assert (payload["clock"], payload["urgent"], payload["replayed"]) == (clock, urgent, replayed)


def test_a_waveform() -> None:
    wave = Waveform(samples=[1, -2, 3], rate_hz=250.0, scale=0.5, offset=-1.0, unit="mV")
    _, payload, _ = render(Reading("ecg", {}, waveform=wave))
    assert {name: payload[name] for name in ("samples", "rate_hz", "scale", "offset", "unit")} == {
        "samples": [1, -2, 3],
        "rate_hz": 250.0,
        "scale": 0.5,
        "offset": -1.0,
        "unit": "mV",
    }


def test_an_event_goes_to_the_gateway_s_topic() -> None:
    series = Series(1, 1, "", None, b'{"event":"gap"}')
    record = Record(7, 1, WALL, 0, EVENT, b'{"reason":"log-full","count":3}')
    topic, payload, _ = make().render(record, series, WALL, "synchronised", False)
    assert topic == b"gateways/ward-7/events"
    assert orjson.loads(payload) == {
        "id": "ward-7:6f2c9a1b:7",
        "schema": 1,
        "gateway_id": "ward-7",
        "event": "gap",
        "timestamp": "2026-11-20T10:30:00.123456Z",
        "reason": "log-full",
        "count": 3,
    }


def properties_of(block: bytes) -> dict[str, Any]:
    """A property block with content type and user properties, taken apart by hand (MQTT 5, 2.2.2)."""
    assert block[0] == len(block) - 1
    at, found, users = 1, {}, {}

    def text() -> str:
        nonlocal at
        size = int.from_bytes(block[at : at + 2], "big")
        at += 2 + size
        return block[at - size : at].decode()

    while at < len(block):
        kind = block[at]
        at += 1
        if kind == 0x03:
            found["content_type"] = text()
        else:
            assert kind == 0x26
            name = text()
            users[name] = text()
    return {**found, **users}


def test_properties_of_mqtt_5() -> None:
    _, _, block = render(CUFF)
    assert properties_of(block) == {"content_type": "application/json", "schema": "1", "id": "ward-7:6f2c9a1b:1042"}


def test_properties_follow_ids_of_every_length() -> None:
    form = make()
    series = Series(1, 1, "d", None, b'{"metric_type":"m"}')
    for seq in (1, 9, 10, 99_999, 1_000_000_000_042, 7):
        record = Record(seq, 1, WALL, 0, 0, b"{}")
        _, payload, properties = form.render(record, series, WALL, "synchronised", False)
        assert properties_of(properties)["id"] == orjson.loads(payload)["id"] == f"ward-7:6f2c9a1b:{seq}"


def test_mqtt_3_1_1_has_none() -> None:
    assert render(CUFF, version=4)[2] == b""


ODD = st.text(min_size=1, max_size=30).filter(lambda text: text.isprintable() or "\n" in text or '"' in text)


@given(
    device=ODD,
    metric=ODD,
    patient=st.none() | ODD,
    values=st.dictionaries(
        ODD, st.none() | st.integers(-(2**53), 2**53) | st.floats() | ODD | st.booleans(), max_size=6
    ),
    wall=st.integers(0, 4_000_000_000_000_000),
)
def test_whatever_names_and_values_there_are_it_is_json_with_every_member_once(
    device: str, metric: str, patient: str | None, values: dict[str, Any], wall: int
) -> None:
    try:
        device.encode()
        metric.encode()
        orjson.dumps([patient, values])
    except (UnicodeEncodeError, TypeError):
        return
    reading, body = encode(Reading(metric, values))
    series = Series(1, 1, device, patient, orjson.dumps(common_of(reading)))
    topic, octets, _ = make().render(Record(5, 1, wall, 0, 0, body), series, wall, "unsynchronised", True)
    text = octets.decode("utf-8")
    assert "NaN" not in text or "NaN" in str(values) + device + metric + str(patient)
    names: list[str] = []

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names.append("")
        assert len({name for name, _ in pairs}) == len(pairs)
        return dict(pairs)

    payload = json.loads(text, object_pairs_hook=once, parse_constant=lambda what: pytest.fail(what))
    assert payload["device_id"] == device
    assert payload["metric_type"] == metric
    assert payload.get("patient_id") == patient
    assert payload["id"] == "ward-7:6f2c9a1b:5"
    assert RFC.match(payload["timestamp"])
    topic.decode("utf-8")


def test_seconds_that_come_by_turns_and_many_series_stay_right() -> None:
    form = make()
    for turn in range(3):
        for seq in range(MAX_SERIES + 50):
            series = Series(seq + 1, 1, f"d{seq}", None, b'{"metric_type":"m"}')
            wall = (1_000_000 + seq * 7 % 300) * 1_000_000 + turn
            _, octets, _ = form.render(Record(seq + 1, seq + 1, wall, 0, 0, b"{}"), series, wall, "synchronised", False)
            payload = orjson.loads(octets)
            assert payload["device_id"] == f"d{seq}"
            assert payload["timestamp"] == rfc3339(wall)
            assert (len(form._known) <= MAX_SERIES, len(form._seconds) <= MAX_SECONDS) == (True, True)


def test_a_topic_of_one_s_own_with_the_metric() -> None:
    series = Series(1, 1, "d", None, b'{"metric_type":"a/b"}')
    form = make(data="x/{org}/{gateway}/{device}/{metric}")
    topic, _, _ = form.render(Record(1, 1, WALL, 0, 0, b"{}"), series, WALL, "synchronised", False)
    assert topic == b"x/org/ward-7/d/a_b"
