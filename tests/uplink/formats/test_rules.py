"""Rules of the dialects that the vectors do not reach: what is missing, changes, or comes at an odd moment."""

from __future__ import annotations

import struct
from typing import Any

import msgspec
import orjson
import pytest

from gatepost.agent.commands.gateway_commands import COMMANDS
from gatepost.agent.core.clock import rfc3339
from gatepost.agent.uplink.format_kit import make
from gatepost.agent.uplink.formats.catalogue import load
from gatepost.agent.uplink.formats.interface import (
    MOST_VALUES,
    IncomingCommand,
    LaterMessages,
    OutgoingMessage,
    PayloadFormat,
)
from gatepost.agent.uplink.formats.sparkplug_payload import BOOLEAN, SparkplugMetric, encode_payload
from gatepost.agent.uplink.formats.stored_reading import StoredReading
from gatepost.agent.uplink.formats.thingsboard import GATEWAY_PARAMETERS, LARGEST

SECOND = 1_000_000
REBIRTH = encode_payload(0, [SparkplugMetric("Node Control/Rebirth", BOOLEAN, True, 0)], None)
NOW = 1_795_170_600 * SECOND
PARAMETERS = {"set_interval": {"interval": True}, "start_monitoring": {"interval": False, "duration": False}}
WAVE = {"samples": [1, 2, 3], "rate_hz": 100.0, "scale": 1.0, "offset": 0.0, "unit": "mV"}


def format_of(name: str, **options: Any) -> PayloadFormat:
    device = {"driver": "nonin", "commands": ["read_now", *PARAMETERS], "parameters": PARAMETERS}
    broker = {"format": name, "qos": 1, "options": options}
    settings = {"gateway": {"id": "ward-7"}, "version": "1", "broker": broker, "devices": {"ox": device}}
    one = make(load(name), settings)
    one.will(NOW)
    return one


def reading(metric: str = "pulse_oximetry", seq: int = 1, **members: Any) -> StoredReading:
    body = {"metric_type": metric, "units": {}, "quality": "good", "flags": [], **members}
    moment = NOW + seq * SECOND
    return StoredReading(f"ward-7:e:{seq}", "ward-7", "ox", None, body, moment, "synchronised", False, False, seq)


def json_of(message: OutgoingMessage) -> Any:
    return orjson.loads(message.payload)


# --- Home Assistant


def test_a_finger_that_is_gone_takes_every_number_from_home_assistant() -> None:
    one = format_of("homeassistant")
    one.reading(reading(spo2=97, heart_rate=71), NOW)
    gone = reading(seq=2, flags=["spo2:no-finger", "heart_rate:no-finger"], quality="bad")
    [message] = one.reading(gone, NOW)
    assert message.topic == "gatepost/ward-7/ox/pulse_oximetry"
    assert "spo2" not in json_of(message)


@pytest.mark.parametrize("members", [{"channel": "pleth", **WAVE}, {"channel": "pleth", "flags": ["pleth:no-finger"]}])
def test_a_curve_says_nothing_to_home_assistant_with_samples_or_without(members: dict[str, Any]) -> None:
    one = format_of("homeassistant")
    one.reading(reading(spo2=97), NOW)
    assert not one.reading(reading(seq=2, **members), NOW)


@pytest.mark.parametrize("name", ["items", "keys", "values", "get", "O2 %", "is it's"])
def test_home_assistant_finds_a_value_of_any_name(name: str) -> None:
    one = format_of("homeassistant")
    config, _ = one.reading(reading("reading", **{name: 5}), NOW)
    [component] = [each for key, each in json_of(config)["components"].items() if key.startswith("reading_")]
    assert component["value_template"] == f"{{{{ value_json[{name!r}] | default(None) }}}}"


def test_home_assistant_is_shown_no_older_state_but_one_behind_a_clock_that_was_ahead() -> None:
    one = format_of("homeassistant")
    later = NOW + 1000 * SECOND
    one.reading(reading(seq=1000, spo2=97), later)
    late = reading(spo2=96)
    late.replayed = True
    assert not one.reading(late, later)
    assert json_of(one.reading(late, NOW + SECOND)[-1])["spo2"] == 96


