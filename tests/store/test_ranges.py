"""Ranges behave like the set of numbers that they stand for."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from gatepost.agent.store.ranges import FOREVER, Ranges

span = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: (min(pair), max(pair)))
steps = st.lists(st.tuples(st.booleans(), span), max_size=30)


def numbers(ranges: Ranges) -> set[int]:
    return {number for lo, hi in ranges for number in range(lo, hi)}


@given(steps)
def test_add_and_subtract_are_set_operations(steps: list[tuple[bool, tuple[int, int]]]) -> None:
    ranges, expected = Ranges(), set[int]()
    for add, (lo, hi) in steps:
        if add:
            ranges.add(lo, hi)
            expected |= set(range(lo, hi))
        else:
            ranges.subtract(lo, hi)
            expected -= set(range(lo, hi))
        parts = list(ranges)
        assert numbers(ranges) == expected
        assert all(a < b for a, b in parts)
        assert all(left[1] < right[0] for left, right in itertools.pairwise(parts))
        assert all((number in ranges) == (number in expected) for number in range(62))


@given(steps, span)
def test_within_and_outside_cut_a_span_in_two(steps: list[tuple[bool, tuple[int, int]]], span: tuple[int, int]) -> None:
    ranges = Ranges()
    for add, (lo, hi) in steps:
        (ranges.add if add else ranges.subtract)(lo, hi)
    inside, outside = numbers(Ranges(ranges.within(*span))), numbers(Ranges(ranges.outside(*span)))
    assert inside | outside == set(range(*span))
    assert inside == numbers(ranges) & set(range(*span))
    assert not inside & outside


@given(st.lists(st.integers(0, 500), max_size=80))
def test_a_limit_owes_more_never_less(singles: list[int]) -> None:
    ranges = Ranges(limit=5)
    for number in singles:
        ranges.add(number, number + 1)
    assert len(ranges) <= 5
    assert set(singles) <= numbers(ranges)


def test_the_open_end_stays_open() -> None:
    ranges = Ranges([(1, FOREVER)])
    ranges.subtract(1, 1000)
    assert list(ranges) == [(1000, FOREVER)]
