"""The command `gatepost-fleet`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import sys
import time
from pathlib import Path
from random import Random
from typing import Annotated, NoReturn

import asyncpg
import typer

from gatepost_fleet import acl as access
from gatepost_fleet.fleet_status import GatewayLine, gateways
from gatepost_fleet.ingestion import Ingestion
from gatepost_fleet.metrics import IngestMetrics, serve
from gatepost_fleet.migrations import SchemaTooNew, migrate
from gatepost_fleet.postgres_sink import CONNECT_TIMEOUT, PostgresSink
from gatepost_fleet.settings import FleetSettings, FleetSettingsWrong, load
from gatepost_fleet.sources.catalogue import make_source
from gatepost_fleet.sources.interface import SourceError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Fleet side of Gatepost: readings of many gateways from a broker cluster into PostgreSQL, each exactly once.",
)
Config = Annotated[Path, typer.Option("--config", "-c", help="YAML file with `source` and `sink`")]
SILENT = 900.0  # seconds after which a gateway counts as silent


@app.command()
def ingest(config: Config = Path("fleet.yaml")) -> None:
    """Store what gateways publish, until Ctrl-C. Start as many workers as you like.

    Example: gatepost-fleet ingest --config fleet.yaml
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    asyncio.run(_ingest(_settings(config)))


async def _ingest(settings: FleetSettings) -> None:
    try:
        source = make_source(settings.source, settings.group, settings.worker)
    except SourceError as error:
        _fail(str(error))
    ingestion = Ingestion(source, PostgresSink(settings.sink), Random(), time.monotonic)
    stop = None
    if settings.metrics is not None:
        try:
            stop = serve(settings.metrics, IngestMetrics(ingestion.counters, time.monotonic))
        except (OSError, ValueError) as error:
            _fail(f"metrics: {settings.metrics}: {error}")
    task = asyncio.ensure_future(ingestion.run())
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task
    if stop is not None:
        stop()


@app.command()
def status(
    config: Config = Path("fleet.yaml"),
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Every gateway: when it was heard, what is missing of it, whether its card was copied.

    Example: gatepost-fleet status
    """
    lines = asyncio.run(_gateways(_settings(config)))
    if as_json:
        print(json.dumps([line._asdict() for line in lines]))
        return
    for line in lines:
        notes = []
        if line.silent > SILENT:
            notes.append(f"silent for {line.silent / 60:.0f} min")
        if line.missing:
            notes.append(f"{line.missing} readings missing")
        if line.copied:
            notes.append("two boxes use this id: a copied card?")
        if line.clock_offset is not None and abs(line.clock_offset) > 5:
            notes.append(f"clock {line.clock_offset:+.0f} s")
        print(f"{line.id:<24} {line.status:<10} {', '.join(notes) or 'well'}")


async def _gateways(settings: FleetSettings) -> list[GatewayLine]:
    try:
        connection = await asyncpg.connect(settings.sink, timeout=CONNECT_TIMEOUT)
    except (OSError, asyncpg.PostgresError) as error:
        _fail(f"the database: {error}")
    try:
        await migrate(connection)
        return await gateways(connection)
    except SchemaTooNew as error:
        _fail(str(error))
    finally:
        await connection.close()


@app.command()
def acl(
    engine: Annotated[str, typer.Argument(help=", ".join(access.ENGINES))],
    organization: Annotated[str, typer.Option(help="organization of the broadcast topic")] = "+",
    user: Annotated[str, typer.Option(help="user name of workers and fleet")] = "gatepost-fleet",
) -> None:
    """Print the rules that let each gateway speak only for itself, as the engine reads them.

    Example: gatepost-fleet acl mosquitto --organization clinic
    """
    if engine not in access.ENGINES:
        _fail(f"engine {engine!r} is not known; there are {', '.join(access.ENGINES)}")
    print(access.rules(engine, organization, user), end="")


@app.command()
def demo(
    gateways: Annotated[int, typer.Option(min=1, max=1000, help="simulated gateways")] = 50,
    rate: Annotated[float, typer.Option(min=1, max=5000, help="readings per second of all together")] = 200,
) -> None:
    """A fleet on this machine for a minute: three broker nodes, two workers, PostgreSQL; each is killed in turn.

    Example: gatepost-fleet demo --gateways 150 --rate 500
    """
    from gatepost_fleet.demo.runner import run_demo
    from gatepost_fleet.demo.servers import ServerMissing

    began = time.monotonic()
    try:
        account = asyncio.run(run_demo(gateways, rate, lambda text: _tell(time.monotonic() - began, text)))
    except (OSError, TimeoutError, ServerMissing) as error:
        _fail(str(error))
    acknowledged, missing, twice = account
    _tell(time.monotonic() - began, f"acknowledged {acknowledged}, of these missing {missing}, twice {twice}")
    raise typer.Exit(1 if missing or twice else 0)


def _tell(seconds: float, text: str) -> None:
    print(f"{seconds:6.1f} s  {text}", flush=True)


def _settings(path: Path) -> FleetSettings:
    try:
        return load(path)
    except FleetSettingsWrong as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    raise typer.Exit(1)


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
