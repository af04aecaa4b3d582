"""A clock to be set by hand, and stores that run on real files."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from gatepost.agent.core.clock import Stamp
from gatepost.agent.core.events import EventBus
from gatepost.agent.settings.model import StoreSettings
from gatepost.agent.store import Store

GOOD = {"metric_type": "reading", "units": {}, "quality": "good", "flags": []}


class HandClock:
    """Wall and boot time as a test sets them; intervals run on the event loop's clock."""

    def __init__(self, boot: str = "boot-a") -> None:
        self.boot_id = boot
        self.wall = 1_795_000_000_000_000
        self.mono = 5_000_000
        self.synchronised = True

    def now(self) -> Stamp:
        return Stamp(self.wall, self.mono, self.synchronised)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def check(self) -> bool:
        return self.synchronised

    def pass_seconds(self, seconds: float) -> None:
        self.wall += int(seconds * 1e6)
        self.mono += int(seconds * 1e6)


class Running:
    """A store with its tasks, and what tests do with it over and over."""

    def __init__(self, store: Store, clock: HandClock, tasks: list[asyncio.Task[Any]]) -> None:
        self.store = store
        self.clock = clock
        self.tasks = tasks

    def put(self, value: int, device: str = "d", urgent: bool = False, body: bytes | None = None) -> int:
        series = self.store.series(device, None, GOOD)
        return self.store.append(series, self.clock.now(), body or orjson.dumps({"n": value}), urgent)

    async def put_all(self, count: int, **kwargs: Any) -> list[int]:
        seqs = []
        for value in range(count):
            while not (seq := self.put(value, **kwargs)):
                await self.store.wait_until_writable()
            seqs.append(seq)
        await self.store.stored(seqs[-1])
        return seqs

    async def numbers(self, **kwargs: Any) -> list[int]:
        """The `n` of all stored readings, oldest first."""
        kept = await self.store.queries.history(limit=100_000, **kwargs)
        return [orjson.loads(record.body)["n"] for record in reversed(kept)]

    async def end(self, finish: bool = True) -> None:
        if finish:
            self.store.finish()
            await asyncio.wait_for(self.tasks[0], 10)
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.store.close()


Open = Callable[..., Awaitable[Running]]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def start(tmp_path: Path, clock: HandClock) -> AsyncIterator[Callable[..., Any]]:
    """An async context manager that opens the store of this test."""
    async with AsyncExitStack():

        @asynccontextmanager
        async def opened(
            settings: StoreSettings | None = None,
            clock: HandClock = clock,
            free: Callable[[], int] = lambda: 1 << 40,
            brokers: tuple[str, ...] = ("a",),
            finish: bool = True,
            path: Path = tmp_path / "gatepost.db",
        ) -> AsyncIterator[Running]:
            settings = settings or StoreSettings(commit_interval=0.0)
            store = await Store.open(path, "gw", settings, clock, EventBus(), Random(1), free)
            store.backlog.set_brokers(brokers)
            running = Running(store, clock, [asyncio.create_task(task()) for task in store.background_tasks().values()])
            try:
                yield running
            finally:
                await running.end(finish)

        yield opened


@contextmanager
def database(path: Path, **options: Any) -> Iterator[sqlite3.Connection]:
    """The file as another program sees it: committed and closed at the end."""
    db = sqlite3.connect(path, **options)
    try:
        with db:
            yield db
    finally:
        db.close()


async def until(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    """Wait for a condition that other tasks bring about."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
