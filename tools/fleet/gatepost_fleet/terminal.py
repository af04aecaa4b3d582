"""Command line's common ground: settings, a connection to the database, errors as one sentence."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import asyncpg
import typer

from gatepost_fleet.desired_state import NothingToDo
from gatepost_fleet.migrations import SchemaTooNew, migrate
from gatepost_fleet.postgres_sink import CONNECT_TIMEOUT
from gatepost_fleet.settings import FleetSettings, FleetSettingsWrong, load
from gatepost_fleet.state_file import StateFileWrong

Config = Annotated[Path, typer.Option("--config", "-c", help="YAML file with `source` and `sink`")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON, for programs")]
DEFAULT_CONFIG = Path("fleet.yaml")

Outcome = TypeVar("Outcome")


def settings_from(path: Path) -> FleetSettings:
    """Ends the command where they cannot be used."""
    try:
        return load(path)
    except FleetSettingsWrong as error:
        fail(str(error))


def with_database(settings: FleetSettings, work: Callable[[Any], Awaitable[Outcome]]) -> Outcome:
    """Outcome of `work`, which gets a connection to a database that is up to date."""
    return asyncio.run(_with_database(settings, work))


async def _with_database(settings: FleetSettings, work: Callable[[Any], Awaitable[Outcome]]) -> Outcome:
    if settings.sink.startswith("sqlite:"):
        fail("this needs PostgreSQL; SQLite is for trials of `ingest`")
    try:
        connection = await asyncpg.connect(settings.sink, timeout=CONNECT_TIMEOUT)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        fail(f"the database: {error or type(error).__name__}")
    try:
        await migrate(connection)
        return await work(connection)
    except (SchemaTooNew, NothingToDo, StateFileWrong, ValueError) as error:
        fail(str(error))
    finally:
        await connection.close()


def fail(message: str) -> NoReturn:
    """End the command with exit code 1."""
    print(f"error: {message}", file=sys.stderr)
    raise typer.Exit(1)
