"""Topic filters of MQTT 5, section 4.7."""

from __future__ import annotations

import pytest

from gatepost.agent.core.topic_filter import TopicFilter


@pytest.mark.parametrize(
    ("text", "topic", "matched"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/c", False),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("a/+/c", "a//c", True),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("#", "/", True),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True),
        ("$share/group/a/+", "a/b", True),
        ("$share/group/#", "$SYS/x", False),
    ],
)
def test_matches(text: str, topic: str, matched: bool) -> None:
    assert TopicFilter(text).matches(topic) is matched


@pytest.mark.parametrize(
    ("text", "narrower", "covered"),
    [
        ("#", "a/#", True),
        ("a/+", "a/+", True),
        ("a/+", "a/#", False),
        ("a/b", "a/+", False),
        ("a/#", "a/+/c", True),
        ("#", "$share/group/a", False),
        ("$share/group/#", "a", False),
        ("$share/group/#", "$share/group/a", True),
    ],
)
def test_covers(text: str, narrower: str, covered: bool) -> None:
    assert TopicFilter(text).covers(narrower) is covered
