import pytest

from gatepost.drivers.ble.gatt import glucose, glucose_context
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.metrics import find
from gatepost.drivers.reading import BAD, GOOD, UNCERTAIN

MILLIGRAMS = "02 0500 e807060f080f00 64b0 11"
FULL = "1b 0500 e807060f080f00 fbff 64b0 21 0000"
CONTEXT = "ff 0500 00 03 1e d0 04 12 3c00 32 04 d2f4 48f0"


def read(raw, context=None):
    found = glucose.decode(bytes.fromhex(raw))
    beside = None if context is None else glucose_context.decode(bytes.fromhex(context))
    return glucose_context.reading(found, beside)


def with_status(status):
    return read("0a 0500 e807060f080f00 64b0 11" + status.to_bytes(2, "little").hex())


def test_milligrams():
    found = read(MILLIGRAMS)
    assert found.metric == "glucose"
    assert found.values == {"glucose": 100, "sequence_number": 5}
    assert found.units == {"glucose": "mg/dL"}
    assert found.flags == ("sample-capillary-whole-blood", "location-finger")
    assert (found.quality, found.device_time) == (GOOD, "2024-06-15T08:15:00")


def test_millimoles_are_exact():
    found = read("06 0700 e807060f0c0000 38c0 11")
    assert (found.values["glucose"], found.units) == (5.6, {"glucose": "mmol/L"})


def test_the_time_is_base_and_offset():
    assert read(FULL).device_time == "2024-06-15T08:10:00"
    assert read("03 0b00 e8070101000500 e2ff 5fb0 11").device_time == "2023-12-31T23:35:00"


@pytest.mark.parametrize(("raw", "why"), [("ff7f", "over-range"), ("0080", "under-range")])
def test_an_offset_that_ran_over_leaves_no_time(raw, why):
    found = read(f"03 0500 e807060f080f00 {raw} 64b0 11")
    assert found.device_time is None
    assert f"device-time:{why}" in found.flags
    assert found.values["glucose"] == 100


@pytest.mark.parametrize("nibbles", ["1a", "41", "4a"])
def test_control_solution_is_no_value(nibbles):
    found = read(f"02 0500 e807060f080f00 64b0 {nibbles}")
    assert found.values == {"sequence_number": 5}
    assert "glucose:control-solution" in found.flags
    assert found.quality == BAD


@pytest.mark.parametrize(
    ("bit", "flag", "quality", "has"),
    [(0, "battery-low", GOOD, True), (5, "glucose:over-range", BAD, False), (6, "glucose:under-range", BAD, False),
     (11, "time-fault", GOOD, True), (12, None, GOOD, True), (15, None, GOOD, True),
     *((bit, glucose.STATUS[bit], UNCERTAIN, True) for bit in (1, 2, 3, 4, 7, 8, 9, 10))],
)  # fmt: skip
def test_status(bit, flag, quality, has):
    found = with_status(1 << bit)
    assert flag is None or flag in found.flags
    assert (found.quality, "glucose" in found.values) == (quality, has)


def test_no_concentration():
    found = read("00 0500 e807060f080f00")
    assert (found.flags, found.quality) == (("glucose:not-measured",), BAD)


def test_no_number():
    found = read("02 0500 e807060f080f00 fe07 11")
    assert found.flags[0] == "glucose:over-range"
    assert found.quality == BAD


def test_context():
    found = read(FULL, CONTEXT)
    assert found.values == {
        "glucose": 100, "sequence_number": 5, "carbohydrate": 0.03, "exercise_duration": 60, "exercise_intensity": 50,
        "medication": 123.4, "hba1c": 7.2,
    }  # fmt: skip
    assert found.units == {
        "glucose": "mg/dL", "carbohydrate": "kg", "exercise_duration": "s", "exercise_intensity": "%",
        "medication": "L", "hba1c": "%",
    }  # fmt: skip
    assert found.flags == (
        "sample-capillary-whole-blood", "location-alternate-site", "carbohydrate-dinner", "meal-casual",
        "tester-professional", "health-minor-issues", "medication-long-acting",
    )  # fmt: skip


def test_context_of_another_measurement_is_left_alone():
    assert read(FULL, CONTEXT.replace("0500", "0600", 1)).values == {"glucose": 100, "sequence_number": 5}
    assert glucose_context.reading(glucose.decode(bytes.fromhex(FULL)), None) == read(FULL)


def test_exercise_that_ran_over():
    found = read(FULL, "08 0500 ffff 64")
    assert "exercise_duration:over-range" in found.flags
    assert found.values["exercise_intensity"] == 100


@pytest.mark.parametrize(
    ("raw", "field", "value"),
    [("01 0100 02 64d0", "carbohydrate_id", 2), ("02 0100 03", "meal", 3), ("04 0100 51", "health", 5),
     ("04 0100 51", "tester", 1), ("10 0100 01 64d0", "medication_unit", "kg"),
     ("30 0100 01 64d0", "medication_unit", "L"), ("80 0100 aa", "extended_flags", 0xAA)],
)  # fmt: skip
def test_each_field_of_a_context(raw, field, value):
    assert getattr(glucose_context.decode(bytes.fromhex(raw)), field) == value


@pytest.mark.parametrize(("decode", "raw"), [(glucose.decode, FULL), (glucose_context.decode, CONTEXT)])
def test_short(decode, raw):
    data = bytes.fromhex(raw)
    decode(data + b"\0")
    for end in range(len(data)):
        with pytest.raises(FrameError, match="truncated"):
            decode(data[:end])


def test_samples_have_codes():
    known = find("glucose", "glucose")
    assert {f"sample-{word}" for word in glucose.TYPES.values()} == set(known.by_flag)
    assert known.codes(("sample-venous-plasma",)).mdc == 160196
    assert known.codes(("sample-undetermined-plasma",)).loinc_by_unit["mg/dL"] == "2339-0"
    assert known.codes(("sample-control-solution",)).loinc_by_unit == {}


def test_feature():
    assert glucose.decode_feature(b"\x03\x04") == 0x403
