"""Story of the demo: a fleet at work, a rollout in waves, a bad version, and each part killed; told line by line."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg

from gatepost_fleet import desired_state
from gatepost_fleet.demo.databases import FleetAccount, make_database
from gatepost_fleet.demo.loopback_fleet import LoopbackFleet, Tell, spawn
from gatepost_fleet.demo.real_gateway import RealGateway
from gatepost_fleet.demo.servers import nats_cluster
from gatepost_fleet.rollout import WAVES, RolloutPlan
from gatepost_fleet.state_file import ConfirmTerms, GatewayGroup, StateFile

NODES = 3
ROLLOUT_WITHIN = 60.0
PLAN = RolloutPlan([], 1.0, 0.02, timedelta(minutes=10), timedelta(0))
GOOD: dict[str, Any] = {"logging": {"level": "debug"}}
BAD = {"devices": {"probe": {"driver": "lines", "port": "/dev/not-there", "options": {"format": "json"}}}}
WITHIN = ConfirmTerms(within="30s")
SOON = ConfirmTerms(within="8s")  # the real agent looks for 5 s whether it is well again


class DemoStory:
    """Story on one fleet."""

    def __init__(self, fleet: LoopbackFleet, real: RealGateway) -> None:
        self._fleet = fleet
        self._real = real
        self._tell = fleet.tell

    async def run(self) -> FleetAccount:
        """Raises OSError, TimeoutError, asyncpg.PostgresError."""
        fleet = self._fleet
        await fleet.start(self._real.start)
        await self._until_heard()
        if fleet.database.server is None:
            await fleet.fault(fleet.nodes[1])
            await fleet.fault(fleet.workers[0])
        else:
            await spawn(fleet.controller)
            rollout = asyncio.ensure_future(self._good_rollout())
            await fleet.fault(fleet.nodes[1])
            await rollout
            await fleet.fault(fleet.workers[0])
            await fleet.fault(fleet.database.server)
            await self._bad_rollout()
        await self._real.stop()
        account = await fleet.finish()
        await self._tell_of_the_real_one()
        return account

    async def _until_heard(self) -> None:
        """A real gateway's first reading."""
        if self._fleet.database.server is None:
            return
        heard = "select exists (select 1 from reading where gateway_id = $1)"
        async with asyncio.timeout(ROLLOUT_WITHIN):
            while True:
                if await self._ask(lambda connection: connection.fetchval(heard, self._real.name)):
                    break
                await asyncio.sleep(0.2)
        self._tell(f"{self._real.name}, a real agent with a simulated probe, delivers as well")

    async def _good_rollout(self) -> None:
        await self._until_done(await self._start(GOOD, WITHIN, ["*"], WAVES))

    async def _bad_rollout(self) -> None:
        self._tell(f"a bad version, to {self._real.name} and to the others: the port of the probe is not there")
        real = await self._start(BAD, SOON, [self._real.name], "100%")
        others = await self._start(BAD, SOON, ["ward-*"], WAVES)
        await asyncio.gather(self._until_done(real), self._until_done(others))

    async def _start(self, settings: dict[str, Any], terms: ConfirmTerms, gateways: list[str], waves: str) -> str:
        state = StateFile([GatewayGroup(settings)], terms)
        started = await self._ask(
            lambda connection: desired_state.start_rollout(connection, self._fleet.key, state, gateways, waves, PLAN)
        )
        self._tell(f"rollout {started.id}: gateways in waves of {', '.join(map(str, started.waves))}")
        return str(started.id)

    async def _until_done(self, rollout: str) -> None:
        told = 0
        async with asyncio.timeout(ROLLOUT_WITHIN):
            while True:
                lines = await self._ask(desired_state.show_rollouts)
                (line,) = [each for each in lines if each["id"] == rollout]
                if line["wave"] != told or line["state"] != "running":
                    told = line["wave"]
                    reports = ", ".join(f"{count} {status}" for status, count in sorted(line["reports"].items()))
                    self._tell(f"rollout {rollout}: {line['state']}, wave {told}; {reports} {line['reason']}".rstrip())
                if line["state"] != "running":
                    return
                await asyncio.sleep(0.2)

    async def _tell_of_the_real_one(self) -> None:
        if self._fleet.database.server is None:
            return
        query = "select count(*), count(distinct log_epoch) from reading where gateway_id = $1"
        count, starts = await self._ask(lambda connection: connection.fetchrow(query, self._real.name))
        self._tell(f"{self._real.name}: {count} readings of {starts} start{'s' * (starts != 1)} are stored")

    async def _ask(self, question: Callable[[Any], Any]) -> Any:
        connection = await asyncpg.connect(self._fleet.database.url, timeout=15)
        try:
            return await question(connection)
        finally:
            connection.terminate()


async def run_demo(gateways: int, rate: float, tell: Tell) -> FleetAccount:
    """Raises OSError, TimeoutError, ServerMissing, asyncpg.PostgresError."""
    folder = await asyncio.to_thread(temporary_folder)
    try:
        nodes = nats_cluster(folder, NODES)
        database, remark = await asyncio.to_thread(make_database, folder)
        if remark:
            tell(remark)
        fleet = LoopbackFleet(folder, nodes, database, gateways, rate, tell, obeys=True)
        try:
            return await DemoStory(fleet, RealGateway(fleet)).run()
        finally:
            await fleet.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def temporary_folder() -> Path:
    """That PostgreSQL's user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="gatepost-fleet-"))
    folder.chmod(0o755)
    return folder
