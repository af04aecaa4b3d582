"""Sequences of damage on the store: the tool's own look at a few, and that it sees what is wrong."""

import pytest

from tools.harness.damage_sequences import DamageSequence, play


@pytest.mark.parametrize("seed", range(6))
def test_no_damage_gives_an_id_to_two_readings(seed, tmp_path):
    found = play(seed, 5, tmp_path)
    # How many are missing may be told too low where damage follows damage: docs/measurements.md.
    assert [what for what in found.wrong if "are missing" not in what] == [], found.story
    assert len(found.given) > 5


async def test_an_id_that_was_given_twice_is_seen(tmp_path):
    sequence = DamageSequence(tmp_path, 1)
    await sequence._open()
    await sequence._fill()
    sequence.given = {sequence._store.reading_id(1): -1}
    await sequence._read()
    await sequence._close(finish=True)
    assert sequence.wrong[0].endswith("was reading -1 and is 1")
