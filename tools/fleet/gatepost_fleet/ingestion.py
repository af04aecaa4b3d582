"""Ingestion: takes messages from a source, stores them, and only then acknowledges them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from gatepost.drivers.backoff import Backoff
from gatepost_fleet.message import Parsed, Report, parse
from gatepost_fleet.postgres_sink import SinkCount
from gatepost_fleet.sources.interface import Delivered, Source, StreamGone, StreamTaken

log = logging.getLogger(__name__)

BATCH, LINGER = 1000, 0.1  # messages in one transaction, and seconds that they wait for each other
MOST_OCTETS = 8_000_000  # of what they unpack to, give or take a message
FIRST_RETRY, LONGEST_RETRY, STEADY = 0.5, 30.0, 60.0
TAKE_OVER = 5.0  # seconds between two looks whether the worker that reads a stream has gone
RUNNING, STANDING_BY = "running", "standing by"


class Sink(Protocol):
    """Where readings are stored: what `write` has returned for is durable."""

    async def open(self) -> None: ...
    async def write(self, items: Sequence[Parsed]) -> SinkCount: ...
    async def offset(self, stream: str) -> int | None: ...
    async def keep_offset(self, stream: str, offset: int) -> None: ...
    async def close(self) -> None: ...


@dataclass
class IngestCounters:
    """Counters since the start of the worker."""

    messages: int = 0
    stored: int = 0
    repeated: int = 0
    clashes: int = 0
    refused: int = 0
    failures: int = 0
    state: str = "starting"
    last_commit: float | None = None  # of the loop's clock


class Ingestion:
    """Ingestion of one worker. `run` never ends by itself: a broker or database that is away is waited for, and what
    was taken and not stored comes again."""

    def __init__(self, source: Source, sink: Sink, rng: Random, monotonic: Callable[[], float]) -> None:
        self.counters = IngestCounters()
        self._source = source
        self._sink = sink
        self._monotonic = monotonic
        self._backoff = Backoff(rng, FIRST_RETRY, LONGEST_RETRY, STEADY)
        self._told = ""
        self._writing: asyncio.Task[None] | None = None  # one batch at a time, in order

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                began = self._monotonic()
                try:
                    await self._sink.open()
                    await self._open_source()
                    self._state(RUNNING)
                    while True:
                        batch = await self._source.take(BATCH, LINGER)
                        await (self.store(batch) if batch else self.settle())
                except StreamTaken:
                    self._state(STANDING_BY)
                    await asyncio.sleep(TAKE_OVER)
                    continue
                except Exception as error:  # of two client libraries: whatever it is, nothing was acknowledged
                    self.counters.failures += 1
                    self._state(f"waiting: {type(error).__name__}: {error}")
                await self._give_up()
                self._backoff.held(self._monotonic() - began)
                await asyncio.sleep(self._backoff.next())
        finally:
            await self._give_up()
            await self._source.close()
            await self._sink.close()

    async def _open_source(self) -> None:
        stream = self._source.stream
        try:
            await self._source.open(await self._sink.offset(stream) if stream else None)
        except StreamGone:
            await self._sink.keep_offset(stream, 0)
            raise

    async def store(self, batch: list[Delivered]) -> None:
        """Unpack it while the database works on the one before; raises what went wrong with that."""
        part: list[Delivered] = []
        items: list[Parsed] = []
        octets = 0
        for delivered in batch:
            found = parse(delivered.topic, delivered.payload)
            part.append(delivered)
            items += found
            octets += sum(len(item.payload) for item in found if not isinstance(item, Report))
            if octets >= MOST_OCTETS or delivered is batch[-1]:
                await self.settle()
                self._writing = asyncio.ensure_future(self._write(part, items))
                await asyncio.sleep(0)  # it is sent before what follows is unpacked
                part, items, octets = [], [], 0

    async def settle(self) -> None:
        """What was taken is stored and acknowledged."""
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing

    async def _give_up(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    async def _write(self, batch: list[Delivered], items: list[Parsed]) -> None:
        """Commit first, acknowledge after."""
        counters = self.counters
        done = await self._sink.write(items)
        if self._source.stream:
            await self._sink.keep_offset(self._source.stream, batch[-1].offset)
        await self._source.acknowledge(batch)
        counters.messages += len(batch)
        counters.stored += done.stored
        counters.repeated += done.repeated
        counters.clashes += done.clashes
        counters.refused += done.refused
        counters.last_commit = self._monotonic()

    def _state(self, state: str) -> None:
        self.counters.state = state
        if state != self._told:
            self._told = state
            log.log(logging.INFO if state in (RUNNING, STANDING_BY) else logging.WARNING, "%s", state)
