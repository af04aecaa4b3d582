from datetime import datetime

import pytest

from gatepost.drivers.ble.gatt import times
from gatepost.drivers.ble.gatt.times import DateTime
from gatepost.drivers.checksums import FrameError

MOMENT = DateTime(2025, 1, 2, 7, 8, 9)
WIRE = bytes.fromhex("e907010207 0809")


def test_date_time():
    assert times.decode_date_time(WIRE) == MOMENT
    assert times.decode_date_time(WIRE + b"\xff") == MOMENT
    assert MOMENT.encode() == WIRE
    assert MOMENT.iso() == "2025-01-02T07:08:09"
    assert MOMENT.iso(-500) == "2025-01-01T22:48:09"


@pytest.mark.parametrize(
    "parts",
    [(0, 4, 17, 20, 41, 59), (2024, 0, 1, 0, 0, 0), (2024, 1, 0, 0, 0, 0), (2023, 2, 29, 0, 0, 0),
     (2024, 1, 1, 24, 0, 0), (65535, 255, 255, 255, 255, 255)],
)  # fmt: skip
def test_a_time_that_is_unknown_or_none_is_no_time(parts):
    unknown = DateTime(*parts)
    assert times.decode_date_time(unknown.encode()) == unknown
    assert unknown.iso() is None


def test_an_offset_out_of_the_calendar_is_no_time():
    assert DateTime(9999, 12, 31, 23, 59, 0).iso(2) is None
    assert DateTime(1, 1, 1, 0, 0, 0).iso(-1) is None


def test_a_part_that_does_not_fit_is_refused():
    for wrong in (DateTime(70000, 1, 1, 0, 0, 0), DateTime(2024, 256, 1, 0, 0, 0), DateTime(-1, 1, 1, 0, 0, 0)):
        with pytest.raises(ValueError, match="range"):
            wrong.encode()


def test_current_time():
    found = times.current_time(datetime(2026, 11, 20, 10, 30, 59, 500_000))  # noqa: DTZ001  # a device's clock has no zone
    assert found.encode() == bytes.fromhex("ea070b140a1e3b058001")
    assert times.decode_current_time(found.encode()) == found
    assert found.day_of_week == 5  # a Friday
    exact = times.decode_exact_time(found.encode())
    assert exact.adjust_reason is None
    assert exact.encode() == found.encode()[:9]
    assert times.decode_day_date_time(found.encode()).day_of_week == 5


@pytest.mark.parametrize(
    ("raw", "zone", "dst"),
    [("0408", 60, 120), ("d000", -720, 0), ("3804", 840, 60), ("80ff", None, None), ("fc02", -60, 30)],
)
def test_local_time(raw, zone, dst):
    found = times.decode_local_time(bytes.fromhex(raw))
    assert (found.tz_offset_min, found.dst_offset_min) == (zone, dst)
    assert times.encode_local_time(found) == bytes.fromhex(raw)


@pytest.mark.parametrize("raw", ["3900", "cf00", "7f00", "0001", "0003", "0009"])
def test_local_times_that_do_not_exist(raw):
    with pytest.raises(FrameError, match="out_of_range"):
        times.decode_local_time(bytes.fromhex(raw))


@pytest.mark.parametrize("wrong", [(7, 0), (900, 0), (0, 45)])
def test_local_times_that_cannot_be_told(wrong):
    with pytest.raises(ValueError, match=r"minutes|quarters"):
        times.encode_local_time(times.LocalTimeInformation(*wrong))


def test_day_of_week():
    assert [times.decode_day_of_week(bytes((day,))) for day in (0, 1, 7)] == [0, 1, 7]
    with pytest.raises(FrameError, match="out_of_range"):
        times.decode_day_of_week(b"\x08")


@pytest.mark.parametrize(
    ("decode", "size"),
    [(times.decode_date_time, 7), (times.decode_day_of_week, 1), (times.decode_day_date_time, 8),
     (times.decode_exact_time, 9), (times.decode_current_time, 10), (times.decode_time_zone, 1),
     (times.decode_dst_offset, 1), (times.decode_local_time, 2)],
)  # fmt: skip
def test_short_values_are_refused(decode, size):
    decode(bytes(size))
    for short in range(size):
        with pytest.raises(FrameError, match="truncated"):
            decode(bytes(short))
