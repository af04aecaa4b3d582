"""What must stand in a drop so that, merged over other files, exactly the wanted settings hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.api.problems import BadInput
from agent.api.settings_view import HIDDEN

Key = tuple[str, ...]


def keys_of(origins: Mapping[Key, Any], section: str, name: str) -> list[Key]:
    """The keys below `section.name` that have a value."""
    return sorted(key[2:] for key in origins if key[:2] == (section, name) and len(key) > 2)


def over(wanted: Mapping[str, Any], mine: Mapping[str, Any], below: list[Key], where: Key = ()) -> dict[str, Any]:
    """`wanted` with `null` for every key that stands `below` and is not wanted.

    `***` keeps a value that is not shown: that of `mine`, which was here before, else the one below. Raises BadInput.
    """
    kept: set[Key] = set()
    settings = _unhidden(wanted, mine, set(below), (), kept, where)
    for key in below:
        if key not in kept:
            _remove(settings, key)
    return settings


def _unhidden(
    wanted: Mapping[str, Any], mine: Mapping[str, Any], below: set[Key], path: Key, kept: set[Key], where: Key
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in wanted.items():
        here = (*path, name)
        old = mine.get(name)
        if isinstance(value, dict):
            found[name] = _unhidden(value, old if isinstance(old, dict) else {}, below, here, kept, where)
        elif value != HIDDEN:
            found[name] = value
        elif old is not None:
            found[name] = old
        elif any(key[: len(here)] == here for key in below):
            kept.update(key for key in below if key[: len(here)] == here)
        else:
            raise BadInput(f"{'.'.join((*where, *here))}: there is no value that {HIDDEN} could stand for")
    return found


def _remove(settings: dict[str, Any], key: Key) -> None:
    for name in key:
        if name not in settings:
            settings[name] = None
            return
        inner = settings[name]
        if not isinstance(inner, dict):
            return
        settings = inner
