"""A type of the settings and what its `Meta` says of it, apart."""

from __future__ import annotations

from typing import Any

from msgspec import inspect as types


def bare_type(kind: types.Type) -> tuple[types.Type, dict[str, Any]]:
    """The type without `Meta`, and the `extra` of that; where one is around another, the outer one counts."""
    extra: dict[str, Any] = {}
    while isinstance(kind, types.Metadata):
        extra = {**(kind.extra or {}), **extra}
        kind = kind.type
    return kind, extra
