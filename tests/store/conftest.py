"""A clock to be set by hand, and stores that run on real files."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from gatepost.agent.core.events import EventBus
from gatepost.agent.settings.model import StoreSettings
from gatepost.agent.store import Store
from tests.support.clock import LoopClock
from tests.support.waiting import until as until  # tests import it from here, too

GOOD = {"metric_type": "reading", "units": {}, "quality": "good", "flags": []}


class Running:
    """A store with its tasks, and what tests do with it over and over."""

    def __init__(self, store: Store, clock: LoopClock, tasks: list[asyncio.Task[Any]]) -> None:
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
def clock() -> LoopClock:
    return LoopClock()


async def fill(start: Any, count: int, **given: Any) -> None:
    """A run that stores so many rows, and ends."""
    async with start(rows=count, **given):
        pass


@pytest.fixture
async def start(tmp_path: Path, clock: LoopClock) -> AsyncIterator[Callable[..., Any]]:
    """An async context manager that opens the store of this test, and puts so many rows into it."""
    async with AsyncExitStack():

        @asynccontextmanager
        async def opened(
            settings: StoreSettings | None = None,
            clock: LoopClock = clock,
            free: Callable[[], int] = lambda: 1 << 40,
            brokers: tuple[str, ...] = ("a",),
            finish: bool = True,
            path: Path = tmp_path / "gatepost.db",
            rows: int = 0,
        ) -> AsyncIterator[Running]:
            settings = settings or StoreSettings(commit_interval=0.0)
            store = await Store.open(path, "gw", settings, clock, EventBus(), Random(1), free)
            store.backlog.set_brokers(brokers)
            running = Running(store, clock, [asyncio.create_task(task()) for task in store.background_tasks().values()])
            try:
                if rows:
                    await running.put_all(rows)
                yield running
            finally:
                await running.end(finish)

        yield opened


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", place], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    yield place
    subprocess.run(["umount", "-l", place], check=False)


@contextmanager
def database(path: Path, **options: Any) -> Iterator[sqlite3.Connection]:
    """The file as another program sees it: committed and closed at the end."""
    db = sqlite3.connect(path, **options)
    try:
        with db:
            yield db
    finally:
        db.close()
