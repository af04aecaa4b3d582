import pytest

from gatepost.drivers.ble.gatt import thermometer
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.metrics import find
from gatepost.drivers.reading import BAD, GOOD, UNCERTAIN

FULL = "06 6e0100ff dc070c050b321b 03"


def read(raw, **more):
    return thermometer.reading(thermometer.decode(bytes.fromhex(raw)), **more)


def test_everything():
    found = read(FULL)
    assert (found.metric, found.values, found.units) == (
        "body_temperature",
        {"temperature": 36.6},
        {"temperature": "Cel"},
    )
    assert (found.flags, found.quality, found.device_time) == (("site-ear",), GOOD, "2012-12-05T11:50:27")


def test_fahrenheit_stays():
    found = read("01 da0300ff")
    assert (found.values, found.units) == ({"temperature": 98.6}, {"temperature": "[degF]"})


@pytest.mark.parametrize(
    ("raw", "why"),
    [("ffff7f00", "nan"), ("00008000", "not-at-this-resolution"), ("feff7f00", "over-range"),
     ("02008000", "under-range"), ("01008000", "reserved")],
)  # fmt: skip
def test_no_number(raw, why):
    found = read("00" + raw)
    assert (found.values, found.flags, found.quality) == ({}, (f"temperature:{why}",), BAD)


def test_sites():
    assert read("0025000000", constant_type=7).flags == ("site-rectum",)
    assert read(FULL, constant_type=7).flags == ("site-ear",)  # what the value says goes before
    assert read("04 25000000 63").flags == ()  # a number of no list
    known = find("body_temperature", "temperature")
    assert {f"site-{word}" for word in thermometer.SITES.values()} == set(known.by_flag)
    assert known.codes(("site-ear",)).mdc == 188428
    assert known.codes(("site-ear",)).loinc == ("8310-5", "8333-7")
    assert known.codes(("else",)).mdc == 150364


def test_intermediate():
    found = read("0025000000", intermediate=True)
    assert (found.flags, found.quality) == (("intermediate",), UNCERTAIN)


def test_short():
    data = bytes.fromhex(FULL)
    thermometer.decode(data + b"\0")
    for end in range(len(data)):
        with pytest.raises(FrameError, match="truncated"):
            thermometer.decode(data[:end])


def test_type_and_interval():
    assert thermometer.decode_type(b"\x02") == 2
    assert thermometer.decode_interval(b"\x2c\x01") == 300
    with pytest.raises(FrameError, match="truncated"):
        thermometer.decode_interval(b"\x2c")
