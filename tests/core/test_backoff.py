"""Waiting: jitter, growth, bounds, and what makes it forget."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from gatepost.agent.core.backoff import FIRST_INTERVAL, LONGEST_INTERVAL, Backoff, RepeatLimiter

FIRST, LONGEST, STEADY = 0.5, 15.0, 30.0


def backoff_of(seed: int) -> Backoff:
    return Backoff(Random(seed), FIRST, LONGEST, STEADY)


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_waits_double_within_jitter_and_bounds(seed: int, count: int) -> None:
    backoff = backoff_of(seed)
    for failure in range(count):
        span = min(LONGEST, FIRST * 2.0**failure)
        assert span / 2 <= backoff.next() <= span


def test_two_gateways_do_not_wait_alike() -> None:
    one, other = backoff_of(1), backoff_of(2)
    assert [one.next() for _ in range(5)] != [other.next() for _ in range(5)]


def test_connect_then_kick_goes_on_growing() -> None:
    backoff = backoff_of(1)
    waits = []
    for _ in range(10):
        backoff.held(STEADY - 0.1)
        waits.append(backoff.next())
    assert waits[-1] >= LONGEST / 2


def test_a_connection_that_held_resets() -> None:
    backoff = backoff_of(1)
    for _ in range(10):
        backoff.next()
    backoff.held(STEADY)
    assert backoff.next() <= FIRST


def test_a_success_resets() -> None:
    backoff = backoff_of(1)
    for _ in range(10):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= FIRST


@given(st.integers(0, 2**32), st.integers(0, 5000))
def test_failures_without_end_are_waited_for(seed: int, failures: int) -> None:
    backoff = backoff_of(seed)
    backoff.failures = failures
    assert backoff.next() <= LONGEST


@given(st.integers(0, 2**32), st.integers(0, 20), st.sampled_from([10.0, 30.0]))
def test_at_least_is_kept_and_jittered(seed: int, failures: int, least: float) -> None:
    backoff = backoff_of(seed)
    backoff.failures = failures
    assert least <= backoff.next(least) <= max(1.5 * least, LONGEST)


def test_reports_of_the_same_become_rare_and_begin_anew_after_quiet() -> None:
    limiter = RepeatLimiter()
    assert limiter.left(100.0) == 0
    now, waits = 100.0, []
    for _ in range(9):
        limiter.told(now)
        waits.append(limiter.left(now))
        now += waits[-1]
    assert waits[:4] == [FIRST_INTERVAL, 2.0, 4.0, 8.0]
    assert waits[-1] == LONGEST_INTERVAL
    now += LONGEST_INTERVAL
    limiter.told(now)
    assert limiter.left(now) == FIRST_INTERVAL
