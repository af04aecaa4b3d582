"""Names for devices that were found: valid ids, each only once."""

from __future__ import annotations

import re
from collections.abc import Collection

LONGEST = 48  # so that a number still fits, and a table too
RESERVED = frozenset(("gateway",))


def slug(text: str) -> str:
    """Lower case letters, digits and dashes; may be empty."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:LONGEST].strip("-")


def device_id(parts: Collection[str], taken: Collection[str]) -> str:
    """Of these words, the same one once; with a number where that is taken."""
    words: list[str] = []
    for part in filter(None, map(slug, parts)):
        if part not in "-".join(words):
            words.append(part)
    name = slug("-".join(words)) or "device"
    used = {*taken, *RESERVED}
    number, found = 1, name
    while found in used:
        number += 1
        found = f"{name}-{number}"
    return found
