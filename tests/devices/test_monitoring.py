from __future__ import annotations

from gatepost.agent.core.clock import US, Stamp
from gatepost.agent.devices.desired_state import DesiredState, dump, load

NOW = Stamp(1_700_000_000 * US, 1000 * US, True)


def later(seconds: float, wall: float = 0) -> Stamp:
    return Stamp(round(NOW.wall + (seconds + wall) * US), round(NOW.mono + seconds * US), True)


def test_it_is_kept_as_it_is():
    desired = DesiredState().started(5, None, 1.0, NOW, "b").started(2, 60, 1.0, NOW, "b").stopped().paced(3, None)
    assert load(dump(desired)) == desired
    timed = DesiredState().started(2, 60, 1.0, NOW, "b")
    assert load(dump(timed)) == timed
    assert load(None) == DesiredState()


def test_the_newer_order_wins():
    ordered = DesiredState().paced(30, every=2)
    assert ordered.under(2, NOW, "b").pace == 30
    assert ordered.under(5, NOW, "b").pace is None
    assert ordered.under(None, NOW, "b").pace is None


def test_an_interval_during_a_time_replaces_that_of_the_time():
    ordered = DesiredState().started(2, 60, None, NOW, "b").paced(9, None)
    assert ordered.pace == 9
    assert ordered.timed is not None


def test_the_end_is_exact_within_a_boot_whatever_the_wall_clock_does():
    timed = DesiredState().started(None, 60, None, NOW, "b").timed
    assert timed is not None
    assert timed.remaining(later(10, wall=1e6), "b") == 50
    assert timed.remaining(later(61, wall=-1e6), "b") == 0


def test_after_a_boot_it_goes_by_the_wall_and_never_lasts_longer_than_ordered():
    timed = DesiredState().started(None, 60, None, NOW, "b").timed
    assert timed is not None
    assert timed.remaining(later(10), "other") == 50
    assert timed.remaining(later(10, wall=-1e7), "other") == 60


def test_stopping_ends_the_time():
    stopped = DesiredState().started(2, 60, None, NOW, "b").stopped()
    assert not stopped.reporting
    assert stopped.pace is None


def test_starting_for_good_keeps_an_interval_that_was_ordered_before():
    assert DesiredState().paced(30, None).started(None, None, None, NOW, "b").pace == 30
