"""Validator of a settings tree against the types: plain values, their places, and everything that does not fit."""

from __future__ import annotations

from typing import Any, cast

from msgspec import inspect as types

from gatepost.agent.settings.bare_type import bare_type
from gatepost.agent.settings.model import SecretRef
from gatepost.agent.settings.problem import Origin, Path, ProblemReport, closest, fold, listed, quoted
from gatepost.agent.settings.yaml.nodes import ListNode, MapEntry, MapNode, Node, ScalarNode, is_null
from gatepost.agent.settings.yaml.scalars import WRONG, ScalarChecker, matches

EXAMPLES = {"duration": "30s", "size": "64MB", "rate": "20/s"}
REFERENCE = cast(types.StructType, types.type_info(SecretRef))
PARTS_OF_URL = frozenset({"host", "hostname", "server", "servers", "address", "port"})  # as other programs have them


class SettingsValidator:
    """Judges on after every error. `origins` and `keys` say where each value and each key stands."""

    def __init__(self, report: ProblemReport, root: types.Type | None = None) -> None:
        self.report = report
        self.origins: dict[Path, Origin] = {}
        self.keys: dict[Path, Origin] = {}
        self.secrets: set[Path] = set()
        self._scalars = ScalarChecker(report)
        self._root = root
        self._places: dict[str, list[str]] = {}

    def where(self, path: Path) -> Origin:
        """Where the value stands, or the nearest thing around it that was written."""
        while path and path not in self.origins:
            path = path[:-1]
        return self.origins.get(path, Origin("default"))

    def key_of(self, path: Path) -> Origin:
        """Where the key stands."""
        return self.keys.get(path) or self.where(path)

    def check(self, node: Node, kind: types.Type, path: Path) -> Any:
        """The value as plain data that fits `kind`, or WRONG when it was reported. What is wrong inside is left out."""
        kind, extra = bare_type(kind)
        self.origins[path] = self.keys.get(path, node.origin) if isinstance(node, MapNode) else node.origin
        if extra.get("secret") and isinstance(node, MapNode):
            return self._struct(node, REFERENCE, path)
        if isinstance(kind, types.UnionType):
            return self._union(node, kind, path, extra)
        if isinstance(kind, types.AnyType):
            return self._plain(node, path)
        if isinstance(node, MapNode):
            if isinstance(kind, types.StructType):
                return self._struct(node, kind, path)
            if isinstance(kind, types.DictType):
                return {} if extra.get("driver") else self._dict(node, kind, path)  # the driver's type judges these
        elif isinstance(node, ListNode):
            if isinstance(kind, (types.ListType, types.SetType, types.FrozenSetType, types.VarTupleType)):
                return self._list(node, [kind.item_type] * len(node.values), path)
            if isinstance(kind, types.TupleType) and len(kind.item_types) == len(node.values):
                return self._list(node, list(kind.item_types), path)
        elif isinstance(kind, ScalarChecker.KINDS):
            return self._scalars.check(node, kind, path, extra, path in self.secrets)
        return self._mismatch(node, (kind,), path, extra)

    def _struct(self, node: MapNode, kind: types.StructType, path: Path) -> dict[str, Any]:
        fields = {field.encode_name: field for field in kind.fields}
        result: dict[str, Any] = {}
        for name, entry in node.items():
            here = (*path, name)
            self.keys[here] = entry.key
            if name == kind.tag_field:
                result[name] = kind.tag
            elif name not in fields:
                self._unknown(name, entry, list(fields), path)
            elif not is_null(entry.value):
                if _holds_secret(fields[name].type):
                    self.secrets.add(here)
                value = self.check(entry.value, fields[name].type, here)
                if value is not WRONG:
                    result[name] = value
        for name, field in fields.items():
            if field.required and (name not in node.entries or is_null(node.entries[name].value)):
                origin = self.key_of(path) if path in self.keys else node.origin
                self.report.error(origin, (*path, name), "missing", f"{name} is missing", f"add `{name}: ...`")
        return result

    @property
    def _elsewhere(self) -> dict[str, list[str]]:
        """Where each key of the settings may stand; only made when there is an unknown one."""
        if not self._places and self._root is not None:
            _index(self._root, (), self._places)
        return self._places

    def _unknown(self, name: str, entry: MapEntry, known: list[str], path: Path) -> None:
        if self.report.full:  # looking for what was meant costs more than all the rest
            return
        near = closest(name, known)
        places = self._elsewhere.get(fold(name), [])
        here = ".".join((*path, name))
        if path[:1] == ("brokers",) and len(path) == 2 and fold(name) in PARTS_OF_URL:
            hint = "it is part of the url: `url: mqtt://HOST:1883`, with TLS `mqtts://HOST:8883`"
        elif "." in name and name.split(".")[0] in known:
            first, _, rest = name.partition(".")
            hint = f"write `{first}:` and `{rest}:` indented below it"
        elif near and (fold(near) == fold(name) or not places):
            hint = f"did you mean {near}?"
        elif places:
            hint = f"it belongs to {listed(sorted(places)[:3])}"
        else:
            hint = f"known here: {', '.join(sorted(known))}" if known else "nothing can be set here"
            far = closest(name, (place for spots in self._elsewhere.values() for place in spots))
            hint = f"did you mean {far}?" if far and far != here else hint
        self.report.error(entry.key, (*path, name), "unknown-key", f"unknown key {quoted(name)}", hint)

    def _dict(self, node: MapNode, kind: types.DictType, path: Path) -> dict[str, Any]:
        pattern = _pattern(kind.key_type)
        result: dict[str, Any] = {}
        for name, entry in node.items():
            here = (*path, name)
            if pattern and not matches(pattern, name):
                message = f"{quoted(name)} cannot be used as a name"
                self.report.error(entry.key, here, "bad-name", message, "use 1 to 64 letters, digits, _ . -")
            if is_null(entry.value):  # removed: nothing can refer to it
                continue
            self.keys[here] = entry.key
            value = self.check(entry.value, kind.value_type, here)
            if value is not WRONG:
                result[name] = value
        return result

    def _list(self, node: ListNode, kinds: list[types.Type], path: Path) -> Any:
        """The whole list or WRONG, so that an index always means the item at that place in the file."""
        result = []
        for index, (item, kind) in enumerate(zip(node.values, kinds, strict=True)):
            here = (*path, str(index))
            if is_null(item):
                self.report.error(item.origin, here, "wrong-type", "an empty item of a list", "delete it")
                result.append(WRONG)
            else:
                result.append(self.check(item, kind, here))
        return WRONG if WRONG in result else result

    def _union(self, node: Node, union: types.UnionType, path: Path, extra: dict[str, Any]) -> Any:
        kinds = [kind for kind in union.types if not isinstance(kind, types.NoneType)]
        fitting = [kind for kind in kinds if _same_shape(node, bare_type(kind)[0])]
        if isinstance(node, MapNode) and len(fitting) > 1:
            fitting = [kind for kind in fitting if _tag_matches(node, bare_type(kind)[0])] or fitting[:1]
        if len(fitting) > 1:
            for kind in fitting:
                trial = SettingsValidator(ProblemReport())
                if trial.check(node, kind, path) is not WRONG and not trial.report.problems:
                    return self.check(node, kind, path)
        if fitting:
            return self.check(node, types.Metadata(fitting[0], extra=extra) if extra else fitting[0], path)
        return self._mismatch(node, tuple(kinds), path, extra)

    def _plain(self, node: Node, path: Path) -> Any:
        """Data without a type of its own, resolved as YAML 1.2 does."""
        if isinstance(node, MapNode):
            result = {}
            for name, entry in node.items():
                self.keys[(*path, name)] = entry.key
                if not is_null(entry.value):
                    value = self.check(entry.value, types.AnyType(), (*path, name))
                    if value is not WRONG:
                        result[name] = value
            return result
        if isinstance(node, ListNode):
            return self._list(node, [types.AnyType()] * len(node.values), path)
        return self._scalars.plain(node, path)

    def _mismatch(self, node: Node, kinds: tuple[types.Type, ...], path: Path, extra: dict[str, Any]) -> Any:
        expected = listed(dict.fromkeys(shape(kind, extra) for kind in kinds))
        hint = ""
        first, _ = bare_type(kinds[0])
        if isinstance(node, MapNode):
            found = "a section"
        elif isinstance(node, ListNode):
            found = "a list"
            if len(node.values) == 1 and isinstance(node.values[0], ScalarNode):
                hint = "write the value without the brackets or the dash"
        else:
            found = "a value" if path in self.secrets else quoted(node.text)
            if isinstance(first, types.ListType):
                hint = "put it in brackets: [...]"
        if path and isinstance(first, (types.StructType, types.DictType)):
            hint = f"write it like {path[-1]}: {_example(first)}"
            if isinstance(first, types.StructType) and path[-1] in {field.encode_name for field in first.fields}:
                hint = f"it belongs below a name: indent it further than the name in {path[0]}"
        self.report.error(self.origins[path], path, "wrong-type", f"expected {expected}, found {found}", hint)
        return WRONG


