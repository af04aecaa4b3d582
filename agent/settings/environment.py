"""Environment variables `GATEPOST_<SECTION>__<KEY>`: each overrides one value, and is its origin."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import inspect as types

from gatepost.agent.settings.bare_type import bare_type
from gatepost.agent.settings.problem import Origin, Path, ProblemReport, quoted, suggestion
from gatepost.agent.settings.yaml.nodes import ListNode, MapEntry, MapNode, Node, ScalarNode

PREFIX = "GATEPOST_"
NOT_SETTINGS = frozenset(("GATEPOST_SOCKET", "GATEPOST_CONFIG"))  # they tell the command line where the agent is


def origin_of(name: str) -> Origin:
    return Origin(f"environment variable {name}")


def override(tree: MapNode, environ: Mapping[str, str], root: types.Type, report: ProblemReport) -> MapNode:
    """The tree with the overrides in it. Upper and lower case, and `_` for `-` or `.`, make no difference."""
    referenced = set(_references(tree))
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in NOT_SETTINGS or name in referenced:
            continue
        parts = name[len(PREFIX) :].split("__")
        if len(parts) == 1:  # Kubernetes makes such names for its services
            hint = "a setting is GATEPOST_<SECTION>__<KEY>, with two underscores"
            report.warn(origin_of(name), (), "unknown-environment", "unknown setting", hint)
        elif all(parts):
            tree = _put(tree, parts, root, name, environ[name], report, ()) or tree
        else:
            hint = "a setting is GATEPOST_<SECTION>__<KEY>"
            report.error(origin_of(name), (), "unknown-environment", "unknown setting", hint)
    return tree


def _put(
    tree: MapNode, parts: list[str], kind: types.Type, name: str, text: str, report: ProblemReport, path: Path
) -> MapNode | None:
    """The tree with the value put in, or None when there is no such key."""
    origin = origin_of(name)
    section = _section(kind)
    if section is None:
        report.error(origin, path, "unknown-environment", f"{'.'.join(path)} has no keys", "shorten the name")
        return None
    key, inner = _match(parts[0], section, tree)
    if inner is None:
        known = [field.encode_name for field in section.fields] if isinstance(section, types.StructType) else []
        hint = suggestion(parts[0], known, f"known here: {', '.join(known)}")
        report.error(origin, (*path, key), "unknown-environment", f"unknown setting {quoted(key)}", hint)
        return None
    here = (*path, key)
    value: Node
    if len(parts) > 1:
        below = tree.entries.get(key)
        under = below.value if below and isinstance(below.value, MapNode) else MapNode({}, origin)
        filled = _put(under, parts[1:], inner, name, text, report, here)
        if filled is None:
            return None
        value = filled
        where = below.key if below else origin
    else:
        if not _takes_scalar(inner):
            hint = "a list or a section is set in a file"
            report.error(origin, here, "unknown-environment", "an environment variable sets one value", hint)
            return None
        value = ScalarNode(text, origin, plain=True, loose=True)
        where = origin
    return MapNode({**tree.entries, key: MapEntry(where, value)}, tree.origin)


def _match(part: str, section: types.StructType | types.DictType, tree: MapNode) -> tuple[str, types.Type | None]:
    if isinstance(section, types.StructType):
        for field in section.fields:
            if _folded(field.encode_name) == _folded(part):
                return field.encode_name, field.type
        return part.lower(), None
    for key in tree.entries:
        if _folded(key) == _folded(part):
            return key, section.value_type
    return part.lower() if part.isupper() else part, section.value_type


def _folded(name: str) -> str:
    return re.sub(r"[-.]", "_", name.casefold())


def _alternatives(kind: types.Type) -> list[types.Type]:
    kind, _ = bare_type(kind)
    return [part for one in kind.types for part in _alternatives(one)] if isinstance(kind, types.UnionType) else [kind]


def _section(kind: types.Type) -> types.StructType | types.DictType | None:
    for part in _alternatives(kind):
        if isinstance(part, (types.StructType, types.DictType)):
            return part
        if isinstance(part, types.AnyType):
            return types.DictType(types.StrType(), types.AnyType())
    return None


def _takes_scalar(kind: types.Type) -> bool:
    collections: tuple[Any, ...] = (types.StructType, types.DictType, types.ListType, types.NoneType)
    return any(not isinstance(part, collections) for part in _alternatives(kind))


def _references(node: Node) -> list[str]:
    """Names of environment variables that secrets refer to."""
    found: list[str] = []
    if isinstance(node, MapNode):
        for key, entry in node.items():
            if key == "env" and isinstance(entry.value, ScalarNode):
                found.append(entry.value.text)
            found += _references(entry.value)
    elif isinstance(node, ListNode):
        for item in node.values:
            found += _references(item)
    return found
