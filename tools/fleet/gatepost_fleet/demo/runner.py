"""Run of the demo: a fleet at work while each of its parts is killed in turn, told line by line, and the account."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import Any

import asyncpg

from gatepost_fleet.demo.account import FleetAccount, compare
from gatepost_fleet.demo.servers import LocalPostgres, LocalServer, NatsNode, nats_cluster
from gatepost_fleet.demo.simulated_gateway import SimulatedGateway

NODES, WORKERS = 3, 2
CONNECT_WITHIN = 90.0
DRAIN_WITHIN = 120.0
DOWN = 4.0  # seconds that what was killed stays away

Tell = Callable[[str], None]


class DemoFleet:
    """A fleet on loopback. `tell` gets a sentence for each thing that happens."""

    def __init__(self, folder: Path, gateways: int, rate: float, tell: Tell) -> None:
        self._folder = folder
        self._tell = tell
        self.postgres = LocalPostgres(folder / "postgres")
        self.nodes: list[NatsNode] = nats_cluster(folder, NODES)
        urls = [node.mqtt_url for node in self.nodes]
        self.gateways = [
            SimulatedGateway(f"ward-{number}", urls, gateways / rate, Random(number))
            for number in range(1, gateways + 1)
        ]
        config = folder / "fleet.yaml"
        sources = ",".join(node.url for node in self.nodes)
        config.write_text(f"source: {sources}\nsink: {self.postgres.url}\n")
        command = [sys.executable, "-m", "gatepost_fleet.main", "ingest", "--config", str(config)]
        package = str(Path(__file__).parent.parent.parent)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])}
        self.workers: list[LocalServer] = []
        for number in range(1, WORKERS + 1):
            place = folder / f"worker-{number}"
            place.mkdir()
            self.workers.append(LocalServer(f"worker-{number}", place, command, environment))
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Raises OSError, TimeoutError."""
        self._tell(f"{NODES} nodes of nats-server, PostgreSQL and {WORKERS} workers start")
        await asyncio.gather(self.postgres.start(), *(node.start() for node in self.nodes))
        for worker in self.workers:
            await _spawn(worker)
            await _until_running(worker)
        self._tell("the workers have declared what keeps readings; only now may gateways connect")
        self._tasks = [asyncio.ensure_future(gateway.run()) for gateway in self.gateways]
        began = time.monotonic()
        while not all(gateway.acknowledged for gateway in self.gateways):
            if time.monotonic() - began > CONNECT_WITHIN:
                raise TimeoutError("the cluster does not take the gateways")
            await asyncio.sleep(0.1)
        self._tell(f"{len(self.gateways)} gateways deliver, after {time.monotonic() - began:.1f} s")

    async def fault(self, what: LocalServer) -> None:
        """Kill it, and start it again a while later."""
        what.kill()
        self._tell(f"{what.name}: kill -9")
        await asyncio.sleep(DOWN)
        online = sum(gateway.connected for gateway in self.gateways)
        owed = sum(gateway.owed for gateway in self.gateways)
        self._tell(f"{what.name} is still away: {online} gateways connected, {owed} readings wait at the edge")
        await (_spawn(what) if what in self.workers else what.start())
        self._tell(f"{what.name} is back")

    async def finish(self) -> FleetAccount:
        """Everything is delivered and stored, or DRAIN_WITHIN is over: the account."""
        async with _connection(self.postgres) as database:
            account = FleetAccount(0, 0, 0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_WITHIN):
                    await asyncio.gather(*(gateway.settle() for gateway in self.gateways))
                    self._tell("all readings are acknowledged; the workers finish")
                    while (account := await compare(database, self.gateways)).missing:  # noqa: ASYNC110 - in a database
                        await asyncio.sleep(0.5)
            return await compare(database, self.gateways) if account.missing else account

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for server in (*self.workers, *self.nodes, self.postgres):
            server.kill()


async def run_demo(gateways: int, rate: float, tell: Tell) -> FleetAccount:
    """Raises OSError, TimeoutError, ServerMissing."""
    folder = await asyncio.to_thread(_temporary_folder)
    try:
        fleet = DemoFleet(folder, gateways, rate, tell)
        try:
            await fleet.start()
            for what in (fleet.nodes[1], fleet.workers[0], fleet.postgres, fleet.nodes[0]):
                await fleet.fault(what)
                await asyncio.sleep(DOWN / 2)
            return await fleet.finish()
        finally:
            await fleet.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _temporary_folder() -> Path:
    """That PostgreSQL's user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="gatepost-fleet-"))
    folder.chmod(0o755)
    return folder


async def _until_running(worker: LocalServer) -> None:
    """OSError, TimeoutError."""
    async with asyncio.timeout(CONNECT_WITHIN):
        while b": running" not in await asyncio.to_thread(worker.log.read_bytes):  # noqa: ASYNC110 - in a file
            await asyncio.sleep(0.1)


async def _spawn(worker: LocalServer) -> None:
    """A worker has no port to wait for."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            await worker.start()


@contextlib.asynccontextmanager
async def _connection(postgres: LocalPostgres) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(postgres.url, timeout=15)
    try:
        yield connection
    finally:
        connection.terminate()
