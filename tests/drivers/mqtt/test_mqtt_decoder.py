"""Decoder of driver mqtt: whatever is sent, it gives readings that keep the contract, or says why not."""

from __future__ import annotations

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.drivers.mqtt.driver import MqttDevice
from gatepost.drivers.mqtt.message import MqttMessage, without_token
from gatepost.drivers.mqtt.options import MqttOptions
from gatepost.drivers.mqtt.topics import OWN, TopicPattern, pattern_problem
from gatepost.drivers.reading import Reading
from gatepost.drivers.recording import RecordedMoment, RecordingHeader, line, read
from gatepost.drivers.testing import driver_kit

SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=300)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=5)
)
NAMES = st.sampled_from(
    ["value", "telemetryDataId", "status", "metric_type", "units", "timestamp", "token", "device_id", "urgent", "id"]
)
OBJECTS = st.dictionaries(NAMES | st.text(max_size=10), JSON, max_size=10)
TOPICS = {
    "a/{device}/json": {"fields": {"/x/y": {"name": "y", "unit": "Cel", "scale": 0.1}}},
    "a/{value}/v": {"format": "value"},
    "a/k": {"format": "keyvalue"},
    "a/c": {"format": "csv", "columns": ["a", "b"]},
    "a/r": {"format": "regex", "pattern": "T=(?P<t>[0-9.]+)"},
    "a/s": {"status": {"online": "on", "offline": "off"}},
}


def made() -> MqttDevice:
    return MqttDevice(msgspec.convert({"topics": TOPICS, "streams": {"1": {"name": "t"}}}, MqttOptions))


@given(st.binary(max_size=200) | JSON.map(lambda value: dumped(value)) | OBJECTS.map(lambda value: dumped(value)))
def test_any_payload(payload: bytes) -> None:
    decoder = made().decoder()
    for kind in (*OWN, *TOPICS):
        message = MqttMessage(kind, payload, "d", {"value": "level"})
        found = decoder.feed(message)
        assert not (found and message.refusal)
        if kind in OWN:  # names of others are judged as those of `lines` are
            assert [driver_kit.complaint(item) for item in found] == [""] * len(found)
        if kind in ("data", "datastream"):
            assert found or message.refusal


def test_a_number_that_cannot_be_kept_as_it_is_has_no_value() -> None:
    payload = b'{"count": 18446744073709551616, "t": 36.6, "u": 18446744073709551615, "v": 1e400}'
    (reading,) = made().decoder().feed(MqttMessage("data", payload, "d"))
    assert isinstance(reading, Reading)
    assert reading.values == {"t": 36.6, "u": 18446744073709551615}
    assert reading.flags == ("count:over-range", "v:over-range")
    message = MqttMessage("responses", b'{"id": "x", "status": "done", "result": {"n": 18446744073709551616}}', "d")
    made().decoder().feed(message)
    assert message.response is not None
    assert message.response["result"] == {"n": "18446744073709551616"}


def dumped(value: object) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:
        return b'{"a": 1}'


def test_a_list_is_many_readings_or_none() -> None:
    decoder = made().decoder()
    assert len(decoder.feed(MqttMessage("data", b'[{"a": 1}, {"a": 2}]'))) == 2
    message = MqttMessage("data", b'[{"a": 1}, 5]')
    assert decoder.feed(message) == []
    assert message.refusal == "no-values"
    assert decoder.feed(message := MqttMessage("data", orjson.dumps([{"a": 1}] * 1001))) == []
    assert message.refusal == "too-large"


def test_depth_is_bounded() -> None:
    deep: object = 1
    for _ in range(9):
        deep = {"x": deep}
    message = MqttMessage("data", orjson.dumps({"deep": deep, "a": 1}))
    assert made().decoder().feed(message) == []
    assert message.refusal == "too-large"


@pytest.mark.parametrize("kind", ["data", "status"])
def test_a_name_is_no_longer_than_a_text(kind: str) -> None:
    message = MqttMessage(kind, orjson.dumps({"status": "online", "n" * 257: 1}))
    assert made().decoder().feed(message) == []
    assert message.refusal == "too-large"


def test_what_has_no_value_is_named() -> None:
    [reading] = made().decoder().feed(MqttMessage("data", b'{"t": null, "h": "nan"}'))
    assert isinstance(reading, Reading)
    assert (reading.values, reading.flags, reading.quality) == ({}, ("t:nan", "h:nan"), "bad")


