"""Regular expressions of `lines` options, by RE2: linear in the line, so no pattern and no device can freeze the loop.

RE2 (github.com/google/re2, syntax) has neither look-around nor references to groups; loaded with the first pattern.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

MEMORY = 1 << 20  # octets for the states of one pattern


@lru_cache(maxsize=64)
def compile_pattern(text: str) -> Any:
    """A pattern in the shape of `re.Pattern`; raises ValueError with the reason."""
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = MEMORY
    try:
        return re2.compile(text, options)
    except re2.error as wrong:
        reason = wrong.args[0] if wrong.args else ""
        raise ValueError(reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)) from None
