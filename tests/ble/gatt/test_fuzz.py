"""Any octets at all: a decoder refuses with FrameError, or gives fields and readings that JSON can hold."""

import json
import math
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatepost.drivers.ble.gatt import (
    blood_pressure,
    blood_pressure_enhanced,
    body_composition,
    cgm,
    environment,
    glucose,
    glucose_context,
    heart_rate,
    nonin,
    pulse_oximeter,
    thermometer,
    weight,
)
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.metrics import METRICS
from gatepost.drivers.reading import BAD, GOOD, UNCERTAIN
from gatepost.drivers.testing.vectors import judge
from gatepost.drivers.testing.vectors.gatt import TABLE

FILES = sorted((Path(__file__).parents[2] / "vectors").glob("*.json"))
VECTORS = [vector for file in FILES for vector in json.loads(file.read_text("utf-8"))["vectors"]]
GATT = [vector for vector in VECTORS if vector["kind"] == "gatt"]
WHOLE = [vector for vector in GATT if "expect" in vector]
QUICK = settings(max_examples=100, deadline=None)
DATA = st.one_of(
    st.binary(max_size=40),
    st.builds(lambda seed, noise: seed + noise, st.sampled_from([bytes.fromhex(v["input_hex"]) for v in GATT]),
              st.binary(max_size=6)),
)  # fmt: skip
CONTEXT = st.sampled_from([{}, {"e2e_crc": True}, {"e2e_crc": False}])

READINGS = {
    "heart_rate": lambda data: heart_rate.reading(heart_rate.decode(data)),
    "blood_pressure": lambda data: blood_pressure.reading(blood_pressure.decode(data)),
    "cuff": lambda data: blood_pressure.cuff_reading(blood_pressure.decode_cuff(data)),
    "enhanced": lambda data: blood_pressure_enhanced.decode(data).reading(),
    "enhanced_cuff": lambda data: blood_pressure_enhanced.decode_cuff(data).reading(),
    "thermometer": lambda data: thermometer.reading(thermometer.decode(data)),
    "glucose": lambda data: glucose_context.reading(glucose.decode(data), None),
    "context": lambda data: glucose_context.reading(
        glucose.decode(bytes(10) if data else b""), glucose_context.decode(data[:1] + bytes(2) + data[3:])
    ),
    "cgm": lambda data: cgm.reading(cgm.decode(data)[0]),
    "spot": lambda data: pulse_oximeter.reading(pulse_oximeter.decode_spot(data)),
    "continuous": lambda data: pulse_oximeter.reading(pulse_oximeter.decode_continuous(data)),
    "nonin": lambda data: nonin.reading(nonin.decode(data)),
    "weight": lambda data: weight.reading(weight.decode(data)),
    "body": lambda data: body_composition.reading(body_composition.decode(data)),
    **{
        kind.name: lambda data, short=short: environment.reading(environment.decode(short, data))
        for short, kind in environment.KINDS.items()
    },
}


def finite(value):
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, list) or all(map(finite, value))


@pytest.mark.parametrize("uuid", TABLE["gatt"])
@QUICK
@given(data=DATA, context=CONTEXT)
def test_any_octets(uuid, data, context):
    try:
        found = TABLE["gatt"][uuid](data, context)
    except FrameError:
        return
    orjson.dumps(found)
    assert all(map(finite, found.values()))


@pytest.mark.parametrize("name", READINGS)
@QUICK
@given(data=DATA)
def test_readings_of_any_octets(name, data):
    try:
        found = READINGS[name](data)
    except FrameError:
        return
    metric = METRICS[found.metric]
    assert found.quality in (GOOD, UNCERTAIN, BAD)
    assert found.units.keys() <= found.values.keys()
    assert len(found.flags) == len(set(found.flags))
    orjson.dumps(found.values)
    for value_name, value in found.values.items():
        known = metric.value(value_name)
        assert known is not None, f"{found.metric} {value_name} is not in the catalogue"
        assert finite(value)
        assert found.units.get(value_name, "") in (known.units or ("",))
    for flag in found.flags:
        assert flag == flag.lower().replace(" ", "-")
        missing, _, why = flag.partition(":")
        assert not why or missing not in found.values


@pytest.mark.parametrize("vector", WHOLE, ids=lambda vector: vector["id"])
def test_a_value_cut_anywhere_is_refused(vector):
    """Unless it ends with a list: then a shorter list is one."""
    uuid = vector["uuid"].lower()
    data = bytes.fromhex(vector["input_hex"])
    decode = TABLE["gatt"][uuid]
    whole = decode(data, vector.get("context", {}))
    for end in range(len(data)):
        try:
            found = decode(data[:end], vector.get("context", {}))
        except FrameError:
            continue
        lists = {"rr_1024", "samples_uv", "samples_mg", "text"} & whole.keys()
        assert lists or "count" in whole
        for name in lists:
            assert whole[name][: len(found[name])] == found[name]


@pytest.mark.parametrize("vector", WHOLE, ids=lambda vector: vector["id"])
def test_octets_after_the_known_fields_do_not_matter(vector):
    uuid = vector["uuid"].lower()
    if uuid in ("2a37", "2a52", "2a24") or uuid.startswith(("2aa", "fb005c8")):
        pytest.skip("it goes on to the end, or its length has a meaning")
    assert judge({**vector, "input_hex": vector["input_hex"] + "a55a77"}) == ""
