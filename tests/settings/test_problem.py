"""Problems as a line for people."""

from __future__ import annotations

from gatepost.agent.settings.problem import told_problems


def test_a_problem_of_no_key_in_particular_has_no_place() -> None:
    ended = {"where": "", "message": "the agent ended while it was tried"}
    assert told_problems([ended]) == "the agent ended while it was tried"
    assert told_problems([{"where": "brokers.a", "message": "is away"}, ended, ended], 2) == (
        "brokers.a: is away; the agent ended while it was tried"
    )
