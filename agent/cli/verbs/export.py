"""`gatepost export`: stored readings into a file, page by page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from gatepost.agent.cli.support.agent_access import Config, Json, OfDevice, Socket, connected, new
from gatepost.agent.cli.support.export_writers import output
from gatepost.agent.cli.support.formatting import count
from gatepost.agent.cli.support.output import complain, say, say_json
from gatepost.agent.cli.verbs.readings import moment
from gatepost.client import GatewayClient, GatewayError, GatewayTimeout, NoAgent, RateLimited, ReadingDict, Unavailable

PAGE = 1000
ATTEMPTS = 6  # at one page
FIRST_WAIT = 0.5  # seconds, then twice as long each time

verb = new()


class ExportFormat(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


@verb.command("export")
def export(
    file: Annotated[str, typer.Argument(help="Where to; - is the standard output.")],
    form: Annotated[
        ExportFormat | None,
        typer.Option("--format", "-f", help="csv and parquet have a row for each value; default: as FILE ends."),
    ] = None,
    device: OfDevice = None,
    metric: Annotated[str | None, typer.Option("--metric", "-m", help="Of this metric_type only.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="RFC 3339 (2026-11-20T10:30:00Z) or how long ago (10m, 2h).")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="As --since.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    socket: Socket = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Write stored readings to a file, the newest first.

    The file appears when it is complete, and only its owner may read it. parquet needs the library pyarrow.

    \b
    Example:
      gatepost export --device oximeter-1 --since 1d oximeter.csv
    """
    form = form or _form_of(file)
    client = connected(socket, config)
    start, end = None if since is None else moment(since), None if until is None else moment(until)
    if device is not None:
        client.device(device)  # says so when there is none
    written = 0
    with output(file, form.value, force) as out, _progress(start) as tell:
        query = {"device": device, "metric": metric, "since": start, "until": end}
        for page in pages(client, query, complain):
            out.write(page)
            written += len(page)
            if page:
                tell(written, page[-1].time)
    if json and file != "-":
        say_json({"file": file, "format": form.value, "readings": written})
    elif file != "-":
        say(f"{file}: {count(written, 'reading')}")


def _form_of(file: str) -> ExportFormat:
    """As the name of the file ends."""
    try:
        return ExportFormat(file.rpartition(".")[2].lower())
    except ValueError:
        endings = ", ".join(f".{each}" for each in ExportFormat)
        raise typer.BadParameter(f"say which, or name a file that ends in {endings}", param_hint="--format") from None


def pages(
    client: GatewayClient,
    query: dict[str, Any],
    tell: Callable[[str, str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[list[ReadingDict]]:
    """All of them; a page that does not come is asked for again, a few times. Raises GatewayError."""
    cursor = None
    while True:
        answer = _page(client, {**query, "limit": PAGE, "cursor": cursor}, tell, sleep)
        yield answer["readings"]
        cursor = answer["cursor"]
        if cursor is None:
            return


def _page(
    client: GatewayClient, query: dict[str, Any], tell: Callable[[str, str], None], sleep: Callable[[float], None]
) -> Any:
    wait = FIRST_WAIT
    for _ in range(ATTEMPTS - 1):
        try:
            return client.readings(**query)
        except (NoAgent, GatewayTimeout, RateLimited, Unavailable) as error:
            again: GatewayError = error
        except GatewayError as error:
            if error.key != "connection-lost":
                raise
            again = error
        seconds = max(wait, getattr(again, "retry_after", 0.0))
        tell(f"{again.message}; trying again in {seconds:g} s", "")
        sleep(seconds)
        wait *= 2
    return client.readings(**query)


class _progress:  # noqa: N801
    """A bar on a terminal's stderr: how far back in time, where a beginning is known, and how many."""

    def __init__(self, start: datetime | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._shown = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._shown.add_task("exporting", total=None)
        self._start = start
        self._newest: datetime | None = None

    def __enter__(self) -> Callable[[int, datetime], None]:
        self._shown.start()
        return self._tell

    def __exit__(self, *error: object) -> None:
        self._shown.stop()

    def _tell(self, written: int, reached: datetime) -> None:
        self._newest = self._newest or reached
        self._shown.update(self._task, description=f"{count(written, 'reading')}, back to {reached:%Y-%m-%d %H:%M:%S}")
        if self._start is not None:
            whole = (self._newest - self._start).total_seconds()
            self._shown.update(self._task, total=whole, completed=(self._newest - reached).total_seconds())
