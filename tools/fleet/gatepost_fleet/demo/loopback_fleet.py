"""Fleet on loopback: a broker cluster, a database, workers and simulated gateways, each of which can be killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from random import Random

from gatepost_fleet.demo.databases import DemoDatabase, FleetAccount, compare
from gatepost_fleet.demo.servers import BrokerNode, LocalServer
from gatepost_fleet.demo.simulated_gateway import SimulatedGateway
from gatepost_fleet.demo.simulated_trial import SimulatedTrial
from gatepost_fleet.signing import SigningKey

WORKERS = 2
CONNECT_WITHIN = 180.0
DRAIN_WITHIN = 240.0
DOWN = 3.0  # seconds that what was killed stays away

Tell = Callable[[str], None]


class LoopbackFleet:
    """A fleet of so many gateways and readings per second. `tell` gets a sentence for each thing that happens; with
    `obeys`, gateways have desired state."""

    def __init__(
        self,
        folder: Path,
        nodes: Sequence[BrokerNode],
        database: DemoDatabase,
        gateways: int,
        rate: float,
        tell: Tell,
        obeys: bool = False,
    ) -> None:
        self.folder, self.nodes, self.database, self.tell = folder, nodes, database, tell
        self._others: list[LocalServer] = []
        self.key = SigningKey.create("demo", folder / "key.pem")
        urls = [node.mqtt_url for node in nodes]
        keys = {self.key.name: self.key.public}
        self.gateways = []
        for number in range(1, gateways + 1):
            name, rng = f"ward-{number}", Random(number)
            trial = SimulatedTrial(name, keys, rng) if obeys else None
            self.gateways.append(SimulatedGateway(name, urls, gateways / rate if rate else 0, rng, trial))
        self.config = folder / "fleet.yaml"
        self.config.write_text(
            f"source: {','.join(node.url for node in nodes)}\nsink: {database.url}\n"
            f"broker: {','.join(urls)}\nkey: {folder}/key.pem\nkey_id: {self.key.name}\n"
        )
        self.workers = [self.program(f"worker-{number}", "ingest") for number in range(1, WORKERS + 1)]
        self.controller = self.program("controller", "run")
        self._tasks: list[asyncio.Task[None]] = []

    def program(self, name: str, verb: str) -> LocalServer:
        """A process of `gatepost-fleet`, not started."""
        command = ["-m", "gatepost_fleet.main", verb, "--config", str(self.config)]
        package = str(Path(__file__).parent.parent.parent)
        path = os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])
        return self.other(name, command, {**os.environ, "PYTHONPATH": path})

    def other(self, name: str, command: Sequence[str], environment: dict[str, str] | None = None) -> LocalServer:
        """A Python process that ends with the fleet, not started."""
        place = self.folder / name
        place.mkdir()
        server = LocalServer(name, place, [sys.executable, *command], environment)
        self._others.append(server)
        return server

    async def start(self, beside: Callable[[], Awaitable[None]] | None = None) -> None:
        """`beside` is started together with the gateways. Raises OSError, TimeoutError."""
        server = self.database.server
        name = "PostgreSQL" if server else "SQLite"
        self.tell(f"{len(self.nodes)} broker nodes, {name} and {len(self.workers)} workers start")
        first, *others = self.nodes  # of RabbitMQ, the others join the first
        await asyncio.gather(first.start(), *([server.start()] if server else []))
        await asyncio.gather(*(node.start() for node in others))
        for worker in self.workers:
            await spawn(worker)
        for worker in self.workers:
            await until_said(worker, b": running", b": standing by")
        self.tell("the workers have declared what keeps readings; only now may gateways connect")
        if beside is not None:
            await beside()
        self._tasks = [asyncio.ensure_future(gateway.run()) for gateway in self.gateways]
        began = time.monotonic()
        while not all(gateway.acknowledged or not gateway.reads for gateway in self.gateways):
            if time.monotonic() - began > CONNECT_WITHIN:
                raise TimeoutError("the cluster does not take the gateways")
            await asyncio.sleep(0.1)
        self.tell(f"{len(self.gateways)} gateways deliver, after {time.monotonic() - began:.1f} s")

    async def fault(self, what: LocalServer, down: float | None = None) -> None:
        """Kill it, and start it again a while later."""
        what.kill()
        self.tell(f"{what.name}: kill -9")
        await asyncio.sleep(DOWN if down is None else down)
        online = sum(gateway.connected for gateway in self.gateways)
        owed = sum(gateway.owed for gateway in self.gateways)
        self.tell(f"{what.name} is still away: {online} gateways connected, {owed} readings wait at the edge")
        await (spawn(what) if what in self._others else what.start())
        self.tell(f"{what.name} is back")

    async def finish(self) -> FleetAccount:
        """Everything is delivered and stored, or DRAIN_WITHIN is over: the account."""
        account = FleetAccount(0, 0, 0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_WITHIN):
                await asyncio.gather(*(gateway.settle() for gateway in self.gateways))
                self.tell("all readings are acknowledged; the workers finish")
                while (account := await compare(self.database, self.gateways)).missing:  # noqa: ASYNC110 - a database
                    await asyncio.sleep(0.5)
        return await compare(self.database, self.gateways) if account.missing else account

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for server in (*self._others, self.database.server):
            if server is not None:
                server.kill()
        for node in self.nodes:
            node.stop_all()


async def until_said(process: LocalServer, *words: bytes) -> None:
    """One of them in its log. OSError, TimeoutError."""
    async with asyncio.timeout(CONNECT_WITHIN):
        while True:
            log = await asyncio.to_thread(process.log.read_bytes)
            if any(each in log for each in words):
                return
            await asyncio.sleep(0.1)


async def spawn(process: LocalServer) -> None:
    """Of one without a port to wait for."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            await process.start()
