"""Waiting: jitter, growth, bounds, and what makes it forget."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from gatepost.agent.core.backoff import FIRST, MOST, STEADY, Backoff


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_waits_double_within_jitter_and_bounds(seed: int, count: int) -> None:
    backoff = Backoff(Random(seed))
    for failure in range(count):
        span = min(MOST, FIRST * 2.0**failure)
        assert span / 2 <= backoff.next() <= span


def test_two_gateways_do_not_wait_alike() -> None:
    one, other = Backoff(Random(1)), Backoff(Random(2))
    assert [one.next() for _ in range(5)] != [other.next() for _ in range(5)]


def test_connect_then_kick_goes_on_growing() -> None:
    backoff = Backoff(Random(1))
    waits = []
    for _ in range(10):
        backoff.held(STEADY - 0.1)
        waits.append(backoff.next())
    assert waits[-1] >= MOST / 2


def test_a_connection_that_held_resets() -> None:
    backoff = Backoff(Random(1))
    for _ in range(10):
        backoff.next()
    backoff.held(STEADY)
    assert backoff.next() <= FIRST


@given(st.integers(0, 2**32), st.integers(0, 20), st.sampled_from([10.0, 30.0]))
def test_at_least_is_kept_and_jittered(seed: int, failures: int, least: float) -> None:
    backoff = Backoff(Random(seed))
    backoff.failures = failures
    assert least <= backoff.next(least) <= max(1.5 * least, MOST)
