from __future__ import annotations

import statistics

from hypothesis import given
from hypothesis import strategies as st

from gatepost.agent.devices.aggregation import MAX_NAMES, MAX_SAMPLES, LastWindow, MedianWindow, window
from gatepost.drivers.reading import BAD, UNCERTAIN, Reading

UNITS = {"spo2": "%", "pulse": "/min"}


def condensed(how: str, *readings: Reading) -> Reading:
    held = window(how)
    for reading in readings:
        held.add(reading)
    assert held.count == len(readings)
    whole = held.condense()
    assert held.count == 0
    return whole


def test_median_is_a_value_that_the_device_gave():
    whole = condensed("median", *(Reading("m", {"spo2": value}) for value in (90, 99, 98, 97)))
    assert whole.values == {"spo2": 97}
    assert isinstance(whole.values["spo2"], int)


@given(st.lists(st.integers(0, 255), min_size=1, max_size=MAX_SAMPLES - 1))
def test_median_of_integers_is_the_lower_median(numbers):
    whole = condensed("median", *(Reading("m", {"v": number}) for number in numbers))
    assert whole.values["v"] == statistics.median_low(numbers)


def test_median_of_very_many_is_bounded_and_still_in_the_middle():
    held = MedianWindow()
    for number in range(200_000):
        held.add(Reading("m", {"v": number}))
    assert len(held._columns["v"]._numbers) < MAX_SAMPLES
    assert abs(held.condense().values["v"] - 100_000) < 2_000


def test_flags_are_united_and_the_quality_is_the_worst():
    whole = condensed(
        "median",
        Reading("m", {"v": 1}, flags=("artifact",)),
        Reading("m", {"v": 1}, quality=BAD),
        Reading("m", {"v": 1}, flags=("low-battery", "artifact"), quality=UNCERTAIN),
    )
    assert whole.flags == ("artifact", "low-battery")
    assert whole.quality == BAD


def test_a_value_missing_in_most_is_left_out_with_its_whys():
    gone = Reading("m", {"pulse": 60}, UNITS, ("spo2:no-finger",))
    searching = Reading("m", {"pulse": 62}, UNITS, ("spo2:searching",))
    there = Reading("m", {"spo2": 97, "pulse": 61}, UNITS)
    whole = condensed("median", gone, there, searching)
    assert whole.values == {"pulse": 61}
    assert whole.units == {"pulse": "/min"}
    assert whole.flags == ("spo2:no-finger", "spo2:searching")


def test_a_value_missing_in_few_is_reported_without_the_whys():
    gone = Reading("m", {}, {}, ("spo2:no-finger",))
    there = Reading("m", {"spo2": 97}, {"spo2": "%"}, ("spo2:remark",))
    whole = condensed("median", there, gone, there)
    assert whole.values == {"spo2": 97}
    assert whole.flags == ("spo2:remark",)
    assert whole.units == {"spo2": "%"}


def test_all_missing_says_why():
    whole = condensed("median", *[Reading("m", {}, {}, ("spo2:no-finger", "pulse:no-finger"))] * 3)
    assert whole.values == {}
    assert whole.flags == ("spo2:no-finger", "pulse:no-finger")


def test_values_that_come_in_turn_are_all_reported():
    turns = [Reading("m", {name: number}, {name: name}) for number in (1, 2, 3) for name in ("t", "h", "p")]
    for how in ("median", "last"):
        whole = condensed(how, *turns)
        assert whole.values.keys() == {"t", "h", "p"}
        assert whole.units == {"t": "t", "h": "h", "p": "p"}


def test_what_is_no_number_is_the_newest():
    whole = condensed("median", Reading("m", {"mode": "a", "on": True}), Reading("m", {"mode": "b", "on": False}))
    assert whole.values == {"mode": "b", "on": False}


def test_last_is_the_newest_as_it_is():
    newest = Reading("m", {"v": 3}, {"v": "Cel"}, ("x",), device_time="2026-01-01T00:00:00")
    assert condensed("last", Reading("m", {"v": 1}, quality=BAD), newest) == newest


def test_last_does_not_bring_back_what_the_newest_excuses():
    whole = condensed("last", Reading("m", {"spo2": 97, "pulse": 60}), Reading("m", {"pulse": 61}, {}, ("spo2:nan",)))
    assert whole.values == {"pulse": 61}
    assert whole.flags == ("spo2:nan",)


def test_device_time_is_the_newest_one_given():
    for how in ("median", "last"):
        first = Reading("m", {"v": 1, "w": 1}, device_time="2026-01-01T00:00:00")
        second = Reading("m", {"v": 2, "w": 1}, device_time="2026-01-01T00:00:01")
        third = Reading("m", {"v": 3})
        assert condensed(how, first, second, third).device_time == "2026-01-01T00:00:01"


def test_made_up_names_are_bounded():
    median, last = MedianWindow(), LastWindow()
    for number in range(5000):
        reading = Reading("m", {f"v{number}": 1}, {f"v{number}": "u"}, (f"f{number}", f"w{number}:gone"))
        median.add(reading)
        last.add(reading)
    for held in (median, last):
        whole = held.condense()
        assert len(whole.values) <= MAX_NAMES
        assert len(whole.flags) <= 2 * MAX_NAMES
