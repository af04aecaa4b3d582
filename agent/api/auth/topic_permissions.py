"""MQTT topic filters as permissions: what they allow to publish, and to subscribe to."""

from __future__ import annotations

from collections.abc import Iterable

from gatepost.agent.core.topic_filter import TopicFilter


def allows(filters: Iterable[str], topic: str) -> bool:
    """Whether one of them matches this topic; a topic with wildcards is none."""
    return not set("+#") & set(topic) and covers(filters, topic)


def covers(filters: Iterable[str], wanted: str) -> bool:
    """Whether everything that `wanted`, itself a filter, matches is matched by one of them."""
    return any(TopicFilter(each).covers(wanted) for each in filters)
