"""Lines of text -> options with which the driver `lines` understands them. Sans-I/O; what is guessed is tried."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec

from gatepost.drivers.options import DriverOptions
from gatepost.drivers.reading import Reading
from gatepost.drivers.serial.lines.driver import LinesDecoder
from gatepost.drivers.serial.lines.formats import number
from gatepost.drivers.serial.lines.options import LinesOptions

MIN_TEXT_SHARE = 0.98  # share of the octets that must be text
MAX_LINES = 200  # lines that are looked at
MAX_LINE_LENGTH = 1000
DELIMITERS = (",", ";", "\t", "|", " ")
MAX_COLUMNS = 64  # columns
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,30}")
_PAIR = re.compile(r"([A-Za-z][\w /.%-]{0,30}?)\s*([=:])\s*([-+]?\d+(?:[.,]\d+)?)(?![\d:])")
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")
_GROUP = r"[-+]?\d+(?:\.\d+)?"


class OptionsGuess(NamedTuple):
    """Options of `lines`, and what came of them: lines, readings, faults."""

    options: dict[str, Any]
    lines: int
    readings: int
    faults: int


def text_share(data: bytes) -> float:
    """The share of octets that are text, UTF-8 included."""
    if not data:
        return 0.0
    text = data.decode("utf-8", "replace")
    good = sum((letter.isprintable() and letter != "\ufffd") or letter in "\r\n\t" for letter in text)
    return good / len(text)


def guess(data: bytes) -> OptionsGuess | None:
    """The first form with which nearly every whole line is understood; None = none is. The first line may lack its
    beginning, the last one its end: neither is looked at, but for a first one that names the columns."""
    ended = re.split(rb"\r\n|\n|\r", data)
    whole = [line for line in ended[:-1] if line.strip()][:MAX_LINES]
    if text_share(data) < MIN_TEXT_SHARE or not whole or any(len(line) > MAX_LINE_LENGTH for line in whole):
        return None
    lines = [line.decode("utf-8", "replace") for line in whole]
    rest = lines[1:] if len(lines) > 1 else lines
    for options in _forms(lines[0], rest):
        found = _tried(options, whole)
        if found is not None:
            return found
    return None


def _forms(first: str, lines: list[str]) -> Iterator[dict[str, Any]]:
    if all(line.lstrip().startswith(("{", "[")) or _json_number(line) for line in lines):
        yield {"format": "json"}
    if all(_PAIR.search(line) for line in lines):
        yield from _pairs(lines)
    yield from _columns(first, lines)
    pattern = _pattern(lines)
    if pattern:
        yield {"format": "regex", "pattern": pattern}


def _json_number(line: str) -> bool:
    return re.fullmatch(r"\s*-?(?:0|[1-9]\d*)(?:\.\d+)?\s*", line) is not None


def _pairs(lines: list[str]) -> Iterator[dict[str, Any]]:
    """Where names have blanks, the pairs are told apart by something else."""
    for delimiter in (None, ",", ";", "\t", "|"):
        if delimiter is None:
            if not any(re.search(r"[A-Za-z]\w* +[A-Za-z]\w* *[=:]", line) for line in lines):
                yield {"format": "keyvalue"}
        elif all(delimiter in line for line in lines):
            yield {"format": "keyvalue", "delimiter": delimiter}


def _columns(first: str, lines: list[str]) -> Iterator[dict[str, Any]]:
    for delimiter in DELIMITERS:
        cells = [_cells(line, delimiter) for line in lines]
        width = len(cells[0])
        if not 2 <= width <= MAX_COLUMNS or any(len(row) != width for row in cells):
            continue
        numeric = [all(number(row[at].strip()) is not None for row in cells) for at in range(width)]
        if sum(numeric) * 2 < width:  # words with numbers among them: see `_pattern`
            continue
        heading = [cell.strip() for cell in _cells(first, delimiter)]
        named = len(heading) == width and all(_NAME.fullmatch(cell) for cell in heading)
        columns = heading if named and len(set(heading)) == width else _numbered(width)
        yield {"format": "csv", "columns": columns} | ({"delimiter": delimiter} if delimiter != "," else {})


def _cells(line: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        return line.split()
    cells = line.split(delimiter)
    return cells[:-1] if len(cells) > 1 and not cells[-1].strip() else cells


def _numbered(width: int) -> list[str]:
    return [f"column_{at + 1}" for at in range(width)]


def _pattern(lines: list[str]) -> str:
    """Words that stay around numbers that change; each number is called by the word before it."""
    texts = [re.sub(r"\s+", " ", _NUMBER.sub("\0", line)).strip() for line in lines]
    if "\0" not in texts[0] or any(text != texts[0] for text in texts):
        return ""
    pieces = texts[0].split("\0")
    if len(pieces) > MAX_COLUMNS:
        return ""
    names: list[str] = []
    out = _literal(pieces[0])
    for before, after in pairwise(pieces):
        words = _NAME.findall(before)
        name = words[-1].lower() if words else "value"
        while name in names:
            name = f"{name.rstrip('0123456789_')}_{len(names) + 1}"
        names.append(name)
        out += f"(?P<{name}>{_GROUP}){_literal(after)}"
    return out


def _literal(text: str) -> str:
    return r"\s*".join(re.escape(word) for word in re.split(r" ", text)) if text.strip() else r"\s*" if text else ""


def _tried(options: dict[str, Any], lines: list[bytes]) -> OptionsGuess | None:
    try:
        built = msgspec.convert(options, LinesOptions)
    except msgspec.ValidationError:
        return None
    if isinstance(built, DriverOptions) and any(not problem.warning for problem in built.problems()):
        return None
    decoder = LinesDecoder(built)
    readings = [item for line in lines for item in decoder.feed(line + b"\n") if isinstance(item, Reading)]
    useful = sum(any(isinstance(value, int | float) for value in each.values.values()) for each in readings)
    faults = decoder.faults.total
    if not useful or useful < len(readings) or faults > len(lines) // 10:
        return None
    return OptionsGuess(options, len(lines), useful, faults)
