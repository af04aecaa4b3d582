"""Output of the verbs: tables and JSON on stdout, errors on stderr; colour only on a terminal that wants it.

Every line is flushed: a pipe gets it at once, not when a buffer is full.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from gatepost.agent.cli.support.tables import BELOW, GAP, NOTHING, ColumnPlan, fold
from gatepost.agent.core.conditions import GOODBYE, USUAL
from gatepost.agent.core.printable import in_colour, printable, printable_colours

GOOD = frozenset({"online", "connected", "ok", "synchronised", "done", "healthy", "accepted", "applied", "recognised"})
BAD = frozenset({"error", "offline", "refused", "blocked", "failed", "problem", "rejected", "damaged", "full"}) | {
    "LAST GOOD ONES"
}
LINE_BREAK = printable("\n")
LABEL = 10  # letters of a label
COLOURS = {"good": "32", "bad": "31", "middling": "33"}


def coloured() -> bool:
    """Whether stdout is a terminal that takes colours (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def screen() -> int | None:
    """The letters of a line: $COLUMNS, else those of the terminal; None = no limit, for files and programs."""
    try:
        return int(os.environ["COLUMNS"]) or None
    except (KeyError, ValueError):
        pass
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except (OSError, ValueError):
        return None


def say(text: str = "", indent: int = 4) -> None:
    """A line, folded between words where the terminal is narrower; the rest of it indented. Empty lines may stand
    before and after it; a line break within it, which others may have chosen, is escaped."""
    inner = text.strip("\n")
    before, _, after = text.partition(inner) if inner else (text, "", "")
    for line in fold(f"{before}{inner.replace(chr(10), LINE_BREAK)}{after}", screen(), indent):
        say_as_is(line)


def say_as_is(text: str) -> None:
    """Never folded: what is copied, or read by programs."""
    print(printable_colours(text), flush=True)


def complain(message: str, hint: str = "") -> None:
    """An error for a person, on stderr."""
    message, hint = printable(message, "\n"), printable(hint, "\n")
    for line in [*fold(f"gatepost: {message}", screen(), 2), *(fold(f"  {hint}", screen(), 2) if hint else [])]:
        print(line, file=sys.stderr)


def say_json(value: Any) -> None:
    _write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def say_line(value: Any) -> None:
    """One JSON line, at once."""
    _write(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE))


def _write(json: bytes) -> None:
    """On a terminal with what it would obey as JSON escapes; programs get the octets as they are."""
    if sys.stdout.isatty():
        json = printable(json.decode(), "\n").encode()
    sys.stdout.buffer.write(json)
    sys.stdout.buffer.flush()


def labelled(lines: Iterable[tuple[str, str | None]]) -> None:
    """A line `  label     text` for each that has a text."""
    for label, text in lines:
        if text:
            say(f"  {label:{LABEL}}{text}", LABEL + 2)


def state(word: str) -> str:
    """A state, green or red where colours are shown; other words are yellow, as is `offline (asleep)`."""
    if not coloured():
        return word
    name, _, reason = word.strip().rstrip(")").partition(" (")
    mood = (
        "middling" if reason in {*USUAL, GOODBYE} else "good" if name in GOOD else "bad" if name in BAD else "middling"
    )
    return in_colour(word, COLOURS[mood])


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    states: Sequence[str] = (),
    below: Sequence[str] = (),
    paths: Sequence[str] = (),
    listing: bool = False,
) -> None:
    """Rows under headings; `states` names the columns that hold states, `below` those that move to a line below
    first where the terminal is too narrow, `paths` those that may be shortened. A `listing` has tabs between its
    columns where there is no terminal: its cells are too wide to be padded, and programs want them apart."""
    cells = [[NOTHING if value is None or value == "" else printable(str(value)) for value in row] for row in rows]
    if listing and screen() is None:
        for row in [[name.upper() for name in columns], *cells]:
            say_as_is("\t".join(row))
        return
    plan = ColumnPlan(columns, cells, screen(), below, paths)
    say_as_is(GAP.join(text for _, text in plan.heading()).rstrip())
    for number in range(len(cells)):
        parts = [state(text) if name in states else text for name, text in plan.row(number)]
        say_as_is(GAP.join(parts).rstrip())
        more = plan.below(number)
        widest = max((len(name) for name, _ in more), default=0)
        for name, text in more:
            label = f"{BELOW}{name:{widest}}{GAP}"
            say(label + text, len(label))
