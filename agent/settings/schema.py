"""JSON Schema 2020-12 of the settings, for editors: completion, descriptions, mistakes while typing.

`python -m gatepost.agent.settings.schema > config/gatepost.schema.json` writes the file that the sample names.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import inspect as types

from gatepost.agent.settings.bare_type import bare_type
from gatepost.agent.settings.model import SecretRef, Settings
from gatepost.agent.settings.topic_templates import TOPICS
from gatepost.agent.settings.units import UNITS

if TYPE_CHECKING:
    from gatepost.drivers.driver import Registry

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_LIMITS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


def schema(registry: Registry) -> dict[str, Any]:
    """The whole; the options of a device depend on its driver. Every key may be null, which removes it."""
    writer = _Writer()
    root = writer.of(types.type_info(Settings))
    device = writer.definitions["DeviceSettings"]
    choices = []
    for name in registry.names:
        try:
            driver = registry.get(name)
        except Exception:  # noqa: S112  # a broken driver of another package: `gatepost drivers` tells
            continue
        options = writer.of(types.type_info(driver.options_type), f"options-{driver.name}")
        condition = {"properties": {"driver": {"const": driver.name}}, "required": ["driver"]}
        choices.append({"if": condition, "then": {"properties": {"options": _or_null(options)}}})
    device["properties"]["driver"]["examples"] = registry.names
    if choices:
        device["allOf"] = choices
    topics = writer.definitions["BrokerSettings"]["properties"]["topics"]
    topics["properties"] = {key: {"type": ["string", "null"], "default": TOPICS[key].default} for key in TOPICS}
    topics["additionalProperties"] = False
    # A drop may hold part of a broker or a device, so what is required cannot be said for one file.
    for name in ("BrokerSettings", "DeviceSettings"):
        writer.definitions[name].pop("required", None)
    return {"$schema": DRAFT, "title": "Gatepost settings", **root, "$defs": writer.definitions}


class _Writer:
    """Collects one definition for each struct."""

    def __init__(self) -> None:
        self.definitions: dict[str, Any] = {}

    def of(self, kind: types.Type, name: str = "") -> dict[str, Any]:
        extra: dict[str, Any] = {}
        notes: dict[str, Any] = {}
        while isinstance(kind, types.Metadata):
            extra = {**(kind.extra or {}), **extra}
            notes = {**(kind.extra_json_schema or {}), **notes}
            kind = kind.type
        return {**self._bare(kind, extra, name), **notes}

    def _bare(self, kind: types.Type, extra: dict[str, Any], name: str) -> dict[str, Any]:
        if "unit" in extra and isinstance(kind, (types.IntType, types.FloatType)):
            return _quantity(extra)
        if extra.get("secret") and isinstance(kind, types.StrType):
            return {"anyOf": [self.of(types.type_info(SecretRef)), _scalar(kind)]}
        if isinstance(kind, types.UnionType):
            return self._union(kind, extra)
        if isinstance(kind, types.StructType):
            return self._struct(kind, name or kind.cls.__name__)
        if isinstance(kind, types.DictType):
            found: dict[str, Any] = {"type": "object", "additionalProperties": _or_null(self.of(kind.value_type))}
            names = self.of(kind.key_type)
            return {**found, "propertyNames": names} if "pattern" in names else found
        if isinstance(kind, (types.ListType, types.VarTupleType, types.SetType, types.FrozenSetType)):
            return {"type": "array", "items": self.of(kind.item_type)}
        if isinstance(kind, types.LiteralType):
            return {"enum": [*kind.values, *_numbers(kind.values), *extra.get("spellings", ())]}
        return _scalar(kind)

    def _union(self, kind: types.UnionType, extra: dict[str, Any]) -> dict[str, Any]:
        parts = [part for part in kind.types if not isinstance(part, types.NoneType)]
        found = [self.of(types.Metadata(part, extra=extra) if extra else part) for part in parts]
        return found[0] if len(found) == 1 else {"anyOf": found}

    def _struct(self, kind: types.StructType, name: str) -> dict[str, Any]:
        if name not in self.definitions:
            self.definitions[name] = {}  # a struct may hold itself
            properties = {}
            for field in kind.fields:
                properties[field.encode_name] = {**_or_null(self.of(field.type)), **_default(field)}
            definition: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": properties}
            required = [field.encode_name for field in kind.fields if field.required]
            if required:
                definition["required"] = required
            if kind.cls is SecretRef:
                definition.update(minProperties=1, maxProperties=1)
            self.definitions[name] = definition
        return {"$ref": f"#/$defs/{name}"}


def _numbers(values: tuple[Any, ...]) -> list[int]:
    """`protocol: 5` is as good as `protocol: "5"`."""
    return [int(value) for value in values if isinstance(value, str) and value.isdigit()]


def _quantity(extra: dict[str, Any]) -> dict[str, Any]:
    unit = UNITS[extra["unit"]]
    allowed: list[dict[str, Any]] = [{"type": "string", "pattern": unit.pattern}]
    allowed.append({"type": "number", "minimum": 0} if extra.get("bare") else {"const": 0})
    return {"anyOf": allowed, "examples": unit.examples.split(", ")}


def _scalar(kind: types.Type) -> dict[str, Any]:
    if isinstance(kind, types.BoolType):
        return {"type": "boolean"}
    if isinstance(kind, (types.IntType, types.FloatType)):
        found: dict[str, Any] = {"type": "integer" if isinstance(kind, types.IntType) else "number"}
        limits = {word: getattr(kind, name) for name, word in _LIMITS.items()}
        return {**found, **{word: limit for word, limit in limits.items() if limit is not None}}
    if isinstance(kind, types.StrType):
        return {"type": "string", **({"pattern": kind.pattern} if kind.pattern else {})}
    return {}


def _or_null(found: dict[str, Any]) -> dict[str, Any]:
    notes: dict[str, Any] = {key: found[key] for key in ("description", "examples") if key in found}
    rest = {key: value for key, value in found.items() if key not in notes}
    if not rest:
        return found
    if set(rest) == {"anyOf"}:
        return {**notes, "anyOf": [*rest["anyOf"], {"type": "null"}]}
    if isinstance(rest.get("type"), str):
        return {**notes, **rest, "type": [rest["type"], "null"]}
    if "enum" in rest:
        return {**notes, "enum": [*rest["enum"], None]}
    return {**notes, "anyOf": [rest, {"type": "null"}]}


def _default(field: types.Field) -> dict[str, Any]:
    if field.required or field.default is msgspec.NODEFAULT or field.default in (None, ""):
        return {}
    _, extra = bare_type(field.type)
    value = UNITS[extra["unit"]].show(float(field.default)) if "unit" in extra else field.default
    plain = msgspec.to_builtins(value)
    return {"default": list(plain) if isinstance(plain, tuple) else plain}


if __name__ == "__main__":
    from gatepost.drivers.driver import Registry

    json.dump(schema(Registry.installed()), sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")
