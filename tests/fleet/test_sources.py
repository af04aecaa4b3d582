"""Every source by the same contract: what was acknowledged to a gateway is stored once, whatever is killed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from tests.fleet.test_message import reading
from tests.support.waiting import until
from tests.uplink.broker import Mosquitto
from tests.uplink.client import Recorder, connected

pytest.importorskip("asyncpg")

from gatepost_fleet.demo.rabbit import rabbit_cluster
from gatepost_fleet.demo.servers import LocalPostgres, ServerMissing, nats_cluster
from gatepost_fleet.ingestion import Ingestion
from gatepost_fleet.postgres_sink import PostgresSink
from gatepost_fleet.sources.catalogue import make_source

KINDS = ("mqtt", "nats", "amqp", "amqp+stream")


class Cluster:
    """One broker with the addresses of both sides."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        match kind:
            case "mqtt":
                self.server: Any = Mosquitto(folder, persistence=True, host="127.0.0.1")
            case "nats":
                (self.server,) = nats_cluster(folder, 1)
            case _:
                (self.server,) = rabbit_cluster(folder, 1)
        self.url = self.server.url.replace("amqp", kind) if kind.startswith("amqp") else self.server.url
        self.gateway_url = getattr(self.server, "mqtt_url", self.url)


@pytest.fixture(params=KINDS)
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    kind = request.param
    try:
        one = Cluster(kind, tmp_path / "state")
    except ServerMissing as error:
        pytest.skip(str(error))
    yield one
    one.server.stop_all() if kind.startswith("amqp") else one.server.kill()


@asynccontextmanager
async def worker(cluster: Cluster, postgres: LocalPostgres, name: str = "w1") -> AsyncIterator[Ingestion]:
    ingestion = Ingestion(
        make_source(cluster.url, "ingest", name), PostgresSink(postgres.url), Random(1), time.monotonic
    )
    ingestion._backoff._first = 0.05
    task = asyncio.ensure_future(ingestion.run())
    try:
        yield ingestion
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def publish(client: Recorder, *seqs: int, epoch: str) -> None:
    for seq in seqs:
        payload = orjson.dumps(reading(id=f"ward-7:{epoch}:{seq}"))
        topic = b"gateways/ward-7/devices/cuff-3/data"
        client.connection.publisher.publish(topic, payload, 1, False, b"", seq)
    await until(lambda: {tag for tag, _ in client.acks}.issuperset(seqs), 20)


async def stored(database: Any, epoch: str) -> list[int]:
    rows = await database.fetch("select seq from reading where log_epoch = $1 order by seq", epoch)
    return [row["seq"] for row in rows]


async def test_what_gateways_publish_is_stored_once(cluster: Cluster, postgres: LocalPostgres, database: Any) -> None:
    await cluster.server.start()
    async with connected(cluster.gateway_url, protocol="3.1.1", client_id="ward-7") as gateway:
        async with worker(cluster, postgres) as ingestion:
            await until(lambda: ingestion.counters.state == "running", 40)
            await publish(gateway, *range(1, 301), epoch="a")
            await until(lambda: ingestion.counters.stored == 300, 20)
            gateway.connection.publisher.publish(b"devices/d/data", b"{", 1, False, b"", 9001)
            await until(lambda: ingestion.counters.refused == 1, 20)
            # The database is away: nothing is acknowledged, and everything is there when it is back.
            postgres.kill()
            await publish(gateway, *range(301, 401), epoch="a")
            await until(lambda: ingestion.counters.failures > 0, 20)
            await postgres.start()
            await until(lambda: ingestion.counters.stored == 400, 60)
        # No worker is there: the broker keeps it.
        await publish(gateway, *range(401, 501), epoch="a")
        async with worker(cluster, postgres) as ingestion:
            await until(lambda: ingestion.counters.stored >= 100, 40)
    import asyncpg

    again = await asyncpg.connect(postgres.url)
    try:
        assert await stored(again, "a") == list(range(1, 501))
    finally:
        again.terminate()


@pytest.mark.parametrize("cluster", ["amqp+stream"], indirect=True)
async def test_a_stream_goes_on_where_it_was_and_is_read_anew_where_it_is_another(
    cluster: Cluster, postgres: LocalPostgres, database: Any
) -> None:
    import aiormq

    await cluster.server.start()
    async with connected(cluster.gateway_url, protocol="3.1.1", client_id="ward-7") as gateway:
        async with worker(cluster, postgres) as ingestion:
            await until(lambda: ingestion.counters.state == "running", 40)
            await publish(gateway, *range(1, 51), epoch="a")
            await until(lambda: ingestion.counters.stored == 50, 20)
            async with worker(cluster, postgres, "w2") as other:  # waits: one reads at a time
                await until(lambda: other.counters.state == "standing by", 20)
                assert other.counters.failures == 0
        await publish(gateway, *range(51, 61), epoch="a")
        async with worker(cluster, postgres) as ingestion:
            await until(lambda: ingestion.counters.stored == 10, 40)
            assert ingestion.counters.repeated == 0
        connection = await aiormq.connect(cluster.server.url)
        await (await connection.channel()).queue_delete("gatepost.ingest.stream")
        await connection.close()
        async with worker(cluster, postgres) as ingestion:  # its numbers begin anew, below the one that was kept
            await until(lambda: ingestion.counters.state == "running", 40)
            await publish(gateway, *range(61, 71), epoch="a")
            await until(lambda: ingestion.counters.stored == 10, 40)
    assert await stored(database, "a") == list(range(1, 71))
    assert await database.fetchval("select next from stream_offset") == 10
