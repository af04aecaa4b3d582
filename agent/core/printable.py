"""Text that others chose (devices, brokers, peers), made safe for terminals and logs: the one place for it."""

from __future__ import annotations

import re

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_COLOUR = re.compile(r"\\u001b(\[(?:3[1-3]|0)m)")


def printable(text: str, keep: str = "") -> str:
    """Control, escape, bidirectional and other invisible characters as JSON escapes; those of `keep` stay."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in keep else _escaped(each) for each in text)


def printable_colours(text: str) -> str:
    """As `printable`, but lines, tabs and the three colours of states stay, which harm nobody."""
    return _COLOUR.sub("\x1b\\1", printable(text, "\n\t"))


def _escaped(character: str) -> str:
    code = ord(character)
    if code > 0xFFFF:
        code -= 0x10000
        return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
    return _SHORT.get(character) or (character if character == "\xa0" else f"\\u{code:04x}")