def test_an_empty_unit_is_none() -> None:
    [reading] = made().decoder().feed(MqttMessage("data", b'{"t": 1, "h": 2, "units": {"t": "", "h": "%"}}'))
    assert isinstance(reading, Reading)
    assert reading.units == {"h": "%"}


@pytest.mark.parametrize(
    ("value", "thresholds", "urgent"),
    [
        ('"95"', '{"max": 90}', True),
        ("95", '{"max": "90"}', True),
        ("95", '{"min": " 96.5"}', True),
        ("95", '{"min": "95", "max": 95}', False),
        ("95", '{"max": "high", "min": null}', False),
        ('"on"', '{"max": 90}', False),
        ("95", "[90]", False),
    ],
)
def test_a_value_outside_of_its_thresholds_is_urgent(value: str, thresholds: str, urgent: bool) -> None:
    payload = f'{{"value": {value}, "telemetryDataId": 1, "thresholds": {thresholds}}}'
    [reading] = made().decoder().feed(MqttMessage("datastream", payload.encode()))
    assert isinstance(reading, Reading)
    assert reading.urgent is urgent


@pytest.mark.parametrize(
    ("pattern", "topic", "captures"),
    [
        ("tele/{device}/SENSOR", "tele/d/SENSOR", {}),
        ("tele/{device}/SENSOR", "tele/e/SENSOR", None),
        ("a/{metric}/{value}", "a/m/v", {"metric": "m", "value": "v"}),
        ("a/+/c", "a/b/c", {}),
        ("a/#", "a/b/c", {}),
        ("a/#", "a", {}),
        ("a/b", "a/b/c", None),
        ("#", "$SYS/x", None),
    ],
)
def test_patterns(pattern: str, topic: str, captures: dict[str, str] | None) -> None:
    assert pattern_problem(pattern) is None
    assert TopicPattern(pattern, "d").match(topic) == captures


@pytest.mark.parametrize("pattern", ["", "a/#/b", "a+/b", "x{device}", "{strange}", "{value}/{value}", "$SYS/x", "a#"])
def test_wrong_patterns(pattern: str) -> None:
    assert pattern_problem(pattern)


def test_the_twin_answers_commands_and_its_traffic_is_decoded() -> None:
    twin, again = (MqttDevice.twin(None, 3) for _ in range(2))
    decoder = made().decoder()
    for _ in range(20):
        assert (said := twin.tick()) == again.tick()
        assert len(decoder.feed(MqttMessage("data", said))) == 1
    answer = orjson.loads(twin.hear(b'{"id": "7", "command": "x", "parameters": {}}'))
    assert (answer["id"], answer["status"]) == ("7", "done")
    assert twin.hear(b"\xff") == b""


@pytest.mark.parametrize(
    ("kind", "payload"),
    [("a/{device}/json", '{"t": 1, "token": "%s"}'), ("a/k", "t=1 token=%s"), ("data", '{"t": 1, "token": "%s"}')],
)
def test_a_token_is_judged_and_goes_no_further(kind: str, payload: str) -> None:
    decoder = made().decoder()

    def said(token: str) -> MqttMessage:
        return MqttMessage(kind, (payload % token).encode(), "d", holds_token=lambda *said: said == ("d", "gp_own"))

    [reading] = decoder.feed(said("gp_own"))
    assert isinstance(reading, Reading)
    assert reading.values == {"t": 1}
    assert decoder.feed(other := said("gp_other")) == []
    assert other.refusal == "wrong-token"


def test_a_recording_holds_payloads_and_no_token() -> None:
    heard = MqttMessage("data", b'{"t": 1, "token": "gp_secret"}', "d", {"value": "x"})
    text = line(RecordedMoment(1.0, heard))
    assert b"gp_secret".hex().encode() not in text
    header = RecordingHeader(driver="mqtt").line()
    _, moments = read([header, text])
    [moment] = moments
    assert isinstance(moment.heard, MqttMessage)
    assert (moment.heard.kind, moment.heard.captures) == ("data", {"value": "x"})
    assert len(made().decoder().feed(moment.heard)) == 1


@pytest.mark.parametrize("payload", [b'{"token": "s"', b'[{"token": "s"}]', b"token=s"])
def test_nothing_of_a_token_is_recorded(payload: bytes) -> None:
    assert b'"s"' not in without_token(payload)
    assert b"=s" not in without_token(payload)