def shape(kind: types.Type, extra: dict[str, Any] | None = None) -> str:
    """What is expected, in words."""
    kind, own = bare_type(kind)
    if isinstance(kind, (types.StructType, types.DictType)):
        return "a section"
    if isinstance(kind, (types.ListType, types.SetType, types.FrozenSetType, types.VarTupleType, types.TupleType)):
        return "a list"
    return ScalarChecker.shape(kind, {**(extra or {}), **own})


def _example(kind: types.Type) -> str:
    """What may be written for it, in one line of YAML: `{NAME: {url: ...}}`, `{commit_interval: 30s}`."""
    kind, extra = bare_type(kind)
    if isinstance(kind, types.DictType):
        return "{NAME: " + _example(kind.value_type) + "}"
    if isinstance(kind, types.StructType) and kind.fields:
        field = next((field for field in kind.fields if field.required), kind.fields[0])
        return "{" + f"{field.encode_name}: {_example(field.type)}" + "}"
    return EXAMPLES.get(extra.get("unit", ""), "...")


def _pattern(kind: types.Type) -> str | None:
    bare, _ = bare_type(kind)
    return bare.pattern if isinstance(bare, types.StrType) else None


def _same_shape(node: Node, kind: types.Type) -> bool:
    if isinstance(node, MapNode):
        return isinstance(kind, (types.StructType, types.DictType))
    if isinstance(node, ListNode):
        return shape(kind) == "a list"
    return isinstance(kind, ScalarChecker.KINDS)


