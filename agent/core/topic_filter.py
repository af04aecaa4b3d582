"""MQTT topic filters: which topics, and which narrower filters, a filter matches (MQTT 5, section 4.7)."""

from __future__ import annotations

LONGEST_FILTER = 1024  # octets


def is_filter(text: str) -> bool:
    """Whether it is a topic filter (MQTT 5, section 4.7.1) of sensible length."""
    levels = text.split("/")
    return (
        0 < len(text.encode("utf-8", "replace")) <= LONGEST_FILTER
        and "\0" not in text
        and all(level in ("+", "#") or not set("+#") & set(level) for level in levels)
        and "#" not in levels[:-1]
    )


class TopicFilter:
    """Topic filter, valid as check_filter has it, and split into its levels."""

    __slots__ = ("_levels", "_shared")

    def __init__(self, text: str) -> None:
        self._levels = text.split("/")
        self._shared = self._levels[0] == "$share"

    def matches(self, topic: str) -> bool:
        """Whether it matches this topic name. A shared subscription matches what its filter does (section 4.8.2)."""
        return _covers(self._levels[2:] if self._shared else self._levels, topic.split("/"))

    def covers(self, narrower: str) -> bool:
        """Whether it matches everything that `narrower`, a filter or a topic name, matches. `$share` is a level here as
        any other: a permission has to name it."""
        return _covers(self._levels, narrower.split("/"))


def _covers(wide: list[str], narrow: list[str]) -> bool:
    if narrow[0].startswith("$") and wide[0] in ("+", "#"):  # section 4.7.2
        return False
    for index, level in enumerate(wide):
        if level == "#":
            return True
        if index == len(narrow) or narrow[index] == "#" or (level != "+" and level != narrow[index]):
            return False
    return len(narrow) == len(wide)


def overlaps(first: str, second: str) -> bool:
    """Whether there is a topic that both filters match."""
    one, other = first.split("/"), second.split("/")
    for a, b in zip(one, other, strict=False):
        if "#" in (a, b):
            return True
        if a != b and "+" not in (a, b):
            return False
    longer = one if len(one) > len(other) else other
    return len(one) == len(other) or longer[min(len(one), len(other))] == "#"
