"""Words for bits and numbers of characteristics: lists of a specification -> flags of a reading."""

from __future__ import annotations

from collections.abc import Mapping


def bits(raw: int, names: Mapping[int, str]) -> tuple[str, ...]:
    """The names of the bits that are set, lowest first; bits without a name are reserved and say nothing."""
    return tuple(name for bit, name in names.items() if raw >> bit & 1)


def words(prefix: str, names: Mapping[int, str], number: int | None) -> tuple[str, ...]:
    """`prefix-name` for a number of a list; nothing where the list does not have it."""
    return (f"{prefix}-{names[number]}",) if number is not None and number in names else ()