def _tag_matches(node: MapNode, kind: types.Type) -> bool:
    if not isinstance(kind, types.StructType) or kind.tag_field is None:
        return False
    entry = node.entries.get(kind.tag_field)
    return entry is not None and isinstance(entry.value, ScalarNode) and entry.value.text == str(kind.tag)


def _holds_secret(kind: types.Type) -> bool:
    """Whether it may be a reference to a secret, or says of itself that it is one: `Meta(extra={"secret": True})`."""
    kind, extra = bare_type(kind)
    if extra.get("secret"):
        return True
    parts = kind.types if isinstance(kind, types.UnionType) else (kind,)
    return any(isinstance(part, types.StructType) and part.cls is SecretRef for part in parts)


def _index(kind: types.Type, path: Path, found: dict[str, list[str]]) -> None:
    """Every key of the settings, folded, with the places where it may stand."""
    kind, _ = bare_type(kind)
    if isinstance(kind, types.UnionType):
        for part in kind.types:
            _index(part, path, found)
    elif isinstance(kind, types.StructType) and kind.cls is not SecretRef:
        for field in kind.fields:
            here = (*path, field.encode_name)
            found.setdefault(fold(field.encode_name), []).append(".".join(here))
            _index(field.type, here, found)
    elif isinstance(kind, types.DictType):
        _index(kind.value_type, (*path, "NAME"), found)
