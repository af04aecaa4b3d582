from decimal import Decimal

import pytest

from gatepost.drivers.ble.gatt import nonin
from gatepost.drivers.ble.gatt import pulse_oximeter as plx
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import BAD, GOOD, UNCERTAIN

SPOT = "0f 6100 4b00 e807060f080f00 0001 010000 23f0"
CONTINUOUS = "1f 6100 4b00 6200 4c00 6000 4a00 2000 010000 57f0"


def spot(raw, mark=None):
    return plx.reading(plx.decode_spot(bytes.fromhex(raw)), mark)


def continuous(raw):
    return plx.reading(plx.decode_continuous(bytes.fromhex(raw)))


def with_measurement(bit):
    return continuous("04 6100 4b00" + (1 << bit).to_bytes(2, "little").hex())


def with_sensor(bit):
    return continuous("08 6100 4b00" + (1 << bit).to_bytes(3, "little").hex())


def test_spot_check():
    found = spot(SPOT, ("plx", 1))
    assert found.metric == "pulse_oximetry"
    assert found.values == {"spo2": 97, "heart_rate": 75, "perfusion_index": 3.5}
    assert found.units == {"spo2": "%", "heart_rate": "/min", "perfusion_index": "%"}
    assert found.flags == ("fully-qualified", "extended-display-update")
    assert (found.quality, found.device_time, found.bookmark) == (GOOD, "2024-06-15T08:15:00", ("plx", 1))


def test_continuous():
    found = continuous(CONTINUOUS)
    assert found.values == {
        "spo2": 97, "heart_rate": 75, "spo2_fast": 98, "heart_rate_fast": 76, "spo2_slow": 96, "heart_rate_slow": 74,
        "perfusion_index": 8.7,
    }  # fmt: skip
    assert (found.flags, found.quality) == (("ongoing", "extended-display-update"), GOOD)


def test_a_clock_that_was_never_set_has_no_time():
    found = spot("11 6100 4b00 d0070101000500")
    assert (found.device_time, found.flags, found.quality) == (None, ("clock-not-set",), GOOD)


@pytest.mark.parametrize(("bit", "why"), [(10, "demonstration"), (11, "test-data"), (12, "calibrating"),
                                          (13, "unavailable"), (15, "invalid")])  # fmt: skip
def test_what_is_no_measurement_of_a_person(bit, why):
    found = with_measurement(bit)
    assert found.values == {}
    assert found.flags == (f"spo2:{why}", f"heart_rate:{why}", why)
    assert found.quality == BAD


@pytest.mark.parametrize(("bit", "why"), [(1, "device-fault"), (11, "sensor-unconnected"), (14, "sensor-fault"),
                                          (15, "sensor-disconnected")])  # fmt: skip
def test_what_a_sensor_without_a_finger_invents(bit, why):
    found = with_sensor(bit)
    assert found.values == {}
    assert found.flags == (f"spo2:{why}", f"heart_rate:{why}", why)


@pytest.mark.parametrize(
    ("bit", "flag", "quality"),
    [(5, "ongoing", GOOD), (6, "early-estimate", UNCERTAIN), (7, "validated", GOOD), (9, "from-memory", GOOD),
     (14, "questionable", UNCERTAIN)],
)  # fmt: skip
def test_measurement_status(bit, flag, quality):
    found = with_measurement(bit)
    assert (found.flags, found.quality, len(found.values)) == ((flag,), quality, 2)


@pytest.mark.parametrize("bit", [2, 3, 4, 5, 6, 7, 8, 10, 12, 13])
def test_sensor_status_that_raises_doubt(bit):
    assert with_sensor(bit).flags == (plx.SENSOR[bit],)
    assert with_sensor(bit).quality == UNCERTAIN


def test_reserved_bits_say_nothing():
    for found in (with_sensor(16), with_sensor(23), with_measurement(0), with_measurement(4)):
        assert (found.flags, found.quality) == ((), GOOD)


def test_no_number():
    found = continuous("00 ff07 0008")
    assert (found.flags, found.quality) == (("spo2:nan", "heart_rate:not-at-this-resolution"), BAD)
    assert continuous("00 6100 ff07").quality == UNCERTAIN


@pytest.mark.parametrize(("decode", "raw"), [(plx.decode_spot, SPOT), (plx.decode_continuous, CONTINUOUS)])
def test_short(decode, raw):
    data = bytes.fromhex(raw)
    decode(data + b"\0")
    for end in range(len(data)):
        with pytest.raises(FrameError, match="truncated"):
            decode(data[:end])


def test_features():
    assert plx.decode_features(bytes.fromhex("0300 e0ff ffff00")) == plx.OximeterFeatures(3, 0xFFE0, 0xFFFF)
    assert plx.decode_features(bytes.fromhex("0400")) == plx.OximeterFeatures(4)
    with pytest.raises(FrameError, match="truncated"):
        plx.decode_features(bytes.fromhex("0300 e0ff ffff"))


NONIN = bytes.fromhex("0a051e012c0010620048")


def test_nonin():
    found = nonin.decode(NONIN)
    assert (found.battery_v, found.counter_s) == (Decimal("3.0"), 16)
    told = nonin.reading(found)
    assert told.values == {"spo2": 98, "heart_rate": 72, "perfusion_index": 3.0}
    assert (told.flags, told.quality) == (("smartpoint",), GOOD)


@pytest.mark.parametrize(("status", "why"), [(0x08, "searching"), (0x01, "no-signal")])
def test_nonin_without_a_finger(status, why):
    told = nonin.reading(nonin.decode(bytes.fromhex(f"0a{status:02x}1e000000107f01ff")))
    assert (told.values, told.flags, told.quality) == ({}, (f"spo2:{why}", f"heart_rate:{why}"), BAD)


@pytest.mark.parametrize(("status", "flags", "quality"), [(0x02, ("weak-signal",), UNCERTAIN),
                         (0x10, ("finger-misplaced",), UNCERTAIN), (0x20, ("battery-low",), GOOD),
                         (0x08, ("searching",), UNCERTAIN), (0x40, (), GOOD)])  # fmt: skip
def test_nonin_status(status, flags, quality):
    told = nonin.reading(nonin.decode(NONIN[:1] + bytes((status,)) + NONIN[2:]))
    assert (told.flags, told.quality) == (flags, quality)


def test_nonin_short():
    nonin.decode(NONIN + b"\0")
    for end in range(len(NONIN)):
        with pytest.raises(FrameError, match="truncated"):
            nonin.decode(NONIN[:end])
    with pytest.raises(FrameError, match="bad_length"):
        nonin.decode(b"\x09" + NONIN[1:])
