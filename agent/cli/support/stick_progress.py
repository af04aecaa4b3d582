"""Progress line of `export --stick` and `import`: how many readings, on a terminal's stderr only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gatepost.agent.cli.support.formatting import count


@contextmanager
def stick_progress(doing: str) -> Iterator[Callable[[int], None]]:
    """What is given is called with the readings so far."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task(doing, total=None)

        def tell(readings: int) -> None:
            shown.update(task, description=f"{doing}: {count(readings, 'reading')}")

        yield tell
