"""Topic patterns of the settings: MQTT filters in which `{device}`, `{metric}` and `{value}` name a level."""

from __future__ import annotations

import re

CAPTURES = ("{metric}", "{value}")
OWN = ("data", "datastream", "status", "responses")
_PLACE = re.compile(r"\{[^{}/]*\}")


class TopicPattern:
    """A pattern for one device. `topic_filter` is what a broker is asked for."""

    def __init__(self, pattern: str, device: str) -> None:
        self.pattern = pattern
        self._levels = [device if level == "{device}" else level for level in pattern.split("/")]
        self.topic_filter = "/".join("+" if level in CAPTURES else level for level in self._levels)
        self.exact = "+" not in self._levels and "#" not in self._levels and self.topic_filter == "/".join(self._levels)

    def match(self, topic: str) -> dict[str, str] | None:
        """What the named levels are; None for a topic that it does not cover."""
        levels, wanted = topic.split("/"), self._levels
        if topic[:1] == "$" and wanted[0] in ("+", "#", *CAPTURES):
            return None
        found: dict[str, str] = {}
        for at, level in enumerate(wanted):
            if level == "#":
                return found
            if at >= len(levels):
                return None
            if level in CAPTURES:
                found[level[1:-1]] = levels[at]
            elif level not in ("+", levels[at]):
                return None
        return found if len(levels) == len(wanted) else None


def pattern_problem(pattern: str) -> str | None:
    """What is wrong with a pattern as it stands in the settings; None when nothing is."""
    if not pattern or len(pattern.encode()) > 1024 or "\0" in pattern:
        return "a topic has 1 to 1024 octets"
    levels = pattern.split("/")
    for at, level in enumerate(levels):
        if "#" in level and (level != "#" or at != len(levels) - 1):
            return "# stands alone, in the last level"
        if "+" in level and level != "+":
            return "+ stands alone in its level"
        for place in _PLACE.findall(level):
            if place not in ("{device}", *CAPTURES):
                return f"there is no {place}; {{device}}, {{metric}} and {{value}} name a level"
            if place != level:
                return f"{place} is a level of its own"
    if any(levels.count(place) > 1 for place in CAPTURES):
        return "{metric} and {value} stand once at most"
    if pattern.startswith("$"):
        return "topics that begin with $ belong to the broker"
    return None


def own_topics(device: str) -> dict[str, str]:
    """Topic -> kind of what a device publishes without any mapping."""
    return {f"devices/{device}/{kind}": kind for kind in OWN}
