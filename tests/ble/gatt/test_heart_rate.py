import pytest

from gatepost.drivers.ble.gatt import heart_rate
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import BAD, GOOD


def read(raw, **more):
    return heart_rate.reading(heart_rate.decode(bytes.fromhex(raw)), **more)


def test_everything():
    found = read("1f 4800 e803 0004 0002", location=1)
    assert found.metric == "heart_rate"
    assert found.values == {"heart_rate": 72, "energy_expended": 1000, "rr_intervals": [1000.0, 500.0]}
    assert found.units == {"heart_rate": "/min", "energy_expended": "kJ", "rr_intervals": "ms"}
    assert (found.flags, found.quality, found.device_time) == (("location-chest",), GOOD, None)


def test_rr_is_in_1024ths_of_a_second():
    assert heart_rate.decode(bytes.fromhex("163c1104")).rr_ms == [1016.6016]


def test_without_contact_there_is_no_rate():
    found = read("1caa bb01 0004")
    assert found.values == {"energy_expended": 443}
    assert found.flags == ("heart_rate:no-contact", "rr_intervals:no-contact")
    assert found.quality == BAD


def test_contact_that_is_not_watched_means_nothing():
    assert read("024b").values == {"heart_rate": 75}
    assert read("004b").quality == GOOD


def test_a_rate_of_zero_is_none():
    found = read("0600")
    assert (found.values, found.flags, found.quality) == ({}, ("heart_rate:no-signal",), BAD)


def test_energy_that_is_full():
    found = read("084bffff")
    assert found.values == {"heart_rate": 75}
    assert found.flags == ("energy_expended:over-range",)
    assert found.quality == GOOD


def test_intervals_to_the_end():
    assert heart_rate.decode(bytes.fromhex("104b")).rr_1024 == ()
    assert heart_rate.decode(bytes.fromhex("104b0004ff")).rr_1024 == (1024,)  # half of one at the end
    assert heart_rate.decode(bytes.fromhex("004b0004")).rr_1024 is None  # octets without their flag
    assert "rr_intervals" not in read("104b").values


def test_reserved_bits_are_ignored():
    assert heart_rate.decode(bytes.fromhex("e04b")) == heart_rate.decode(bytes.fromhex("004b"))


@pytest.mark.parametrize("raw", ["", "00", "01", "0148", "0848", "084801"])
def test_short(raw):
    with pytest.raises(FrameError, match="truncated"):
        heart_rate.decode(bytes.fromhex(raw))


def test_locations():
    assert heart_rate.decode_location(b"\x05") == 5
    assert read("004b", location=5).flags == ("location-ear-lobe",)
    assert read("004b", location=99).flags == ()
    with pytest.raises(FrameError, match="truncated"):
        heart_rate.decode_location(b"")
