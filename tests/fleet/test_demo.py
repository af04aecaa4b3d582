"""The demo on a small scale: what brokers acknowledged is stored once, also where a worker is killed."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.fleet.test_message import reading

pytest.importorskip("asyncpg")

from gatepost_fleet.demo.databases import PostgresDatabase, SqliteDatabase, make_database
from gatepost_fleet.demo.loopback_fleet import LoopbackFleet
from gatepost_fleet.demo.servers import ServerMissing, nats_cluster
from gatepost_fleet.message import parse
from gatepost_fleet.sinks import make_sink


@pytest.mark.parametrize("database", [PostgresDatabase, SqliteDatabase])
async def test_three_nodes_ten_gateways_and_a_killed_worker(database: Any) -> None:
    told: list[str] = []
    with tempfile.TemporaryDirectory(prefix="gp-fleet-") as name:
        folder = Path(name)
        await asyncio.to_thread(folder.chmod, 0o755)  # PostgreSQL's own user must get in
        try:
            # A cluster is formed once; what differs without PostgreSQL is no matter of the nodes.
            nodes = nats_cluster(folder, 3 if database is PostgresDatabase else 1)
            fleet = LoopbackFleet(folder, nodes, database(folder), 10, 100, told.append)
        except ServerMissing as error:
            pytest.skip(str(error))
        try:
            await fleet.start()
            await fleet.fault(fleet.workers[0], 0.2)
            account = await fleet.finish()
        finally:
            await fleet.stop()
    assert account.acknowledged >= 10
    assert (account.missing, account.twice) == (0, 0), told


async def test_without_postgresql_readings_go_to_sqlite_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(folder: Path) -> None:
        raise ServerMissing("PostgreSQL is not installed: sudo apt-get install postgresql")

    monkeypatch.setattr("gatepost_fleet.demo.databases.PostgresDatabase", missing)
    database, remark = make_database(tmp_path)
    assert "apt-get install postgresql" in remark
    sink = make_sink(database.url)
    await sink.open()
    late = reading(2, replayed=True, clock="rectified", timestamp="2026-11-20T11:00:00Z")
    bodies = [reading(1), reading(2), late, reading(1, systolic=9), {"id": 4}]
    items = [each for body in bodies for each in parse("devices/cuff-3/data", orjson.dumps(body))]
    assert await sink.write(items) == (2, 1, 1, 1)
    assert await sink.write(items[:2]) == (0, 2, 0, 0)
    assert await database.rows("ward-7", "6f2c9a1b") == {1: 1, 2: 1}
    await sink.close()
    with pytest.raises(OSError, match="not open"):
        await sink.write(items)
    with pytest.raises(ValueError, match="oracle"):
        make_sink("oracle://x")
