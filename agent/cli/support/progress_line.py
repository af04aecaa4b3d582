"""Progress line of scans, recordings and sticks, on a terminal's stderr; and the duration that scans are given."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from gatepost.agent.cli.support.formatting import count

LONGEST = 3600.0  # seconds of a scan


def seconds_of(duration: str, longest: float = LONGEST) -> float:
    """What --for says; raises BadParameter."""
    from gatepost.agent.settings.units import parse_duration, show_duration

    try:
        seconds = parse_duration(duration)
    except ValueError as wrong:
        raise typer.BadParameter(f"--for: {wrong}") from None
    if not 0 < seconds <= longest:
        most = "" if longest == math.inf else f" and at most {show_duration(longest)}"
        raise typer.BadParameter(f"--for must be more than 0{most}")
    return seconds


def filled(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> tuple[list[str], list[list[Any]]]:
    """Without the columns in which no row has anything."""
    kept = [at for at in range(len(columns)) if any(row[at] not in (None, "") for row in rows)]
    return [columns[at] for at in kept], [[row[at] for at in kept] for row in rows]


def _lines() -> Callable[[str], None]:
    told = [""]

    def tell(words: str) -> None:
        if words != told[0]:
            told[0] = words
            print(f"progress: {words}", file=sys.stderr, flush=True)

    return tell


@contextmanager
def progress(what: str) -> Iterator[Callable[[str], None]]:
    """A line on a terminal's stderr, gone at the end; gives what changes its words. For a program that asks for them
    ($GATEPOST_PROGRESS) lines that begin with `progress: `."""
    if "GATEPOST_PROGRESS" in os.environ:
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task(what)
        yield lambda words: shown.update(task, description=words)


def counting(doing: str, tell: Callable[[str], None]) -> Callable[[int], None]:
    """Tells a number of readings."""
    return lambda readings: tell(f"{doing}: {count(readings, 'reading')}")
