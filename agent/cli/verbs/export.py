"""`gatepost export`: stored readings into a file, page by page; or the backlog of a broker onto a stick."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from gatepost.agent.cli.support.agent_access import Config, Json, OfDevice, Socket, broker_names, connected
from gatepost.agent.cli.support.export_part import ExportMark, part_file
from gatepost.agent.cli.support.export_stick import export_stick
from gatepost.agent.cli.support.export_writers import appended, output
from gatepost.agent.cli.support.formatting import count
from gatepost.agent.cli.support.output import complain, say, say_json
from gatepost.agent.cli.verbs.readings import moment
from gatepost.client import GatewayClient
from gatepost.client.answers import ReadingPage
from gatepost.client.retries import retried

PAGE = 1000


class ExportFormat(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


def export_verb(
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="The file to write; - is the standard output.")
    ] = None,
    form: Annotated[
        ExportFormat | None,
        typer.Option(
            "--format", "-f", help="csv and parquet have a row for each value; default: by the ending of FILE."
        ),
    ] = None,
    device: OfDevice = None,
    metric: Annotated[str | None, typer.Option("--metric", "-m", help="Only of this metric_type.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="RFC 3339 (2026-11-20T10:30:00Z) or how long ago (10m, 2h).")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="As --since.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    oldest_first: Annotated[
        bool, typer.Option("--oldest-first", help="Begin with the oldest; default: the newest.")
    ] = False,
    stick: Annotated[
        Path | None,
        typer.Option("--stick", metavar="DIR", help="Instead of a file: what a broker is owed, for `gatepost import`."),
    ] = None,
    broker: Annotated[
        str | None, typer.Option("--broker", "-b", help="With --stick: whose backlog.", autocompletion=broker_names)
    ] = None,
    receiver: Annotated[
        str | None,
        typer.Option("--for", metavar="KEY", help="With --stick: encrypt for this public key, or that of a file."),
    ] = None,
    most: Annotated[
        str | None, typer.Option("--max-size", metavar="SIZE", help="With --stick: no more than that, such as 500MB.")
    ] = None,
    socket: Socket = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Write stored readings to a file, the newest first.

    The file appears when it is complete, and only its owner may read it. Run an interrupted export again with the
    same options and it continues (csv, jsonl or ndjson). parquet needs the library pyarrow.

    With --stick: write what a broker is owed onto a stick, urgent readings first. Run it again to continue; it also
    takes receipts from the stick. Readings count as delivered only when their receipt is back.

    \b
    Example:
      gatepost export --device oximeter-1 --since 1d oximeter.csv
      gatepost export --stick /media/stick --broker hospital
    """
    if stick is not None:
        unfit: dict[str, object] = {"FILE": file, "--format": form, "--device": device, "--metric": metric}
        unfit |= {"--since": since, "--until": until, "--force": force or None}
        for option, value in unfit.items():
            if value is not None:
                raise typer.BadParameter("cannot be combined with --stick", param_hint=option)
        export_stick(connected(socket, config), stick, broker, receiver, oldest_first, _octets(most), json)
        return
    alone: dict[str, object] = {"--broker": broker, "--for": receiver, "--max-size": most}
    for option, value in alone.items():
        if value is not None:
            raise typer.BadParameter("needs --stick", param_hint=option)
    if file is None:
        raise typer.BadParameter("name the file to write", param_hint="FILE")
    form = form or _form_of(file)
    client = connected(socket, config)
    start, end = None if since is None else moment(since), None if until is None else moment(until)
    if device is not None:
        client.readings(device=device, limit=1)  # says so when there is none, nor history of one that was removed
    query = {"device": device, "metric": metric, "since": start, "until": end}
    query |= {"order": "oldest" if oldest_first else None}
    if file == "-" or form is ExportFormat.PARQUET:
        written = _whole(client, file, form, force, query)
    else:
        asked = {**query, "since": since, "until": until, "form": form.value}
        written = _resumable(client, Path(file), form, force, query, asked)
    if json and file != "-":
        say_json({"file": file, "format": form.value, "readings": written})
    elif file != "-":
        say(f"{file}: {count(written, 'reading')}")


def _whole(client: GatewayClient, file: str, form: ExportFormat, force: bool, query: dict[str, Any]) -> int:
    written = 0
    with output(file, form.value, force) as out, _progress(query["since"]) as tell:
        for page in pages(client, query, complain):
            out.write(page["readings"])
            written += len(page["readings"])
            if page["readings"]:
                tell(written, page["readings"][-1].time)
    return written


def _resumable(
    client: GatewayClient, path: Path, form: ExportFormat, force: bool, query: dict[str, Any], asked: dict[str, Any]
) -> int:
    """Says where it goes on, and that it can when it is broken off."""
    since, until = (None if time is None else time.isoformat() for time in (query["since"], query["until"]))
    with part_file(path, force, ExportMark(asked, since, until)) as part, _progress(query["since"]) as tell:
        mark = part.mark
        if mark.cursor is not None:
            complain(f"going on after {count(mark.readings, 'reading')} of an earlier export", "")
        out = appended(form.value, part.file, mark.octets > 0)
        try:
            query = {**query, "since": mark.since, "until": mark.until, "cursor": mark.cursor}
            for page in pages(client, query, complain):
                out.write(page["readings"])
                part.keep(page["cursor"], len(page["readings"]))
                if page["readings"]:
                    tell(mark.readings, page["readings"][-1].time)
        except BaseException:
            if mark.cursor is not None:
                complain(f"broken off after {count(mark.readings, 'reading')}", "run it again to go on")
            raise
        return mark.readings


def _octets(size: str | None) -> int | None:
    from gatepost.agent.settings.units import parse_size

    if size is None:
        return None
    try:
        return parse_size(size)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--max-size") from None


def _form_of(file: str) -> ExportFormat:
    """As the name of the file ends; JSON lines have two names."""
    ending = file.rpartition(".")[2].lower()
    try:
        return ExportFormat.JSONL if ending == "ndjson" else ExportFormat(ending)
    except ValueError:
        endings = ", ".join(f".{each}" for each in ExportFormat)
        raise typer.BadParameter(f"add --format, or end the name in {endings}", param_hint="--format") from None


def pages(
    client: GatewayClient,
    query: dict[str, Any],
    tell: Callable[[str, str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[ReadingPage]:
    """All of them, from the `cursor` of the query on; a page that does not come is asked for again, a few times. Raises
    GatewayError."""
    cursor = query.get("cursor")
    while True:
        asked = partial(client.readings, **{**query, "limit": PAGE, "cursor": cursor})
        answer = retried(asked, sleep, lambda message: tell(message, ""))
        yield answer
        cursor = answer["cursor"]
        if cursor is None:
            return


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

    def __exit__(self, *exc: object) -> None:
        self._shown.stop()

    def _tell(self, written: int, reached: datetime) -> None:
        self._newest = self._newest or reached
        self._shown.update(self._task, description=f"{count(written, 'reading')}, up to {reached:%Y-%m-%d %H:%M:%S}")
        if self._start is not None and reached <= self._newest:
            whole = (self._newest - self._start).total_seconds()
            self._shown.update(self._task, total=whole, completed=(self._newest - reached).total_seconds())
