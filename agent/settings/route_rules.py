"""Route rules of a broker: those that may match readings of a device, and whether any of them is sent."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from gatepost.agent.settings.model import RouteRule


def matches(patterns: Sequence[str], name: str) -> bool:
    """No patterns match everything."""
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def rules_of(rules: Sequence[RouteRule], device: str, room: str) -> list[RouteRule]:
    """Those that may match readings of a device, in order."""
    return [rule for rule in rules if matches(rule.devices, device) and matches(rule.rooms, room)]


def may_send(rules: Sequence[RouteRule], device: str, room: str) -> bool:
    """Whether any reading of a device may be sent; without rules, all of them."""
    for rule in rules_of(rules, device, room):
        if not rule.drop:
            return True
        if not rule.metrics and not rule.only:
            return False
    return not rules
