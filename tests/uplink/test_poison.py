"""Who is suspected, who is condemned, and who never."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gatepost.agent.uplink.poison_messages import CONDEMN_AFTER, SUSPECT_AFTER, PoisonMessages


def suspect(poison: PoisonMessages, seq: int) -> None:
    for _ in range(SUSPECT_AFTER):
        assert poison.hung_up(seq, False) is None
    assert poison.suspect == seq


def test_a_poisonous_message_is_condemned_after_it_was_sent_alone() -> None:
    poison = PoisonMessages()
    suspect(poison, 5)
    assert [poison.hung_up(5, True) for _ in range(CONDEMN_AFTER)] == [None] * (CONDEMN_AFTER - 1) + [5]
    assert poison.suspect is None


def test_hang_ups_before_anything_was_sent_condemn_nobody() -> None:
    poison = PoisonMessages()
    suspect(poison, 5)
    assert {poison.hung_up(None, False) for _ in range(100)} == {None}


def test_one_that_was_never_alone_is_not_condemned() -> None:
    poison = PoisonMessages()
    assert {poison.hung_up(5, False) for _ in range(100)} == {None}


def test_an_acknowledgement_acquits() -> None:
    poison = PoisonMessages()
    suspect(poison, 5)
    for _ in range(CONDEMN_AFTER - 1):
        poison.hung_up(5, True)
    assert poison.watching
    poison.delivered(5)
    assert poison.suspect is None
    assert not poison.watching
    assert poison.hung_up(5, True) is None


def test_another_first_in_between_starts_the_count_anew() -> None:
    poison = PoisonMessages()
    for seq in (1, 2, 1, 2, 1):
        poison.hung_up(seq, False)
    assert poison.suspect is None


def test_a_second_poison_in_front_of_the_suspect_becomes_the_suspect() -> None:
    poison = PoisonMessages()
    suspect(poison, 5)
    results = [poison.hung_up(9, True) for _ in range(SUSPECT_AFTER + CONDEMN_AFTER)]
    assert results[-1] == 9
    assert results.count(None) == len(results) - 1


def test_a_broker_that_hangs_up_on_everything_costs_one_reading_at_most() -> None:
    poison = PoisonMessages()
    condemned = [poison.hung_up(5, True) for _ in range(SUSPECT_AFTER + CONDEMN_AFTER)]
    assert condemned[-1] == 5
    assert {poison.hung_up(6, True) for _ in range(100)} == {None}
    assert poison.watching
    poison.vouch()
    assert poison.hung_up(6, True) == 6


@given(st.lists(st.integers(1, 1000), max_size=200))
def test_a_kicker_condemns_nobody(firsts: list[int]) -> None:
    """It hangs up at any time, with anything in flight; what is alone is acknowledged."""
    poison = PoisonMessages()
    for first in firsts:
        assert poison.hung_up(first, False) is None
        if poison.suspect is not None:
            poison.delivered(poison.suspect)
