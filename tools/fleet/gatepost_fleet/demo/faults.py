"""Faults of a fleet, by hand: `python -m gatepost_fleet.demo.faults turns nats`; needs the servers of the engine.

turns: kill -9 of each broker node in turn, of a worker and of the database, while gateways read.
blackout: all nodes at once, and how the gateways come back; they wait between attempts as the agent does.
rate: one worker, against the bare `insert ... unnest` into the same tables in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import shutil
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import orjson

from gatepost.agent.uplink.broker_link import LONGEST_CROWDED, LONGEST_RETRY
from gatepost_fleet.demo.databases import PostgresDatabase
from gatepost_fleet.demo.loopback_fleet import LoopbackFleet
from gatepost_fleet.demo.rabbit import RabbitNode, rabbit_cluster
from gatepost_fleet.demo.runner import temporary_folder
from gatepost_fleet.demo.servers import BrokerNode, LocalPostgres, nats_cluster
from gatepost_fleet.ingestion import BATCH, Ingestion
from gatepost_fleet.migrations import migrate
from gatepost_fleet.postgres_sink import PostgresSink
from gatepost_fleet.sources.interface import Delivered

BACK_WITHIN = 600.0
TURNS = 5  # of `rate`, of which the median counts
_BARE = """
insert into reading (gateway_id, log_epoch, seq, device_id, patient_id, metric_type, time, clock, replayed, payload)
select * from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::timestamptz[],
                     $8::text[], $9::boolean[], $10::jsonb[]) on conflict do nothing
