"""Draws the board: a live picture in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

from agent.demo.board import Board

if TYPE_CHECKING:
    from rich.console import Group

KEYS = "b: broker away / back    q or Ctrl-C: end"
PLAIN_EVERY = 8  # draws to a plain summary


class Lines:
    """For logs and pipes: what happens, at once, and a summary every few seconds."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._draws = 0
        board.heard = _write

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.summary()

    def draw(self) -> None:
        self._draws += 1
        if self._draws % PLAIN_EVERY == 0:
            self.summary()

    def summary(self) -> None:
        board = self._board
        for device in board.devices.values():
            _write(
                f"{board.elapsed():5.1f} s  {device.name}: {device.status}, taken {device.taken}, "
                f"stored {len(device.stored)}, delivered {len(device.delivered)}; {device.values}"
            )
        _write(f"{board.elapsed():5.1f} s  broker: {board.broker}, backlog {board.owed}")


class Picture:
    """For people, through rich."""

    def __init__(self, board: Board) -> None:
        from rich.live import Live

        self._board = board
        self._live = Live(self._drawn(), refresh_per_second=4, transient=False)

    def __enter__(self) -> Picture:
        self._live.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._live.update(self._drawn())
        self._live.__exit__(kind, error, at)

    def draw(self) -> None:
        self._live.update(self._drawn())

    def _drawn(self) -> Group:
        from rich.console import Group
        from rich.panel import Panel
        from rich.table import Table
        from rich.text import Text

        board = self._board
        table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
        for name in ("device", "driver", "state", "last reading"):
            table.add_column(name, no_wrap=True, overflow="ellipsis", ratio=2 if name == "last reading" else None)
        for name in ("taken", "stored", "delivered", "from backlog"):
            table.add_column(name, justify="right")
        for device in board.devices.values():
            table.add_row(
                device.name,
                device.driver,
                Text(device.status, style=_style(device.status)),
                device.values,
                *(str(count) for count in (device.taken, len(device.stored), len(device.delivered), device.replayed)),
            )
        state = Text.assemble("broker ", (board.broker, _style(board.broker)), f"    backlog {board.owed} readings")
        if board.oldest:
            state.append(f", oldest {board.oldest}")
        title = "Gatepost: simulated devices, real agent, real broker"
        return Group(
            Panel(Group(table, Text(), state), title=title, subtitle=KEYS), Text("\n".join(board.notes), style="dim")
        )


def view_of(board: Board, plain: bool) -> Lines | Picture:
    return Lines(board) if plain else Picture(board)


def _style(state: str) -> str:
    return {"online": "green", "connected": "green", "offline": "red", "error": "red"}.get(state, "yellow")


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
