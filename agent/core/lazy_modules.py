"""Lazy modules: what a library imports and hardly ever uses is executed when a name of it is asked for, or not at all.

importlib.util.LazyLoader would execute them with the next import statement, which looks at `__spec__`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec, module_from_spec
from typing import Any


def import_lazily(name: str) -> None:
    """Makes `name`, and the submodules of a package, importable without executing it before a name of it is used."""
    if name in sys.modules:
        return
    spec = find_spec(name)
    if spec is None or spec.loader is None:
        return  # the import that follows says it better
    module = module_from_spec(spec)
    loader = spec.loader

    def missing(attribute: str) -> Any:
        del module.__dict__["__getattr__"]
        loader.exec_module(module)
        return getattr(module, attribute)

    module.__dict__["__getattr__"] = missing
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)


@contextmanager
def unavailable(name: str) -> Iterator[None]:
    """What is imported inside goes without `name`, as where it is not installed; it can be imported afterwards."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # as the import system says that there is none
    try:
        yield
    finally:
        del sys.modules[name]
