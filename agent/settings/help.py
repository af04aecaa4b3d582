"""Help for a key of the settings: the sentence that the settings' types say of it."""

from __future__ import annotations

from functools import cache

from msgspec import inspect as types

from gatepost.agent.settings.model import Settings


def help_of(key: str) -> str:
    """Of a dotted key; "" where nothing is said of it, as below a driver's options."""
    return _help(_without_names(key))


def _without_names(key: str) -> str:
    """The name of a broker or device says nothing, and may hold dots: `brokers.*.tls.verify`."""
    section, _, rest = key.partition(".")
    if section not in ("brokers", "devices") or not rest:
        return key
    names, parts = _names(section), rest.split(".")
    at = next((number for number in range(1, len(parts)) if parts[number] in names), len(parts))
    return ".".join((section, "*", *parts[at:]))


@cache
def _help(key: str) -> str:
    kind, told = _root(), ""
    for part in key.split("."):
        kind, _ = _bare(kind)
        if isinstance(kind, types.StructType):
            field = next((each for each in kind.fields if each.encode_name == part), None)
            if field is None:
                return ""
            kind = field.type
        elif isinstance(kind, types.DictType):
            kind = kind.value_type
        else:
            return ""
        told = _bare(kind)[1]
    return told


@cache
def _root() -> types.Type:
    return types.type_info(Settings)


@cache
def _names(section: str) -> frozenset[str]:
    """The keys of a broker or device."""
    root = _root()
    fields = root.fields if isinstance(root, types.StructType) else ()
    entry = next(_bare(field.type)[0] for field in fields if field.encode_name == section)
    kind = _bare(entry.value_type if isinstance(entry, types.DictType) else entry)[0]
    return frozenset(field.encode_name for field in kind.fields) if isinstance(kind, types.StructType) else frozenset()


def _bare(kind: types.Type) -> tuple[types.Type, str]:
    """Without what is said of it, and what that is; of a union with null the other part."""
    told = ""
    while True:
        if isinstance(kind, types.Metadata):
            told = told or str((kind.extra_json_schema or {}).get("description", ""))
            kind = kind.type
        elif isinstance(kind, types.UnionType):
            parts = [part for part in kind.types if not isinstance(part, types.NoneType)]
            if len(parts) != 1:
                return kind, told
            kind = parts[0]
        else:
            return kind, told
