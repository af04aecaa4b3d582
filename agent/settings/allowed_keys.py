"""Allowed keys of desired state: patterns of `fleet.allow` against the keys of a document; some are never allowed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

NEVER = ("gateway", "store", "api", "commands", "fleet")  # what identity, rights, history and this rule hang on
NAMED = ("brokers", "devices")  # sections of names
_DOT = re.compile(r'\.(?=(?:[^"]*"[^"]*")*[^"]*$)')  # that stands in no quotes

Key = tuple[str, ...]


def levels_of(pattern: str) -> list[str]:
    """A pattern level by level; a name that holds dots stands in quotes: `devices."a.b".every`."""
    return [level[1:-1] if len(level) > 1 and level[0] == level[-1] == '"' else level for level in _DOT.split(pattern)]


def is_forbidden(pattern: str) -> bool:
    """Whether a pattern names what no document may set, or everything."""
    return levels_of(pattern)[0] in (*NEVER, "*", "")


def refused_keys(settings: Mapping[str, Any], allow: Sequence[str]) -> list[Key]:
    """The keys of a document that may not be set."""
    patterns = [levels_of(pattern) for pattern in allow if not is_forbidden(pattern)]
    return [key for key, value in leaves(settings) if not _is_allowed(key, value, patterns)]


def leaves(settings: Mapping[str, Any], above: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Each key with what it is set to; an empty map is a value too."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, (*above, name))
        else:
            yield (*above, name), value


def _is_allowed(key: Key, value: Any, patterns: Sequence[list[str]]) -> bool:
    levels = list(key)
    if any(_covers(pattern, levels) for pattern in patterns):
        return True
    # An empty map above what is allowed sets nothing: `devices: {}`.
    return value == {} and any(_covers(pattern[: len(levels)], levels) for pattern in patterns)


def _covers(pattern: list[str], levels: list[str]) -> bool:
    """Level by level, never as joined text: a document chooses its names, and may put dots into them."""
    return len(pattern) <= len(levels) and all(
        each in ("*", level) for each, level in zip(pattern, levels, strict=False)
    )
