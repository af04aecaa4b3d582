"""How verbs print: tables and JSON on stdout, complaints on stderr; colour only on a terminal that wants it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

GOOD = frozenset({"online", "connected", "ok", "synchronised", "done", "healthy", "accepted", "applied"})
BAD = frozenset({"error", "offline", "refused", "failed", "problem", "rejected", "damaged", "full", "LAST GOOD ONES"})
COLOURS = {"good": "32", "bad": "31", "middling": "33"}


def coloured() -> bool:
    """Whether stdout is a terminal that takes colours (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def say(text: str = "") -> None:
    print(text)


def complain(message: str, hint: str = "") -> None:
    """An error for a person, on stderr."""
    print(f"gatepost: {message}", file=sys.stderr)
    if hint:
        print(f"  {hint}", file=sys.stderr)


def say_json(value: Any) -> None:
    sys.stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()


def say_line(value: Any) -> None:
    """One JSON line, at once."""
    sys.stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()


def state(word: str) -> str:
    """A state, green or red where colours are shown; other words are yellow."""
    if not coloured():
        return word
    mood = "good" if word in GOOD else "bad" if word in BAD else "middling"
    return f"\x1b[{COLOURS[mood]}m{word}\x1b[0m"


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], states: Sequence[str] = ()) -> None:
    """Rows under headings; `states` names the columns that hold states. Plain, unwrapped columns without a terminal."""
    cells = [["-" if value is None or value == "" else str(value) for value in row] for row in rows]
    if coloured():
        _rich(columns, cells, states)
        return
    widths = [max(len(row[at]) for row in [[*columns], *cells]) for at in range(len(columns))]
    for row in [[name.upper() for name in columns], *cells]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _rich(columns: Sequence[str], cells: list[list[str]], states: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        drawn.add_column(name.upper(), overflow="fold")
    for row in cells:
        texts = (
            Text.from_ansi(state(cell)) if name in states else Text(cell)
            for name, cell in zip(columns, row, strict=True)
        )
        drawn.add_row(*texts)
    Console().print(drawn)
