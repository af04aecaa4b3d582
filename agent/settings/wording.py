"""What msgspec says of a value that does not fit, in words of people."""

from __future__ import annotations

import re

_WORDS = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "null": "nothing",
    "array": "a list",
    "object": "a section of keys",
    "datetime": "a time such as 2026-11-20T10:30:00Z",
}
_TYPES = re.compile(r"`([a-z]+(?: \| [a-z]+)*)`")
_EXPECTED = re.compile(r"(Expected `[^`]*`)((?: [^,`]*)?)(?:, got (`[a-z]+`))?")


def in_words(text: str) -> str:
    """Expected `bool`, got `str` -> Expected true or false, found text. Other texts stay as they are."""

    def told(match: re.Match[str]) -> str:
        found = f", found {_names(match[3])}" if match[3] else ""
        return _names(match[1]) + match[2].replace(">=", "of at least").replace("<=", "of at most") + found

    return _EXPECTED.sub(told, text, count=1)


def _names(text: str) -> str:
    return _TYPES.sub(lambda match: " or ".join(_WORDS.get(name, name) for name in match[1].split(" | ")), text)
