"""Effective settings: one line for each value, with its origin."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import inspect as types

from gatepost.agent.settings.bare_type import bare_type
from gatepost.agent.settings.model import SecretRef, Settings
from gatepost.agent.settings.problem import DEFAULT, Origin, Path, dotted
from gatepost.agent.settings.secret import HIDDEN
from gatepost.agent.settings.units import UNITS

SECRET_WORDS = ("password", "secret", "token", "passkey", "pin", "key", "consent")


def effective(settings: Settings, origins: Mapping[Path, Origin]) -> list[tuple[str, str, str]]:
    """(dotted key, value as YAML reads it, origin) in the order of the types; secrets as references or `***`."""
    return [
        (dotted(path), text, str(origins.get(path, DEFAULT)))
        for path, text in _walk(settings, types.type_info(Settings), ())
    ]


def without_secrets(options: Mapping[str, Any], kind: type[msgspec.Struct]) -> dict[str, Any]:
    """A driver's options, without those that are secrets by their name or by their own word."""
    secret = secret_words(options, kind)
    return {name: value for name, value in options.items() if name not in secret}


def secret_words(options: Mapping[str, Any], kind: type[msgspec.Struct]) -> set[str]:
    """The names of those options that are secrets."""
    secret = secret_options(kind)
    return {name for name in options if name in secret or name.lower() in SECRET_WORDS}


def secret_options(kind: type[msgspec.Struct]) -> set[str]:
    """The options of a driver that say of themselves that they are secrets: `Meta(extra={"secret": True})`."""
    told = types.type_info(kind)
    fields = told.fields if isinstance(told, types.StructType) else ()
    return {field.encode_name for field in fields if _says_secret(field.type)}


def _says_secret(kind: types.Type) -> bool:
    kind, extra = bare_type(kind)
    parts = kind.types if isinstance(kind, types.UnionType) else ()
    return bool(extra.get("secret")) or any(_says_secret(part) for part in parts)


def _walk(value: Any, kind: types.Type, path: Path) -> Iterator[tuple[Path, str]]:
    kind, extra = bare_type(kind)
    if isinstance(kind, types.UnionType):
        if any(isinstance(part, types.StructType) and part.cls is SecretRef for part in kind.types):
            yield path, _secret(value)
            return
        kinds = [part for part in kind.types if not isinstance(part, types.NoneType)]
        if value is not None and len(kinds) == 1:
            yield from _walk(value, types.Metadata(kinds[0], extra=extra), path)
            return
    if isinstance(kind, types.StructType) and isinstance(value, msgspec.Struct):
        for field in kind.fields:
            yield from _walk(getattr(value, field.name), field.type, (*path, field.encode_name))
    elif isinstance(value, dict) and value:
        inner = kind.value_type if isinstance(kind, types.DictType) else types.AnyType()
        for name, item in value.items():
            if name.lower() in SECRET_WORDS and not isinstance(item, (dict, msgspec.Struct)):
                yield (*path, name), HIDDEN
            else:
                yield from _walk(item, inner, (*path, name))
    elif extra.get("unit") and value is not None:
        yield path, UNITS[extra["unit"]].show(value)
    else:
        yield path, _render(value)


def _secret(value: Any) -> str:
    if isinstance(value, SecretRef):
        named = {key: text for key, text in msgspec.to_builtins(value).items() if text is not None}
        return "{" + ", ".join(f"{key}: {text}" for key, text in named.items()) + "}"
    return "null" if value is None else HIDDEN


def _render(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(msgspec.to_builtins(value), ensure_ascii=False)
