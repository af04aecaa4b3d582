"""Allowed keys of desired state: patterns of `fleet.allow` against the keys of a document; some are never allowed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

NEVER = ("gateway", "store", "api", "commands", "fleet")  # what identity, rights, history and this rule hang on
NAMED = ("brokers", "devices")  # sections of names
_LEVEL = re.compile(r'(?:"[^"]*"|[^.])*')  # dots in quotes do not end it

Key = tuple[str, ...]
PatternTree = dict[str | None, "PatternTree"]  # level -> what may follow; None: a pattern ends here


def levels_of(pattern: str) -> list[str]:
    """A pattern level by level; a name that holds dots stands in quotes: `devices."a.b".every`."""
    levels, start = list[str](), 0
    while start <= len(pattern):
        level = _LEVEL.match(pattern, start)[0]  # type: ignore[index]
        start += len(level) + 1
        levels.append(level[1:-1] if len(level) > 1 and level[0] == level[-1] == '"' else level)
    return levels


def is_forbidden(pattern: str) -> bool:
    """Whether a pattern names what no document may set, or everything."""
    return levels_of(pattern)[0] in (*NEVER, "*", "")


def refused_keys(settings: Mapping[str, Any], allow: Sequence[str]) -> list[Key]:
    """The keys of a document that may not be set."""
    tree: PatternTree = {}
    for pattern in allow:
        if not is_forbidden(pattern):
            node = tree
            for level in levels_of(pattern):
                node = node.setdefault(level, {})
            node[None] = {}
    return [key for key, value in leaves(settings) if not _is_allowed(key, value, tree)]


def leaves(settings: Mapping[str, Any], above: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Each key with what it is set to; an empty map is a value too."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, (*above, name))
        else:
            yield (*above, name), value


def _is_allowed(key: Key, value: Any, patterns: PatternTree) -> bool:
    """Level by level, never as joined text: a document chooses its names, and may put dots into them."""
    nodes = [patterns]
    for level in key:
        nodes = [node[name] for node in nodes for name in {level, "*"} if name in node]
        if any(None in node for node in nodes):
            return True
    return value == {} and bool(nodes)  # an empty map above what is allowed sets nothing: `devices: {}`
