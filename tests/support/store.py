"""Store at work: its tasks run, and it is finished and closed in the order in which the agent does it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gatepost.agent.core.clock import SystemClock
from gatepost.agent.core.events import EventBus
from gatepost.agent.settings.model import StoreSettings
from gatepost.agent.store.store import Store


@asynccontextmanager
async def serving_store(folder: Path, commit_interval: float) -> AsyncIterator[Store]:
    """`commit_interval` in seconds. Whatever appends to it is closed before this is left."""
    settings = StoreSettings(commit_interval=commit_interval, reserve=0)
    store = await Store.open(folder / "log.db", "gw", settings, SystemClock(), EventBus())
    tasks = [asyncio.create_task(run(), name=name) for name, run in store.background_tasks().items()]
    try:
        yield store
    finally:
        store.finish()
        await asyncio.wait(tasks[:1], timeout=5)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await store.close()
