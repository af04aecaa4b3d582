"""Stored records in batches: a download that is whole is let into the gateway at the speed of the disk."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from gatepost.drivers.driver import DeviceIO, SessionOver

STORE_PATIENCE = 60.0  # seconds


class RecordBatches(Protocol):
    """Records that are offered; each time its decoder is fed a tick, it gives a batch of them."""

    @property
    def left(self) -> int: ...


async def hand_over(
    io: DeviceIO, batches: RecordBatches, tick: Any, *, window: int = 4, what: str = "records", total: int = 0
) -> None:
    """Let what is offered through, with `window` batches on their way to the disk at most. SessionOver when the store
    does not take it: it is asked for again. `total`: of which it is the rest."""
    total = total or batches.left
    while batches.left:
        for _ in range(window):
            io.feed(tick)
            await asyncio.sleep(0)  # others want to be served too
        try:
            await io.stored(STORE_PATIENCE)
        except TimeoutError:
            raise SessionOver("the store does not take the stored records now") from None
        io.progress(what, total - batches.left, total)
