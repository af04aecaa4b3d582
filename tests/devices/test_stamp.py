from __future__ import annotations

import math

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.agent.core.views import PAYLOAD_MEMBERS
from gatepost.agent.devices.encoding import encode
from gatepost.drivers.reading import Reading, Waveform


def body(reading: Reading) -> dict:
    return orjson.loads(encode(reading)[1])


def test_values_are_flat_and_nothing_else_is_in_the_body():
    assert body(Reading("pulse_oximetry", {"spo2": 97, "heart_rate": 61})) == {"spo2": 97, "heart_rate": 61}


def test_device_time_stands_beside_the_values():
    reading = Reading("glucose", {"glucose": 5.1}, device_time="2026-11-20T10:29:58")
    assert body(reading) == {"glucose": 5.1, "device_timestamp": "2026-11-20T10:29:58"}


def test_a_waveform_has_its_members_and_its_channel():
    reading = Reading(
        "ecg", {"channel": "II"}, waveform=Waveform([1, 2], 250.0, 0.5, 1.0, "mV"), device_time="2026-01-01T00:00:00"
    )
    assert body(reading) == {
        "channel": "II",
        "samples": [1, 2],
        "rate_hz": 250.0,
        "scale": 0.5,
        "offset": 1.0,
        "unit": "mV",
        "device_timestamp": "2026-01-01T00:00:00",
    }


def test_a_reserved_name_gets_an_underscore_with_its_unit_and_flags():
    reading, _ = encode(
        Reading("m", {"id": 1, "id_": 2, "t": 3}, {"id": "1", "t": "Cel"}, ("id:odd", "quality:x", "plain"))
    )
    assert reading.values == {"id__": 1, "id_": 2, "t": 3}
    assert reading.units == {"id__": "1", "t": "Cel"}
    assert reading.flags == ("id__:odd", "quality:x", "plain")


@pytest.mark.parametrize(
    ("value", "flag"),
    [
        (math.nan, "v:nan"),
        (math.inf, "v:over-range"),
        (-math.inf, "v:under-range"),
        (None, "v:no-value"),
        ([1.0, math.nan], "v:nan"),
        ({"deep": [math.inf]}, "v:over-range"),
        (1 << 64, "v:over-range"),
        ([1, -(1 << 63) - 1], "v:under-range"),
    ],
)
def test_what_json_cannot_carry_is_left_out_and_named(value, flag):
    reading, encoded = encode(Reading("m", {"v": value, "ok": 1.5}, {"v": "x", "ok": "y"}, ("seen",)))
    assert orjson.loads(encoded) == {"ok": 1.5}
    assert reading.flags == ("seen", flag)
    assert reading.units == {"ok": "y"}


def test_a_reason_that_the_driver_gave_is_not_doubled():
    reading, _ = encode(Reading("m", {"v": math.nan}, flags=("v:no-finger",)))
    assert reading.flags == ("v:no-finger",)


def test_the_word_null_in_a_text_is_only_a_text():
    reading, encoded = encode(Reading("m", {"v": "null and void"}))
    assert orjson.loads(encoded) == {"v": "null and void"}
    assert reading.flags == ()


def test_a_waveform_with_holes_is_left_out():
    reading, encoded = encode(Reading("ecg", {"v": 1}, waveform=Waveform([1], math.nan)))
    assert orjson.loads(encoded) == {"v": 1}
    assert reading.flags == ("samples:nan",)


def test_what_is_no_json_at_all_raises():
    with pytest.raises(TypeError):
        encode(Reading("m", {"v": {1, 2}}))


texts = st.text('nul 7\u00e9\u2028"', max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from([*sorted(PAYLOAD_MEMBERS), "a", "b", "id_", "id__"])


@given(st.dictionaries(names, values, max_size=8))
def test_every_value_is_there_or_explained_and_no_member_of_the_payload_is_taken(given_values):
    reading, encoded = encode(Reading("m", given_values))
    written = orjson.loads(encoded)
    assert not PAYLOAD_MEMBERS & written.keys()
    explained = {flag.partition(":")[0] for flag in reading.flags}
    assert len(written) + len(explained) == len(given_values)
    assert all(value is not None for value in written.values())
