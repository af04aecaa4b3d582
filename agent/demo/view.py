"""Views of the demo: a live table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
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

    def __init__(self, statistics: DemoStatistics) -> None:
        self._statistics = statistics
        self._draws = 0
        statistics.on_note = _write

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, *exc: object) -> None:
        self.write_counts()

    def draw(self) -> None:
        self._draws += 1
        if self._draws % PLAIN_EVERY == 0:
            self.write_counts()

    def write_counts(self) -> None:
        statistics = self._statistics
        for device in statistics.devices.values():
            counts = device.counts
            _write(
                f"{statistics.elapsed():5.1f} s  {device.name}: {device.status}, taken {counts.taken}, "
                f"stored {counts.stored}, delivered {counts.delivered}; {device.reason or device.shown}"
            )
        _write(f"{statistics.elapsed():5.1f} s  broker: {statistics.broker}, backlog {statistics.total.backlog}")


class RichView:
    """For people, through rich."""

    def __init__(self, statistics: DemoStatistics) -> None:
        from rich.live import Live

        self._statistics = statistics
        self._live = Live(self._drawn(), refresh_per_second=4, transient=False)

    def __enter__(self) -> RichView:
        self._live.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.update(self._drawn())
        self._live.stop()

    def draw(self) -> None:
        self._live.update(self._drawn())

    def _drawn(self) -> FittedTable:
        return FittedTable(self._statistics)


class FittedTable:
    """Drawn anew for the width that the terminal has at that moment."""

    def __init__(self, statistics: DemoStatistics) -> None:
        self._statistics = statistics

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.console import Group
        from rich.panel import Panel
        from rich.text import Text

        statistics = self._statistics
        head, *rest = lines(statistics, options.max_width - FRAME)
        drawn = [Text(head.text, style="bold", no_wrap=True)]
        for line in rest:
            text = Text(line.text, no_wrap=True)
            if line.state is not None:
                start, end, word = line.state
                text.stylize(_style(word), start, end)
            drawn.append(text)
        total = statistics.total
        broker = (statistics.broker, _style(statistics.broker))
        state = Text.assemble("broker ", broker, f"    backlog {total.backlog} readings")
        if statistics.oldest and total.backlog:
            state.append(f", oldest {statistics.oldest}")
        title = "Gatepost: simulated devices, real agent, real broker"
        yield Panel(Group(*drawn, Text(), state), title=title, subtitle=KEYS)
        if statistics.page:  # whole, so that it can be opened or copied
            yield Text(f"page: {statistics.page}", overflow="fold")
        yield Text("\n".join(statistics.notes), style="dim", no_wrap=True, overflow="ellipsis")


def write_summary(statistics: DemoStatistics) -> None:
    """The totals, below whatever was shown."""
    for line in statistics.summary() if statistics.total.taken else ():
        _write(line)


def view_of(statistics: DemoStatistics, plain: bool) -> PlainView | RichView:
    return PlainView(statistics) if plain else RichView(statistics)


def _style(state: str) -> str:
    return {"online": "green", "connected": "green", "offline": "red", "error": "red"}.get(state, "yellow")


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