"""


def stream_cluster(folder: Path, count: int) -> list[RabbitNode]:
    """RabbitMQ, of which a stream is read."""
    nodes = rabbit_cluster(folder, count)
    for node in nodes:
        node.scheme = node.scheme.replace("amqp:", "amqp+stream:")
    return nodes


ENGINES = {"nats": nats_cluster, "amqp": rabbit_cluster, "amqp+stream": stream_cluster}


async def turns(fleet: LoopbackFleet) -> None:
    """Every part once, each back before the next goes."""
    await fleet.start()
    server = fleet.database.server
    assert server is not None
    for part in (*fleet.nodes, fleet.workers[0], server):
        await fleet.fault(part)
        await asyncio.sleep(3.0)


async def blackout(fleet: LoopbackFleet) -> None:
    """All nodes at once."""
    for gateway in fleet.gateways:
        gateway.longest_retry, gateway.longest_crowded = LONGEST_RETRY, LONGEST_CROWDED
    await fleet.start()
    loop = asyncio.get_running_loop()
    began = loop.time()
    for node in fleet.nodes:
        node.kill()
    fleet.tell("all nodes: kill -9")
    await asyncio.sleep(10.0)
    await asyncio.gather(*(node.start() for node in fleet.nodes))
    up = loop.time()
    fleet.tell("all nodes are started again")
    async with asyncio.timeout(BACK_WITHIN):
        while not all(gateway.connected for gateway in fleet.gateways):  # noqa: ASYNC110 - five looks a second
            await asyncio.sleep(0.2)
    fleet.tell(f"all gateways are connected again, {loop.time() - up:.1f} s after the nodes came back")
    _tell_attempts(fleet, began, up)


def _tell_attempts(fleet: LoopbackFleet, began: float, up: float) -> None:
    seconds = Counter(int(at - began) for each in fleet.gateways for at in each.attempts if at >= began)
    later = [count for second, count in seconds.items() if second >= 15]
    most = max(sum(at >= began for at in each.attempts) for each in fleet.gateways)
    fleet.tell(
        f"attempts: {sum(seconds.values())}, at most {most} of one gateway; "
        f"in one second at most {max(seconds.values())}, and {max(later, default=0)} from the 15th second on"
    )


class _Ready:
    """Source of messages that are there already."""

    def __init__(self, batches: Sequence[list[Delivered]]) -> None:
        self._batches = iter(batches)

    stream = ""

    async def open(self, offset: int | None = None) -> None: ...

    async def take(self, limit: int, linger: float) -> list[Delivered]:
        return next(self._batches)

    async def acknowledge(self, batch: list[Delivered]) -> None: ...

    async def close(self) -> None: ...


async def rate(folder: Path, count: int = 20_000) -> None:
    """Bare and worker in turns, into databases that both have the tables."""
    server = LocalPostgres(folder / "postgres")
    await server.start()
    try:
        connection = await asyncpg.connect(server.url)
        await connection.execute("create database bare")
        await connection.close()
        connection = await asyncpg.connect(server.url.replace("/postgres", "/bare"))
        await migrate(connection)
        sink = PostgresSink(server.url)
        await sink.open()
        shares, rates, costs = [], [], []
        for turn in range(TURNS):
            batches = [_messages(turn, first, min(BATCH, count - first)) for first in range(0, count, BATCH)]
            bare = await _bare(connection, batches)
            worker = Ingestion(_Ready(batches), sink, Random(1), time.monotonic)
            began, cost = time.monotonic(), _cpu()
            for batch in batches:
                await worker.store(batch)
            await worker.settle()
            rates.append(count / (time.monotonic() - began))
            costs.append((_cpu() - cost) / count * 1e6)
            shares.append(rates[-1] / bare)
            assert worker.counters.stored == count
        print(
            f"{statistics.median(rates):.0f} readings/s, {statistics.median(shares):.2f} of the bare insert, "
            f"{statistics.median(costs):.1f} us of CPU a reading; load {os.getloadavg()[0]:.1f}"
        )
        await sink.close()
        await connection.close()
    finally:
        server.kill()


async def _bare(connection: Any, batches: Sequence[list[Delivered]]) -> float:
    from gatepost_fleet.message import parse

    ready = [[item for each in batch for item in parse(each.topic, each.payload)] for batch in batches]
    columns = [list(zip(*batch, strict=True)) for batch in ready]
    began = time.monotonic()
    for each in columns:
        await connection.execute(_BARE, *each)
    return sum(map(len, ready)) / (time.monotonic() - began)


def _messages(turn: int, first: int, count: int) -> list[Delivered]:
    found = []
    for number in range(first, first + count):
        name = f"ward-{number % 150}"
        body = {
            "id": f"{name}:{turn:08x}:{number // 150 + 1}",
            "schema": 1,
            "gateway_id": name,
            "device_id": "oximeter-1",
            "patient_id": "P-001",
            "metric_type": "pulse_oximetry",
            "spo2": 97,
            "heart_rate": 71,
            "units": {"spo2": "%", "heart_rate": "/min"},
            "timestamp": "2026-11-29T10:00:00.123456Z",
            "clock": "synchronised",
            "replayed": False,
            "quality": "good",
            "flags": [],
        }
        found.append(Delivered(f"gateways/{name}/devices/oximeter-1/data", orjson.dumps(body), number))
    return found


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def _main(arguments: argparse.Namespace) -> None:
    folder = temporary_folder()
    began = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {text}  (load {os.getloadavg()[0]:.1f})", flush=True)

    try:
        if arguments.what == "rate":
            await rate(folder)
            return
        nodes: Sequence[BrokerNode] = ENGINES[arguments.engine](folder / "nodes", 3)  # type: ignore[assignment]
        obeys = arguments.what == "blackout"  # then each also subscribes and asks
        fleet = LoopbackFleet(folder, nodes, PostgresDatabase(folder), arguments.gateways, arguments.rate, tell, obeys)
        try:
            await {"turns": turns, "blackout": blackout}[arguments.what](fleet)
            account = await fleet.finish()
        finally:
            await fleet.stop()
        tell(f"acknowledged {account.acknowledged}, of these missing {account.missing}, twice {account.twice}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["turns", "blackout", "rate"])
    parser.add_argument("engine", nargs="?", choices=list(ENGINES), default="nats")
    parser.add_argument("--gateways", type=int, default=150)
    parser.add_argument("--rate", type=float, default=500)
    asyncio.run(_main(parser.parse_args()))
