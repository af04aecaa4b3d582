"""Extras of the package: what is installed only where somebody wants it."""

from __future__ import annotations


def install_extra(name: str) -> str:
    """What to type for it, as the hint of an error. The Debian package has most of them inside."""
    return f"in a checkout: tools/install --extras {name}, or pip install '.[{name}]'"
