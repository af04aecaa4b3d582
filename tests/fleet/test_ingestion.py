"""Order of a worker: a batch is acknowledged once it is stored, one after the other, and none when storing fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

import orjson
import pytest

from tests.fleet.test_message import TOPIC, reading
from tests.support.waiting import until

pytest.importorskip("asyncpg")

from gatepost_fleet.ingestion import Ingestion
from gatepost_fleet.message import Parsed
from gatepost_fleet.postgres_sink import SinkCount
from gatepost_fleet.sources.interface import Delivered


class Broker:
    """A source and a sink that write down what happens to them. Batches of one; the sink waits for `gate`."""

    def __init__(self, count: int) -> None:
        self.waiting = [Delivered(TOPIC, orjson.dumps(reading(seq)), seq) for seq in range(1, count + 1)]
        self.log: list[str] = []
        self.gate = asyncio.Semaphore(0)
        self.fails = False
        self.stream = ""

    async def open(self, offset: int | None = None) -> None: ...

    async def offset(self, stream: str) -> int | None:
        return None

    async def keep_offset(self, stream: str, offset: int) -> None:
        self.log.append(f"offset {offset}")

    async def close(self) -> None: ...

    async def take(self, limit: int, linger: float) -> list[Delivered]:
        if not self.waiting:
            await asyncio.sleep(0.001)
            return []
        one = self.waiting.pop(0)
        self.log.append(f"take {one.ticket}")
        return [one]

    async def write(self, items: Sequence[Parsed]) -> SinkCount:
        await self.gate.acquire()
        if self.fails:
            self.fails = False
            raise OSError("the database is away")
        self.log.append(f"store {items[0].seq}")  # type: ignore[union-attr]
        return SinkCount(len(items), 0, 0, 0)

    async def acknowledge(self, batch: list[Delivered]) -> None:
        self.log.append(f"ack {batch[0].ticket}")


async def test_the_next_batch_is_taken_while_one_is_stored_and_acknowledged_after_it() -> None:
    broker = Broker(3)
    ingestion = Ingestion(broker, broker, Random(1), lambda: 0.0)
    task = asyncio.ensure_future(ingestion.run())
    try:
        await until(lambda: "take 2" in broker.log)
        assert broker.log == ["take 1", "take 2"]
        broker.gate.release()
        await until(lambda: "take 3" in broker.log)
        assert broker.log[:4] == ["take 1", "take 2", "store 1", "ack 1"]
        broker.fails = True
        broker.gate.release()
        await until(lambda: ingestion.counters.failures == 1)
        for _ in range(3):
            broker.gate.release()
        # What was not stored comes again from a real source; here it is gone, and was never acknowledged.
        assert [each for each in broker.log if each[:3] == "ack"] == ["ack 1"]
        assert ingestion.counters.stored == 1
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert [each for each in broker.log if each[:3] == "ack"] == ["ack 1"]


async def test_messages_that_unpack_large_are_stored_in_parts_and_acknowledged_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gatepost_fleet.ingestion.MOST_OCTETS", len(orjson.dumps(reading(1))) + 1)
    broker = Broker(5)
    ingestion = Ingestion(broker, broker, Random(1), lambda: 0.0)
    for _ in range(3):
        broker.gate.release()
    await ingestion.store(broker.waiting)
    await ingestion.settle()
    assert broker.log == ["store 1", "ack 1", "store 3", "ack 3", "store 5", "ack 5"]
    assert ingestion.counters.messages == 5