def test_every_state_of_a_removed_device_goes_from_the_broker() -> None:
    one = format_of("homeassistant")
    kept = {each.topic for each in one.reading(reading("heart_rate", rr_intervals=[800.5]), NOW)}
    assert kept <= {each.topic for each in one.removed("ox", NOW) if not each.payload}


@pytest.mark.parametrize(("seconds", "shown"), [(0.0, None), (0.2, 1), (300.0, 300)])
def test_no_silence_is_no_expiry(seconds: float, shown: int | None) -> None:
    one = format_of("homeassistant", expire_after={"o*": seconds})
    config, state = one.reading(reading(spo2=97), NOW)
    assert state.expiry == shown
    assert json_of(config)["components"]["pulse_oximetry_spo2"].get("expire_after") == shown


def test_home_assistant_is_told_again_once_and_of_what_is_then() -> None:
    one = format_of("homeassistant")
    [later] = one.incoming("homeassistant/status", b"online", False, NOW)
    assert isinstance(later, LaterMessages)
    assert 0 <= later.delay <= 5
    assert not list(one.incoming("homeassistant/status", b"online", False, NOW))
    one.reading(reading(spo2=97), NOW)
    told = {message.topic: json_of(message) for message in later.messages()}
    assert "pulse_oximetry_spo2" in told["homeassistant/device/gatepost_ward-7_ox/config"]["components"]
    assert list(one.incoming("homeassistant/status", b"online", False, NOW))


@pytest.mark.parametrize("name", ["status", "battery"])
def test_no_value_takes_the_place_of_what_a_device_says_of_itself(name: str) -> None:
    one = format_of("homeassistant")
    list(one.device_status("ox", {"status": "online", "battery": 80}, NOW))
    config, _ = one.reading(reading(name, **{name: "low"}), NOW)
    components = json_of(config)["components"]
    assert components[name]["state_topic"] == "devices/ox/status"
    assert "gatepost/ward-7/ox/" + name in [each.get("state_topic") for each in components.values()]
    assert len({each["unique_id"] for each in components.values()}) == len(components)


def test_an_entity_of_another_kind_takes_the_place_of_one_that_is_gone() -> None:
    one = format_of("homeassistant")
    told = []
    for seq, value in enumerate((True, 5, "low", 5, 6)):
        *configs, _ = one.reading(reading("reading", seq, x=value), NOW)
        told.append([json_of(config)["components"]["reading_x"] for config in configs])
    assert [[each["platform"] for each in some] for some in told] == [
        ["binary_sensor"],
        ["binary_sensor", "sensor"],
        ["sensor"],
        ["sensor", "sensor"],
        [],
    ]
    assert told[1][0] == {"platform": "binary_sensor"}
    assert told[3][0] == {"platform": "sensor"}


def test_a_button_goes_with_its_command() -> None:
    one = format_of("homeassistant")
    list(one.connected(NOW))
    profile = one.context.devices["ox"]
    one.context.devices["ox"] = msgspec.structs.replace(profile, commands=("read_now",))  # type: ignore[index]
    [config] = one.profile_changed("ox", NOW)
    components = json_of(config)["components"]
    assert components["command_set_interval"] == {"platform": "number"}
    assert components["command_read_now"]["command_topic"] == "devices/ox/commands"


