import pytest

from gatepost.drivers.ble.gatt import environment
from gatepost.drivers.ble.gatt.environment import KINDS, SFLOAT
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.metrics import find
from gatepost.drivers.reading import BAD, GOOD, UNCERTAIN


def read(short, raw):
    return environment.reading(environment.decode(short, bytes.fromhex(raw)))


@pytest.mark.parametrize(
    ("short", "raw", "name", "number", "unit"),
    [(0x2A6E, "2909", "temperature", 23.45, "Cel"), (0x2A6E, "0cfe", "temperature", -5.0, "Cel"),
     (0x2A6F, "bf13", "humidity", 50.55, "%"), (0x2A6D, "02760f00", "pressure", 101325.0, "Pa"),
     (0x2A7B, "f6", "dew_point", -10, "Cel"), (0x2A76, "07", "uv_index", 7, None),
     (0x2A70, "e803", "wind_speed", 10.0, "m/s"), (0x2A78, "0c00", "rainfall", 12, "mm"),
     (0x2AFB, "40e201", "illuminance", 1234.56, "lx"), (0x2B8C, "e204", "co2", 1250, "[ppm]"),
     (0x2BD6, "19b0", "pm25", 250_000, "ug/m3"), (0x2BD5, "7d80", "pm1", 1250, "ug/m3"),
     (0x2BD7, "2380", "pm10", 350, "ug/m3"), (0x2BE7, "6400", "tvoc", 100, "[ppb]"),
     (0x2BD1, "6c07", "methane", 1900, "[ppb]"), (0x2BE4, "2a", "noise", 42, "dB[SPL]"),
     (0x2AA3, "01", "pressure_trend", "continuously-falling", None), (0x2A6C, "18fcff", "elevation", -10.0, "m")],
)  # fmt: skip
def test_each(short, raw, name, number, unit):
    found = read(short, raw)
    assert found.metric == "environment"
    assert found.values == {name: number}
    assert found.units == ({name: unit} if unit else {})
    assert (found.flags, found.quality) == ((), GOOD)


@pytest.mark.parametrize(
    ("short", "raw", "flag"),
    [(0x2A6E, "0080", "temperature:not-available"), (0x2A6F, "ffff", "humidity:not-available"),
     (0x2AFB, "ffffff", "illuminance:not-available"), (0x2B8C, "ffff", "co2:not-available"),
     (0x2B8C, "feff", "co2:over-range"), (0x2BD6, "ff07", "pm25:nan"), (0x2BD6, "fe07", "pm25:over-range"),
     (0x2AA3, "00", "pressure_trend:not-available"), (0x2AA3, "0a", "pressure_trend:not-available")],
)  # fmt: skip
def test_no_value(short, raw, flag):
    found = read(short, raw)
    assert (found.values, found.units, found.flags, found.quality) == ({}, {}, (flag,), BAD)


def test_several_in_one_reading():
    warm, damp = environment.decode(0x2A6E, b"\x29\x09"), environment.decode(0x2A6F, b"\xff\xff")
    found = environment.reading(warm, damp)
    assert (found.values, found.flags) == ({"temperature": 23.45}, ("humidity:not-available",))
    assert found.quality == UNCERTAIN


@pytest.mark.parametrize("short", KINDS)
def test_short_values_are_refused(short):
    size = 2 if KINDS[short].octets == SFLOAT else abs(KINDS[short].octets)
    environment.decode(short, bytes(size + 1))
    for end in range(size):
        with pytest.raises(FrameError, match="truncated"):
            environment.decode(short, bytes(end))


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_the_catalogue_knows_each(kind):
    known = find("environment", kind.name)
    assert known is not None
    assert kind.unit in known.units or (not kind.unit and not known.units)
