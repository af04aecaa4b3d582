"""A rate with a burst."""

from __future__ import annotations

import pytest

from gatepost.agent.core.token_bucket import TokenBucket


def test_it_gives_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(rate=0.1, burst=2, now=0.0)
    assert [bucket.take(0.0) for _ in range(3)] == [0.0, 0.0, 10.0]
    assert bucket.take(4.0) == pytest.approx(6.0)
    assert [bucket.take(10.0) for _ in range(2)] == [0.0, 10.0]


def test_it_fills_to_its_burst_and_no_further() -> None:
    bucket = TokenBucket(rate=0.1, burst=2, now=0.0)
    assert [bucket.take(1000.0) for _ in range(3)] == [0.0, 0.0, 10.0]


def test_looking_uses_nothing_up() -> None:
    bucket = TokenBucket(rate=1.0, burst=1, now=0.0)
    assert bucket.wait(0.0) == bucket.wait(0.0) == 0.0
    bucket.spend()
    assert bucket.wait(0.25) == pytest.approx(0.75)