def test_nothing_of_home_assistants_stays_at_a_broker_that_is_left() -> None:
    one = format_of("homeassistant")
    kept = {each.topic for each in [*one.connected(NOW), *one.reading(reading(spo2=97), NOW)] if each.retain}
    emptied = [*one.leaving(NOW)]
    assert kept - {each.topic for each in emptied} == {"gateways/ward-7/status"}
    assert all(each.retain and not each.payload for each in emptied)
    assert not one.context.state


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("homeassistant", "homeassistant/device/gatepost_ward-7_ox/config"),
        ("thingsboard", "v1/gateway/attributes"),
        ("sparkplug", "spBv1.0/Gatepost/DBIRTH/ward-7/ox"),
        ("scalar", None),
    ],
)
def test_what_changed_of_a_device_is_said(name: str, topic: str | None) -> None:
    one = format_of(name)
    list(one.connected(NOW))
    list(one.device_status("ox", {"status": "online", "timestamp": "2026-11-20T10:30:00Z"}, NOW))
    profile = one.context.devices["ox"]
    changed = msgspec.structs.replace(profile, commands=("read_now",), info={"model": "Onyx"})
    one.context.devices["ox"] = changed  # type: ignore[index]
    assert [each.topic for each in one.profile_changed("ox", NOW)] == [topic] * (topic is not None)


# --- Sparkplug


def test_a_birth_names_the_unit_of_the_value_that_it_holds() -> None:
    one = format_of("sparkplug")
    list(one.connected(NOW))
    one.reading(reading("body_weight", weight=70.5, units={"weight": "kg"}), NOW)
    one.reading(reading("body_weight", 2, weight=155.4, units={"weight": "[lb_av]"}), NOW)
    list(one.device_status("ox", {"status": "offline"}, NOW))
    [birth] = one.device_status("ox", {"status": "online"}, NOW)
    assert b"[lb_av]" in birth.payload
    assert b"\x02kg" not in birth.payload


def test_devices_that_are_online_are_born_with_the_node_when_the_host_comes() -> None:
    one = format_of("sparkplug", primary_host="scada")
    list(one.connected(NOW))
    assert not list(one.device_status("ox", {"status": "online"}, NOW))
    said = one.incoming("spBv1.0/STATE/scada", b'{"online": true, "timestamp": 1}', True, NOW)
    kinds = [each.topic.split("/")[2] for each in said if isinstance(each, OutgoingMessage)]
    assert kinds == ["NBIRTH", "DBIRTH"]


def test_a_device_that_left_meanwhile_is_not_born() -> None:
    one = format_of("sparkplug", primary_host="scada")
    for status in ("online", "offline"):
        assert not list(one.device_status("ox", {"status": status}, NOW))
    assert len(list(one.incoming("spBv1.0/STATE/scada", b'{"online": true, "timestamp": 1}', True, NOW))) == 1


def test_a_birth_holds_the_newest_value_though_an_urgent_one_overtook_others() -> None:
    one = format_of("sparkplug")
    list(one.connected(NOW))
    for seq, weight in ((1, 70.5), (3, 155.25), (2, 71.5)):
        one.reading(reading("body_weight", seq, weight=weight), NOW)
    births = [*one.incoming("spBv1.0/Gatepost/NCMD/ward-7", REBIRTH, False, NOW)]
    assert struct.pack("<d", 155.25) in births[1].payload  # type: ignore[union-attr]


def test_a_birth_holds_the_newest_value_though_the_clock_was_set_back() -> None:
    one = format_of("sparkplug")
    list(one.connected(NOW))
    one.reading(reading("body_weight", 1000, weight=70.5), NOW)
    after = reading("body_weight", 1, weight=155.25)  # seconds before, but
    after.seq = 1001
    one.reading(after, NOW)
    births = [*one.incoming("spBv1.0/Gatepost/NCMD/ward-7", REBIRTH, False, NOW)]
    assert struct.pack("<d", 155.25) in births[1].payload  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["homeassistant", "sparkplug"])
def test_a_device_that_makes_up_names_fills_no_memory(name: str) -> None:
    one = format_of(name)
    list(one.connected(NOW))
    one.reading(reading(**{f"n{number}": 1 for number in range(MOST_VALUES - 1)}), NOW)
    state = orjson.dumps(dict(one.context.state))
    *_, last = one.reading(reading(seq=2, n1=2, new_1=3, new_2=4), NOW)
    assert (b"new_2" in last.payload) is (name == "homeassistant")  # its state is the whole reading
    assert len(orjson.dumps(dict(one.context.state))) < len(state) + 100
    [only] = one.reading(reading(seq=3, n1=2, new_3=3), NOW)
    assert only.topic == last.topic


