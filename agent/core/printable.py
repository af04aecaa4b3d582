"""Text that others chose (devices, brokers, peers), made safe for terminals and logs: the one place for it."""

from __future__ import annotations

import re
import secrets

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_MARK = "\x1b" + secrets.token_hex(8)  # of colours of our own: nobody else knows it, so no text can bring one
_COLOUR = re.compile(f"{_MARK}(\\[[0-9]+m)")


def printable(text: str, keep: str = "") -> str:
    """Control, escape, bidirectional and other invisible characters as JSON escapes; those of `keep` stay."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in keep else _escaped(each) for each in text)


def in_colour(text: str, code: str) -> str:
    """Text in a colour, for `printable_colours`; whatever else is in it is escaped."""
    return f"{_MARK}[{code}m{printable(text)}{_MARK}[0m"


def without_colours(text: str) -> str:
    """What of it takes a place on the screen."""
    return _COLOUR.sub("", text)


def printable_colours(text: str) -> str:
    """As `printable`, but lines, tabs and the colours of `in_colour` stay."""
    pieces = _COLOUR.split(text)  # texts and colours in turn
    return "".join(f"\x1b{each}" if at % 2 else printable(each, "\n\t") for at, each in enumerate(pieces))


def _escaped(character: str) -> str:
    code = ord(character)
    if code > 0xFFFF:
        code -= 0x10000
        return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
    return _SHORT.get(character) or (character if character == "\xa0" else f"\\u{code:04x}")
