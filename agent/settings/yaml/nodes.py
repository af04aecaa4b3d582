"""Nodes of the settings as written: maps, lists and scalars with their places, and how two of them merge."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from gatepost.agent.settings.problem import Origin, Path, ProblemReport

AMBIGUOUS_WORDS = frozenset(("yes", "no", "on", "off"))  # booleans of YAML 1.1, words of YAML 1.2

LONGEST_NUMBER = 40  # characters; the patterns below keep what they found of a longer text, octets by the hundred
HALF = re.compile("[\ud800-\udfff]")  # surrogates: no characters, no UTF-8
_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)|0x[0-9A-Fa-f]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_OCTAL = re.compile(r"[-+]?0[0-9]+")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_GROUPED = re.compile(r"[-+]?[0-9]+(?:_[0-9]+)+")

Trap = Literal["", "word", "octal", "sexagesimal", "grouped"]


class ScalarNode(NamedTuple):
    """One value as text; `plain` = without quotes, `loose` = of an environment variable, which knows no quotes."""

    text: str
    origin: Origin
    plain: bool = True
    loose: bool = False

    @property
    def null(self) -> bool:
        return self.plain and self.text in _NULL

    @property
    def value(self) -> bool | int | float | str | None:
        """As YAML 1.2 resolves it."""
        text = self.text
        if not self.plain:
            return text
        if text in _NULL:
            return None
        if text in _BOOL:
            return _BOOL[text]
        if _INT.fullmatch(text) and len(text) <= LONGEST_NUMBER:
            return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
        if _FLOAT.fullmatch(text) and not _OCTAL.fullmatch(text) and len(text) <= LONGEST_NUMBER:
            return float(text)
        return text

    @property
    def trap(self) -> Trap:
        """Why YAML 1.1 would read something else."""
        if not self.plain or len(self.text) > LONGEST_NUMBER:
            return ""
        if self.text.lower() in AMBIGUOUS_WORDS:
            return "word"
        if _OCTAL.fullmatch(self.text):
            return "octal"
        if _SEXAGESIMAL.fullmatch(self.text):
            return "sexagesimal"
        return "grouped" if _GROUPED.fullmatch(self.text) else ""


class MapEntry(NamedTuple):
    """A key of a map with where it stands, and its value."""

    key: Origin
    value: Node


class MapNode(NamedTuple):
    """A map; a null entry stays as the mark that its key was removed."""

    entries: dict[str, MapEntry]
    origin: Origin

    def items(self) -> Iterator[tuple[str, MapEntry]]:
        return iter(self.entries.items())


class ListNode(NamedTuple):
    """A list."""

    values: list[Node]
    origin: Origin


Node = ScalarNode | MapNode | ListNode


def is_null(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.null


def merge(below: MapNode, above: MapNode, report: ProblemReport, path: Path = ()) -> MapNode:
    """Maps merge deep, scalars and lists replace, `null` removes. A key with nothing behind it removes no map."""
    entries = dict(below.entries)
    for name, entry in above.items():
        lower = entries.get(name)
        here = (*path, name)
        if lower is not None and isinstance(lower.value, MapNode):
            if isinstance(entry.value, MapNode):
                entries[name] = MapEntry(entry.key, merge(lower.value, entry.value, report, here))
                continue
            if (
                isinstance(entry.value, ScalarNode)
                and entry.value.null
                and not entry.value.text
                and lower.value.entries
            ):
                message = "the key has no value, so the earlier settings stay in force"
                report.warn(entry.key, here, "empty-section", message, "delete the line, or write null to remove them")
                continue
        entries[name] = entry
    return MapNode(entries, above.origin if above.entries else below.origin)
