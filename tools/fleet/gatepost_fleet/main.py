"""The command `gatepost-fleet`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from datetime import timedelta
from random import Random
from typing import Annotated, Any

import asyncpg
import typer

from gatepost.agent.core.printable import printable
from gatepost_fleet import acl as access
from gatepost_fleet.controller import FleetController
from gatepost_fleet.desired_verbs import desired, forget, labels, make_key, rollout
from gatepost_fleet.fleet_page import FleetPage
from gatepost_fleet.fleet_publisher import FleetPublisher
from gatepost_fleet.fleet_status import gateways
from gatepost_fleet.fleet_view import FleetView
from gatepost_fleet.ingestion import Ingestion
from gatepost_fleet.metrics import IngestMetrics, listen, serve
from gatepost_fleet.retention import Retention
from gatepost_fleet.settings import FleetSettings
from gatepost_fleet.sinks import make_sink
from gatepost_fleet.sources.catalogue import make_source
from gatepost_fleet.sources.interface import SourceError
from gatepost_fleet.terminal import DEFAULT_CONFIG, AsJson, Config, fail, settings_from, with_database

_LINE = "{:<24} {:<8} {:<10} {:>7} {:>8} {:>8}  {:<10} {}"

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Fleet side of Gatepost: stores the readings of many gateways in PostgreSQL, each once, and sends settings.",
)
app.add_typer(desired, name="desired")
app.add_typer(rollout, name="rollout")
app.add_typer(labels, name="labels")
app.command("key")(make_key)
app.command("forget")(forget)


@app.command()
def ingest(config: Config = DEFAULT_CONFIG) -> None:
    """Store what gateways publish, until Ctrl-C. Start as many workers as you like.

    Example: gatepost-fleet ingest --config fleet.yaml
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    asyncio.run(_ingest(settings_from(config)))


async def _ingest(settings: FleetSettings) -> None:
    try:
        source, sink = make_source(settings.source, settings.group, settings.worker), make_sink(settings.sink)
    except (SourceError, ValueError) as error:
        fail(str(error))
    ingestion = Ingestion(source, sink, Random(), time.monotonic)
    metrics = IngestMetrics(ingestion.counters, time.monotonic)
    stop = _served("metrics", settings.metrics, lambda address: serve(address, metrics))
    await _until_stopped(ingestion.run())
    stop()


@app.command()
def run(config: Config = DEFAULT_CONFIG) -> None:
    """Send desired state and advance rollouts, until Ctrl-C. Where several run, one is active.

    Example: gatepost-fleet run --config fleet.yaml
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    settings = settings_from(config)
    if not settings.broker:
        fail(f"{config} names no `broker`: the MQTT address where gateways are reached")
    asyncio.run(_run(settings))


async def _run(settings: FleetSettings) -> None:
    publisher, view = FleetPublisher(settings.broker, f"gatepost-fleet-{settings.group}"), FleetView()
    stop = _served("page", settings.page, lambda address: listen(address, FleetPage(view)))
    retention = Retention(timedelta(days=settings.keep_days), time.monotonic)
    controller = FleetController(settings.sink, publisher, settings.rate, Random(), view, retention=retention)
    await _until_stopped(controller.run())
    stop()


def _served(what: str, address: str | None, begin: Callable[[str], Callable[[], None]]) -> Callable[[], None]:
    """The way to end it."""
    if address is None:
        return lambda: None
    try:
        return begin(address)
    except (OSError, ValueError, OverflowError) as error:
        fail(f"{what}: {address}: {error}")


async def _until_stopped(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


@app.command()
def status(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Show every gateway and its state.

    When it was last heard, its missing readings, its desired and reported state.

    Example: gatepost-fleet status
    """
    lines = with_database(settings_from(config), gateways)
    if as_json:
        print(json.dumps([{**line._asdict(), "state": line.state} for line in lines]))
        return
    print(_LINE.format("GATEWAY", "STATE", "SAYS", "SILENT", "MISSING", "DESIRED", "REPORTED", "NOTES"))
    for line in lines:
        cells = (printable(line.id), line.state, printable(line.status), _since(line.silent), line.missing)
        desired = "-" if line.desired is None else line.desired
        print(_LINE.format(*cells, desired, line.outcome or "-", ", ".join(line.notes())).rstrip())


def _since(seconds: float | None) -> str:
    """The largest whole unit of a time that has passed."""
    if seconds is None:
        return "never"
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


@app.command()
def acl(
    engine: Annotated[str, typer.Argument(help=", ".join(access.ENGINES))],
    organization: Annotated[str, typer.Option(help="organization of the broadcast topic")] = "+",
    user: Annotated[str, typer.Option(help="user name of workers and fleet")] = "gatepost-fleet",
) -> None:
    """Print rules by which a gateway publishes only for itself.

    In the format of the engine: mosquitto, rabbitmq, nats or emqx.

    Example: gatepost-fleet acl mosquitto --organization clinic
    """
    if engine not in access.ENGINES:
        fail(f"engine {engine!r} is not known; there are {', '.join(access.ENGINES)}")
    print(access.rules(engine, organization, user), end="")


@app.command()
def demo(
    gateways: Annotated[int, typer.Option(min=1, max=1000, help="simulated gateways")] = 50,
    rate: Annotated[float, typer.Option(min=1, max=5000, help="readings per second of all together")] = 200,
) -> None:
    """Run a fleet on this machine for a minute.

    Three broker nodes, two workers, PostgreSQL, a real gateway and many simulated ones; a rollout in waves, a
    bad version, and kill -9 of a node, a worker and the database.

    Example: gatepost-fleet demo --gateways 150 --rate 500
    """
    from gatepost_fleet.demo.runner import run_demo
    from gatepost_fleet.demo.servers import ServerMissing

    began = time.monotonic()
    try:
        account = asyncio.run(run_demo(gateways, rate, lambda text: _tell(time.monotonic() - began, text)))
    except (OSError, TimeoutError, ServerMissing, asyncpg.PostgresError) as error:
        fail(str(error) or "it took too long")
    acknowledged, missing, twice = account
    _tell(time.monotonic() - began, f"acknowledged {acknowledged}, of these missing {missing}, twice {twice}")
    raise typer.Exit(1 if missing or twice else 0)


def _tell(seconds: float, text: str) -> None:
    print(f"{seconds:6.1f} s  {text}", flush=True)


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
