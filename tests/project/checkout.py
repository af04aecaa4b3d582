"""The checkout as the tests of the project look at it."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("agent", "drivers")


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the product: dotted name, file."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            # agent/client is gatepost.client: pyproject.toml, package-dir
            yield f"gatepost.{name.removeprefix('agent.') if name.startswith('agent.client') else name}", path


@functools.cache
def tree_of(path: Path) -> ast.Module:
    """Parsed once, and not before a test asks: seconds for the whole checkout."""
    return ast.parse(path.read_text())


def imports(path: Path) -> set[str]:
    """What a file imports anywhere in it, dotted; `from a import b` counts as `a` and as `a.b`."""
    found: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found
