"""What brokers and hosts say: nonsense is ignored, storms are bounded, nothing raises."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.agent.uplink.format_kit import make
from gatepost.agent.uplink.formats.catalogue import BUILT_IN, load
from gatepost.agent.uplink.formats.interface import DeviceProfile, IncomingCommand, OutgoingMessage, PayloadFormat
from gatepost.agent.uplink.formats.sparkplug_payload import (
    BOOLEAN,
    DOUBLE,
    SparkplugMetric,
    decode_payload,
    encode_payload,
)
from gatepost.agent.uplink.formats.stored_reading import StoredReading

SECOND = 1_000_000
NOW = 1_795_170_600 * SECOND
DEVICE = {
    "driver": "nonin",
    "commands": ["read_now", "set_interval"],
    "parameters": {"set_interval": {"interval": True}},
}


def format_of(name: str, options: dict[str, Any] | None = None, devices: dict[str, Any] | None = None) -> PayloadFormat:
    settings = {
        "gateway": {"id": "ward-7"},
        "version": "1.0.0",
        "broker": {"format": name, "qos": 1, "options": options or {}},
        "devices": devices or {"ox": DEVICE},
    }
    return make(load(name), settings)


def reading(device: str = "ox", seq: int = 0, **members: Any) -> StoredReading:
    body = {
        "metric_type": "pulse_oximetry",
        "spo2": 97,
        "units": {"spo2": "%"},
        "quality": "good",
        "flags": [],
        **members,
    }
    return StoredReading(f"ward-7:e:{seq}", "ward-7", device, None, body, NOW, "synchronised", False, False, seq)


@pytest.mark.parametrize("name", BUILT_IN)
@given(octets=st.binary(max_size=200))
def test_no_octets_make_a_format_raise(name: str, octets: bytes) -> None:
    one = format_of(name)
    list(one.connected(NOW))
    for topic in [*one.subscriptions(), "spBv1.0/Gatepost/DCMD/ward-7/ox", "v1/devices/me/rpc/request/7"]:
        list(one.incoming(topic, octets, False, NOW))


@given(
    body=st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner))
)
def test_no_json_makes_thingsboard_raise(body: Any) -> None:
    one = format_of("thingsboard")
    for value in (body, {"device": body, "data": body}, {"device": "ox", "data": {"id": body, "method": body}}):
        try:
            octets = orjson.dumps(value)
        except TypeError:  # an integer beyond 64 bits is no JSON of ours
            continue
        list(one.incoming("v1/gateway/rpc", octets, False, NOW))


def test_a_bare_rpc_value_is_the_only_parameter() -> None:
    one = format_of("thingsboard")
    list(one.connected(NOW))
    body = orjson.dumps({"device": "ox", "data": {"id": 3, "method": "set_interval", "params": 5}})
    [command] = one.incoming("v1/gateway/rpc", body, False, NOW)
    assert isinstance(command, IncomingCommand)
    assert orjson.loads(command.payload)["parameters"] == {"interval": 5}


def births(one: PayloadFormat, now: int) -> int:
    octets = encode_payload(now // 1000, [SparkplugMetric("Node Control/Rebirth", BOOLEAN, True, now // 1000)], None)
    messages = list(one.incoming("spBv1.0/Gatepost/NCMD/ward-7", octets, False, now))
    return sum("/NBIRTH/" in each.topic for each in messages if isinstance(each, OutgoingMessage))


def test_a_rebirth_storm_is_bounded() -> None:
    one = format_of("sparkplug")
    one.will(NOW)
    list(one.connected(NOW))
    assert sum(births(one, NOW + number) for number in range(1000)) <= 6
    assert births(one, NOW + 60 * SECOND) == 1


def test_sequence_numbers_wrap_at_256() -> None:
    one = format_of("sparkplug")
    one.will(NOW)
    list(one.connected(NOW))
    last = [one.reading(reading(seq=number), NOW)[-1] for number in range(300)]
    ends = [message.payload[-2:] for message in last]
    seqs = [end[0] & 0x7F | end[1] << 7 if end[0] >= 0x80 else end[1] for end in ends]
    assert seqs == [(number + 2) % 256 for number in range(300)]


def test_a_host_that_goes_away_in_mid_birth_is_left() -> None:
    one = format_of("sparkplug", {"primary_host": "scada"})
    one.will(NOW)
    assert list(one.connected(NOW)) == []
    assert not one.ready
    said = iter(one.incoming("spBv1.0/STATE/scada", b'{"online": true, "timestamp": 1}', True, NOW))
    assert "/NBIRTH/" in next(said).topic  # type: ignore[union-attr]
    [death] = one.incoming("spBv1.0/STATE/scada", b'{"online": false, "timestamp": 2}', True, NOW)
    assert isinstance(death, OutgoingMessage)
    assert "/NDEATH/" in death.topic
    assert not one.ready
    assert one.hang_up
    assert list(one.incoming("spBv1.0/STATE/scada", b'{"online": true, "timestamp": 3}', True, NOW)) == []


def test_a_dcmd_is_a_command_and_its_answer_is_data() -> None:
    one = format_of("sparkplug", {"aliases": True})
    one.will(NOW)
    list(one.connected(NOW))
    one.reading(reading(), NOW)
    alias = one.context.state["aliases"]["ox/Device Control/set_interval"]
    octets = encode_payload(5, [SparkplugMetric(None, DOUBLE, 2.5, 5, alias)], None)
    [command] = one.incoming("spBv1.0/Gatepost/DCMD/ward-7/ox", octets, False, NOW)
    assert isinstance(command, IncomingCommand)
    assert orjson.loads(command.payload) == {
        "id": "sp-5-ox-set_interval",
        "command": "set_interval",
        "parameters": {"interval": 2.5},
    }
    [answer] = one.response({"id": "sp-5-ox-set_interval", "status": "done"}, command.reply_to, NOW)
    assert b'"status":"done"' in answer.payload


@given(st.binary(max_size=300))
def test_any_octets_decode_to_metrics_or_none(octets: bytes) -> None:
    decoded = decode_payload(octets)
    assert decoded is None or isinstance(decoded[1], list)


@given(st.text(max_size=20), st.floats(allow_nan=False), st.integers(0, 2**53))
def test_what_is_encoded_decodes(name: str, value: float, ms: int) -> None:
    decoded = decode_payload(encode_payload(ms, [SparkplugMetric(name, DOUBLE, value, ms)], 7))
    assert decoded is not None
    assert decoded[0] == ms
    assert (decoded[1][0].name, decoded[1][0].value) == (name, value)


@pytest.mark.parametrize("name", BUILT_IN)
def test_unicode_and_long_ids_go_through(name: str) -> None:
    device = "gerät-" + "x" * 58
    options = {"telemetry": {"spo2": 1}} if name == "datastream" else {}
    one = format_of(name, options, {device: DEVICE})
    one.will(NOW)
    list(one.connected(NOW))
    messages = one.reading(reading(device), NOW)
    assert messages
    assert all(len(message.topic.encode()) < 65536 for message in messages)


def test_values_without_a_telemetry_id_are_named() -> None:
    kind = load("datastream")
    devices = {"ox": DeviceProfile("nonin", values=("spo2", "heart_rate", "x")), "any": DeviceProfile("mqtt")}
    options = kind.options_type(telemetry={"ox/heart_rate": 1, "pulse_oximetry.x": 2, "cuff/spo2": 3})  # type: ignore[call-arg]
    [(key, sentence, _)] = kind.warnings(options, devices)
    assert (key, sentence) == ("options.telemetry", "ox: without a telemetryDataId, and not sent: spo2")