@pytest.mark.parametrize("name", ["homeassistant", "sparkplug"])
def test_a_device_that_makes_up_metrics_fills_no_memory(name: str) -> None:
    one = format_of(name)
    list(one.connected(NOW))
    for number in range(MOST_VALUES):
        one.reading(reading(f"m{number}", number, n=1), NOW)
    state = orjson.dumps(dict(one.context.state))
    for number in range(100):
        assert one.reading(reading(f"more{number}", MOST_VALUES + number, n=1), NOW) or name == "sparkplug"
    assert len(orjson.dumps(dict(one.context.state))) < len(state) + 100
    if name == "homeassistant":  # whose bound is counted anew
        list(one.removed("ox", NOW))
        one.reading(reading("again", 1000, n=1), NOW)
        assert b"last:ox/again" in orjson.dumps(dict(one.context.state))


# --- FHIR


def observations(found: StoredReading) -> list[dict[str, Any]]:
    messages = format_of("fhir").reading(found, NOW)
    return [each for message in messages for each in json_of(message)["entry"][2:]]


def test_a_bundle_has_one_entry_for_a_curve_that_is_doubted() -> None:
    entries = observations(reading("ecg", channel="ecg", flags=["ecg:lead-off"], **WAVE))
    assert len(entries) == 1
    assert "valueSampledData" in entries[0]["resource"]


def test_a_list_that_is_missing_is_no_observation() -> None:
    flags = ["heart_rate:no-finger", "rr_intervals:nan"]
    [entry] = observations(reading("heart_rate", flags=flags, quality="bad"))
    assert entry["resource"]["dataAbsentReason"]["coding"][0]["code"] == "temp-unknown"


@pytest.mark.parametrize(
    ("told", "effective"),
    [
        ("2026-11-20T10:29:58", "2026-11-20T10:29:58+01:00"),
        ("1890-01-01T00:00:00", None),  # local mean time: +00:53:28
        ("a while ago", None),
    ],
)
def test_a_device_time_that_is_no_instant_of_fhir_stands_in_the_note(told: str, effective: str | None) -> None:
    [message] = format_of("fhir", device_zone="Europe/Berlin").reading(reading(spo2=97, device_timestamp=told), NOW)
    resource = json_of(message)["entry"][2]["resource"]
    assert (resource["effectiveDateTime"], resource.get("issued") is None) == (
        (effective, False) if effective else (rfc3339(NOW + SECOND), True)
    )
    assert ("note" in resource) is (effective is None)


@pytest.mark.parametrize(
    ("metric", "members"), [("respiration", {"channel": "respiration", **WAVE}), ("temperature", {"temperature": 4.5})]
)
def test_an_own_code_names_metric_and_value(metric: str, members: dict[str, Any]) -> None:
    [entry] = observations(reading(metric, **members))
    assert entry["resource"]["code"]["coding"] == [{"system": "urn:gatepost:metric", "code": f"{metric}.{metric}"}]


@pytest.mark.parametrize(
    ("name", "unit", "code"),
    [
        ("heart_rate", "/min", "147842"),
        ("spo2", "%", "150456"),
        ("heart_rate", None, "vitals.heart_rate"),  # nobody said what it is counted in
        ("weight", "kg", "vitals.weight"),  # who knows of what
    ],
)
def test_what_only_people_have_is_coded_in_any_metric(name: str, unit: str | None, code: str) -> None:
    [entry] = observations(reading("vitals", **{name: 61}, units={name: unit} if unit else {}))
    resource = entry["resource"]
    assert resource["code"]["coding"][0]["code"] == code
    assert len(resource["category"]) == (2 if code.isdigit() else 1)


