"""Views of the demo: a live table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

from gatepost.agent.demo.layout import lines
from gatepost.agent.demo.statistics import DemoStatistics

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

KEYS = "b: broker away / back    q or Ctrl-C: end"
FRAME = 4  # columns that the frame takes
PLAIN_EVERY = 8  # draws to a plain summary


class PlainView:
    """For logs and pipes: what happens, at once, and a summary every few seconds."""

    def __init__(self, board: DemoStatistics) -> None:
        self._board = board
        self._draws = 0
        board.heard = _write

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.tell()

    def draw(self) -> None:
        self._draws += 1
        if self._draws % PLAIN_EVERY == 0:
            self.tell()

    def tell(self) -> None:
        board = self._board
        for device in board.devices.values():
            counts = device.counts
            _write(
                f"{board.elapsed():5.1f} s  {device.name}: {device.status}, taken {counts.taken}, "
                f"stored {counts.stored}, delivered {counts.delivered}; {device.shown}"
            )
        _write(f"{board.elapsed():5.1f} s  broker: {board.broker}, backlog {board.total.backlog}")


class RichView:
    """For people, through rich."""

    def __init__(self, board: DemoStatistics) -> None:
        from rich.live import Live

        self._board = board
        self._live = Live(self._drawn(), refresh_per_second=4, transient=False)

    def __enter__(self) -> RichView:
        self._live.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._live.update(self._drawn())
        self._live.__exit__(kind, error, at)

    def draw(self) -> None:
        self._live.update(self._drawn())

    def _drawn(self) -> FittedTable:
        return FittedTable(self._board)


class FittedTable:
    """Drawn anew for the width that the terminal has at that moment."""

    def __init__(self, board: DemoStatistics) -> None:
        self._board = board

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.console import Group
        from rich.panel import Panel
        from rich.text import Text

        board = self._board
        head, *rest = lines(board, options.max_width - FRAME)
        drawn = [Text(head.text, style="bold", no_wrap=True)]
        for line in rest:
            text = Text(line.text, no_wrap=True)
            if line.state is not None:
                start, end, word = line.state
                text.stylize(_style(word), start, end)
            drawn.append(text)
        total = board.total
        state = Text.assemble("broker ", (board.broker, _style(board.broker)), f"    backlog {total.backlog} readings")
        if board.oldest and total.backlog:
            state.append(f", oldest {board.oldest}")
        title = "Gatepost: simulated devices, real agent, real broker"
        yield Panel(Group(*drawn, Text(), state), title=title, subtitle=KEYS)
        yield Text("\n".join(board.notes), style="dim", no_wrap=True, overflow="ellipsis")


def told(board: DemoStatistics) -> None:
    """The account at the end, below whatever was shown."""
    for line in board.summary() if board.total.taken else ():
        _write(line)


def view_of(board: DemoStatistics, plain: bool) -> PlainView | RichView:
    return PlainView(board) if plain else RichView(board)


def _style(state: str) -> str:
    return {"online": "green", "connected": "green", "offline": "red", "error": "red"}.get(state, "yellow")


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
