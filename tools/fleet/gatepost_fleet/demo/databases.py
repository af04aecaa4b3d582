"""Databases of the demo: PostgreSQL where it is installed, else a file of SQLite; and the account of a run."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import asyncpg

from gatepost_fleet.demo.servers import LocalPostgres, LocalServer, ServerMissing
from gatepost_fleet.demo.simulated_gateway import SimulatedGateway

_COUNTS = "select seq, count(*) from reading where gateway_id = {} and log_epoch = {} group by seq"


class FleetAccount(NamedTuple):
    """Readings that were acknowledged, those of them that are missing, and rows beyond one for each."""

    acknowledged: int
    missing: int
    twice: int


class DemoDatabase(Protocol):
    """Database of a run. `server` is what can be killed, None for a file."""

    url: str
    server: LocalServer | None

    async def rows(self, gateway: str, epoch: str) -> dict[int, int]:
        """Number of a reading -> rows. Raises OSError and what the library raises."""
        ...


class PostgresDatabase:
    """PostgreSQL of its own, of the demo. Raises ServerMissing."""

    def __init__(self, folder: Path) -> None:
        server = LocalPostgres(folder / "postgres")
        self.url = server.url
        self.server: LocalServer | None = server

    async def rows(self, gateway: str, epoch: str) -> dict[int, int]:
        connection = await asyncpg.connect(self.url, timeout=15)
        try:
            return dict(await connection.fetch(_COUNTS.format("$1", "$2"), gateway, epoch))
        finally:
            connection.terminate()


class SqliteDatabase:
    """File of SQLite."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "readings.db"
        self.url = f"sqlite://{self._path}"
        self.server: LocalServer | None = None

    async def rows(self, gateway: str, epoch: str) -> dict[int, int]:
        return await asyncio.to_thread(self._rows, gateway, epoch)

    def _rows(self, gateway: str, epoch: str) -> dict[int, int]:
        connection = sqlite3.connect(self._path)
        try:
            return dict(connection.execute(_COUNTS.format("?", "?"), (gateway, epoch)).fetchall())
        finally:
            connection.close()


def make_database(folder: Path) -> tuple[DemoDatabase, str]:
    """And what is to be said of it, where it is not PostgreSQL."""
    try:
        return PostgresDatabase(folder), ""
    except ServerMissing as error:
        return SqliteDatabase(folder), f"{error}; readings go to SQLite, and there is no rollout"


async def compare(database: DemoDatabase, gateways: Sequence[SimulatedGateway]) -> FleetAccount:
    """What brokers acknowledged to gateways against what stands in the database."""
    acknowledged = missing = twice = 0
    for gateway in gateways:
        stored = await database.rows(gateway.name, gateway.epoch)
        acknowledged += len(gateway.acknowledged)
        missing += len(gateway.acknowledged - stored.keys())
        twice += sum(stored.values()) - len(stored)
    return FleetAccount(acknowledged, missing, twice)
