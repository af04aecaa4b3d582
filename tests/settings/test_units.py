from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.agent.settings import units
from gatepost.agent.settings.units import WrongUnit, parse_duration, parse_rate, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("30s", 30), ("5m", 300), ("2h", 7200), ("7d", 604800), ("1h30m", 5400), ("1.5s", 1.5), ("0", 0)],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("64MB", 64_000_000), ("2GB", 2_000_000_000), ("512KiB", 524_288), ("1.5kB", 1500), ("10B", 10), ("0", 0)],
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(("text", "rate"), [("20/s", 20), ("6/m", 0.1), ("36/h", 0.01), ("0", 0)])
def test_rates(text, rate):
    assert parse_rate(text) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("parse", "text", "hint"),
    [
        (parse_duration, "30", "write 30s"),
        (parse_duration, "5 min", "write 5m"),
        (parse_duration, "30S", "write 30s"),
        (parse_duration, "2 days", "write 2d"),
        (parse_duration, "12:30:00", "with units"),
        (parse_duration, "-1s", "like 500ms"),
        (parse_duration, "soon", "like 500ms"),
        (parse_duration, "", "like 500ms"),
        (parse_size, "64M", "write 64MB"),
        (parse_size, "2gb", "write 2GB"),
        (parse_size, "1000", "write 1000B"),
        (parse_rate, "20", "write 20/s"),
        (parse_rate, "20 per minute", "write 20/m"),
    ],
)
def test_other_spellings_are_refused_with_the_right_one(parse, text, hint):
    with pytest.raises(WrongUnit) as caught:
        parse(text)
    assert hint in caught.value.hint


@given(st.integers(0, 10**13))
def test_a_shown_duration_reads_back(micros):
    seconds = micros / 1_000_000
    assert parse_duration(units.show_duration(seconds)) == pytest.approx(seconds, abs=1e-6)


@given(st.integers(0, 10**15))
def test_a_shown_size_reads_back_exactly(size):
    assert parse_size(units.show_size(size)) == size


@given(st.integers(0, 10**6), st.sampled_from([1, 60, 3600]))
def test_a_shown_rate_reads_back(count, seconds):
    rate = count / seconds
    assert parse_rate(units.show_rate(rate)) == pytest.approx(rate, abs=1e-9)


@given(st.text(max_size=30), st.sampled_from(list(units.UNITS.values())))
def test_any_text_is_a_value_or_wrong_unit(text, unit):
    try:
        value = unit.parse(text)
    except WrongUnit as error:
        value = len(error.hint) - 1  # it always says how to write it
    assert value >= 0


@pytest.mark.parametrize("parse", [parse_duration, parse_rate, parse_size])
def test_a_long_text_is_refused_at_once(parse):
    """It may come from whoever asks for a curve; looked at in every way it would hold the agent up for hours."""
    tracemalloc.start()
    try:
        for text in ("1" + " " * 1_000_000 + "!", "1" * 1_000_000 + "!", "1s" * 500_000 + "!", "1:" * 500_000 + "!"):
            with pytest.raises(WrongUnit):
                parse(text)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_usual_values_are_shown_as_people_write_them():
    assert units.show_duration(604800) == "7d"
    assert units.show_duration(5400) == "1h30m"
    assert units.show_duration(0.5) == "500ms"
    assert units.show_duration(2.5) == "2.5s"
    assert units.show_size(2_000_000_000) == "2GB"
    assert units.show_size(524_288) == "512KiB"
    assert units.show_rate(5 / 60) == "5/m"