def test_a_heart_rate_is_one_in_an_ecg_and_no_procedure() -> None:
    rate, curve = observations(reading("ecg", heart_rate=61, **{**WAVE, "units": {"heart_rate": "/min"}}))
    assert rate["resource"]["code"]["coding"][0]["code"] == "147842"
    kinds = [each["resource"]["category"][0]["coding"][0]["code"] for each in (rate, curve)]
    assert kinds == ["vital-signs", "procedure"]


@pytest.mark.parametrize(
    ("metric", "name"), [("laboratory", "wbc"), ("laboratory", "temperature"), ("glucose", "hba1c")]
)
def test_what_an_analyser_found_is_of_a_laboratory(metric: str, name: str) -> None:
    [entry] = observations(reading(metric, **{name: 7}))
    assert entry["resource"]["category"][0]["coding"][0]["code"] == "laboratory"


@pytest.mark.parametrize(("unit", "coded"), [("Cel", True), ("{drops}", True), ("°C", False), ("deg C", False)])
def test_a_unit_that_is_no_code_is_not_called_one(unit: str, coded: bool) -> None:
    [entry] = observations(reading("reading", x=1, units={"x": unit}))
    quantity = entry["resource"]["valueQuantity"]
    assert quantity["unit"] == unit
    assert ("code" in quantity, "system" in quantity) == (coded, coded)


def test_no_name_of_a_value_ends_the_condition() -> None:
    [entry] = observations(reading("reading", **{"a&b|c": 1}))
    assert entry["request"]["ifNoneExist"].endswith(r"|ward-7:e:1.a%26b\|c")
    assert entry["resource"]["identifier"][0]["value"] == "ward-7:e:1.a&b|c"


# --- ThingsBoard


def test_what_thingsboard_would_hang_up_on_is_not_sent() -> None:
    one = format_of("thingsboard")
    long = {f"value_{number}": "x" * 100 for number in range(LARGEST // 100)}
    with pytest.raises(ValueError, match="octets"):
        one.reading(reading("reading", **long, units={"value_1": "kg"}), NOW)
    units, _ = one.reading(reading("reading", 2, value_1="x", units={"value_1": "kg"}), NOW)
    assert json_of(units) == {"ox": {"unit_value_1": "kg"}}


@pytest.mark.parametrize(
    ("device", "method", "parameters"),
    [
        ("ox", "set_interval", {"interval": 5}),
        ("ox", "start_monitoring", {"value": 5}),  # which of the two it is was not said: refused
        ("ox", "unknown", {"value": 5}),
        (None, "set_log_level", {"level": 5}),
        (None, "resend", {"value": 5}),
    ],
)
def test_a_bare_rpc_value_is_never_guessed(device: str | None, method: str, parameters: dict[str, Any]) -> None:
    one = format_of("thingsboard")
    call = {"method": method, "params": 5}
    topic = "v1/devices/me/rpc/request/3" if device is None else "v1/gateway/rpc"
    body = call if device is None else {"device": device, "data": {"id": 3, **call}}
    [command] = one.incoming(topic, orjson.dumps(body), False, NOW)
    assert isinstance(command, IncomingCommand)
    assert orjson.loads(command.payload)["parameters"] == parameters


def test_the_parameters_of_the_gateways_commands_are_those_declared() -> None:
    declared = {
        command.name: {field.encode_name: field.required for field in msgspec.structs.fields(command.parameters)}
        for command in COMMANDS.values()
    }
    assert {name: each for name, each in declared.items() if len(each) == 1} == dict(GATEWAY_PARAMETERS)


# --- SenML


def test_readings_behind_a_curve_do_not_overtake_it() -> None:
    one = format_of("senml")
    some = [reading(spo2=97), reading("ecg", 2, channel="ecg", **WAVE), reading(seq=3, spo2=98)]
    first = [json_of(message)[0] for message in one.batch(some, NOW)]
    assert [each["bt"] for each in first] == sorted(each["bt"] for each in first)
    assert len(first) == 3
