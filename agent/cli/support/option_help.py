"""Help for the members of a struct type: options of a driver, parameters of a command."""

from __future__ import annotations

from typing import Any

import msgspec

PLAIN = {
    "StrType": "text",
    "IntType": "whole number",
    "FloatType": "number",
    "BoolType": "true or false",
    "NoneType": "nothing",
    "AnyType": "anything",
}


def options(kind: type[msgspec.Struct]) -> list[dict[str, Any]]:
    """Each member: name, type in words, description, default, whether it must be given."""
    told: Any = msgspec.inspect.type_info(kind)
    return [
        {
            "name": field.encode_name,
            "type": words(_without_nothing(field.type)),
            "description": described(field.type),
            "required": field.required,
            "default": None if field.required else _default(field),
        }
        for field in told.fields
    ]


def described(kind: Any) -> str:
    """The description of a type itself, not of its parts."""
    return str((getattr(kind, "extra_json_schema", None) or {}).get("description", ""))


def words(kind: Any) -> str:
    """`json, csv or regex`, `text`, `list of text`, `number`."""
    name = type(kind).__name__
    match name:
        case "Metadata":
            return words(kind.type)
        case "LiteralType":
            return "one of " + ", ".join(map(str, kind.values))
        case "UnionType":
            return ", or ".join(described(part) or words(part) for part in kind.types)
        case "ListType" | "VarTupleType" | "SetType":
            return f"list of {words(kind.item_type)}"
        case "DictType":
            return f"map of {words(kind.value_type)}"
        case "StructType":
            return "{" + ", ".join(field.encode_name for field in kind.fields) + "}"
    return PLAIN.get(name, name.removesuffix("Type").lower())


def _without_nothing(kind: Any) -> Any:
    """That it may be null is said by its default."""
    inner = kind.type if type(kind).__name__ == "Metadata" else kind
    if type(inner).__name__ != "UnionType":
        return kind
    parts = tuple(part for part in inner.types if type(part).__name__ != "NoneType")
    return parts[0] if len(parts) == 1 else msgspec.inspect.UnionType(parts)


def _default(field: Any) -> Any:
    if field.default is not msgspec.NODEFAULT:
        return msgspec.to_builtins(field.default)
    return msgspec.to_builtins(field.default_factory())
