"""The demo on a small scale: what brokers acknowledged is stored once, also where a worker is killed."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest

pytest.importorskip("asyncpg")

from gatepost_fleet.demo import runner
from gatepost_fleet.demo.runner import DemoFleet
from gatepost_fleet.demo.servers import ServerMissing


async def test_three_nodes_ten_gateways_and_a_killed_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "DOWN", 0.2)
    told: list[str] = []
    with tempfile.TemporaryDirectory(prefix="gp-fleet-") as name:
        folder = Path(name)
        await asyncio.to_thread(folder.chmod, 0o755)  # PostgreSQL's own user must get in
        try:
            fleet = DemoFleet(folder, 10, 100, told.append)
        except ServerMissing as error:
            pytest.skip(str(error))
        try:
            await fleet.start()
            await fleet.fault(fleet.workers[0])
            account = await fleet.finish()
        finally:
            await fleet.stop()
    assert account.acknowledged >= 10
    assert (account.missing, account.twice) == (0, 0), told
