"""One line of text -> its members by name. A line that does not fit raises BadLine with the kind of what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from gatepost.drivers.exact_json import LEAST, MOST, OversizeNumber, load_json
from gatepost.drivers.reading import Faults
from gatepost.drivers.serial.lines.patterns import compile_pattern

Parse = Callable[[bytes], dict[str, Any]]

VALUE = "value"  # the name of a number that stands alone on its line
_BARE = re.compile(r"(?<=[:\[,])(\s*)[-+]?(?:nan|inf|infinity)(?=\s*[,}\]])", re.IGNORECASE)
_NOTHING = frozenset({"", "nan", "inf", "infinity", "null", "none", "n/a", "na"})
_DIGITS = 18  # integers up to here fit 64 bits
_HUGE = float("inf")
_WORDS = {"true": True, "false": False}


EXPLAINED = {
    "not-json": "a line that is not JSON",
    "not-an-object": "a line of JSON without names: neither an object nor numbers",
    "not-a-sample": "a line that is not a sample of the waveform",
    "no-pairs": "a line without a name and its value",
    "columns": "a line with more or fewer columns than `columns` names",
    "no-match": "a line that `pattern` does not match",
    "no-values": "a line without a value that is wanted",
}


class BadLine(ValueError):
    """The line does not have the form; the text is the kind, one of EXPLAINED, never the line."""


def is_nothing(text: str) -> bool:
    """Whether a device wrote that it has no value: empty, dashes, stars, `nan`, `inf`, ..."""
    return text.strip(" \t-+.*#?_").lower() in _NOTHING


def number(text: str) -> int | float | None:
    """The number that `text` spells in decimal, else None; None too for an integer that 64 bits do not hold: its digits
    are not to change."""
    try:
        if "." not in text and len(text) <= _DIGITS:
            found: int | float = int(text)
        elif "." not in text and text.strip().lstrip("+-").isdecimal():
            found = int(text)
            if not LEAST <= found <= MOST:
                return None
        else:
            found = float(text)
    except ValueError:
        try:
            found = float(text)
        except ValueError:
            return None
    if "_" in text or not -_HUGE < found < _HUGE or not text.isascii():  # what Python takes and no device means
        return None
    return found


def scalar(text: str) -> Any:
    """A member of a text line: number, true / false, or the text itself."""
    found = number(text)
    if found is not None:
        return found
    text = text.strip()
    return _WORDS.get(text.lower(), text)


def is_utf8(encoding: str) -> bool:
    """Whether JSON in this encoding can be read as it is."""
    return encoding.lower().replace("-", "").replace("_", "") in ("utf8", "ascii", "usascii")


def json_lines(encoding: str, faults: Faults) -> Parse:
    """Objects; a number or a list of numbers alone is `value`. Bare NaN and Infinity, which no JSON has, are null."""
    utf8 = is_utf8(encoding)

    def parse(line: bytes) -> dict[str, Any]:
        try:
            found = load_json(line) if utf8 else load_json(line.decode(encoding, "replace"))
        except ValueError:
            found = second_look(line)
        if found.__class__ is dict:
            return found
        if _is_number(found) or (isinstance(found, list) and found and all(map(_is_number, found))):
            return {VALUE: found}
        raise BadLine("not-an-object")

    def second_look(line: bytes) -> Any:
        text = line.decode(encoding, "replace")
        if "\ufffd" in text:
            faults.add("encoding", f"octets that are not {encoding}")
        try:
            return load_json(_BARE.sub(r"\1null", text).strip(" \t\0"))
        except ValueError:
            raise BadLine("not-json") from None

    return parse


def keyvalue_lines(decode: Callable[[bytes], str], delimiter: str | None, separator: str | None) -> Parse:
    """`t=23.5 h=41`: `delimiter` between pairs (default: blanks, commas, semicolons), `separator` within (= or :)."""

    def parse(line: bytes) -> dict[str, Any]:
        text = decode(line)
        mark = separator or ("=" if "=" in text else ":")
        members: dict[str, Any] = {}
        if delimiter:
            pairs = text.split(delimiter)
        else:
            tight = mark.join(part.strip() for part in text.split(mark))
            pairs = tight.replace(",", " ").replace(";", " ").split()
        for pair in pairs:
            name, found, value = pair.partition(mark)
            name = name.strip()
            if found and name:
                members[name] = scalar(value.strip().strip('"'))
        if not members:
            raise BadLine("no-pairs")
        return members

    return parse


def csv_lines(decode: Callable[[bytes], str], columns: Sequence[str], delimiter: str | None) -> Parse:
    """As many members as `columns` has names; a column without a name is skipped. A header line has no members."""
    delimiter = delimiter or ","
    wanted = len(columns)
    header = [name.strip().lower() for name in columns]

    def parse(line: bytes) -> dict[str, Any]:
        text = decode(line)
        if delimiter == " ":
            cells = text.split()
        elif '"' in text:
            import csv  # 0.1 MiB for quotes

            try:
                cells = next(csv.reader([text], delimiter=delimiter, skipinitialspace=True))
            except (csv.Error, StopIteration):
                raise BadLine("columns") from None
        else:
            cells = text.split(delimiter)
        while len(cells) > wanted and not cells[-1].strip():
            cells.pop()
        if len(cells) != wanted:
            raise BadLine("columns")
        if [cell.strip().lower() for cell in cells] == header:
            return {}
        return {name: scalar(cell) for name, cell in zip(columns, cells, strict=True) if name}

    return parse


def regex_lines(decode: Callable[[bytes], str], pattern: str) -> Parse:
    """The named groups of the first place where `pattern` matches; a group that took no part is absent."""
    search = compile_pattern(pattern).search

    def parse(line: bytes) -> dict[str, Any]:
        match = search(decode(line))
        if match is None:
            raise BadLine("no-match")
        return {name: scalar(text) for name, text in match.groupdict().items() if text is not None}

    return parse


def _is_number(value: Any) -> bool:
    return value.__class__ in (int, float, OversizeNumber)
