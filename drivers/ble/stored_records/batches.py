"""Stored records in batches: a download that is whole is let into the gateway at the speed of the disk."""

from __future__ import annotations

import asyncio
from typing import Protocol

from gatepost.drivers.ble.profiles.decoder import TICK
from gatepost.drivers.driver import DeviceIO, SessionOver

WINDOW = 4  # batches that may be on their way to the disk
STORE_PATIENCE = 60.0  # seconds


class RecordBatches(Protocol):
    """Records that are offered; each `flush` of their profile gives a batch of them."""

    @property
    def left(self) -> int: ...


async def hand_over(io: DeviceIO, batches: RecordBatches) -> None:
    """Let what is offered through; SessionOver when the store does not take it: it is asked for again."""
    total = batches.left
    while batches.left:
        for _ in range(WINDOW):
            io.feed(TICK)
            await asyncio.sleep(0)  # others want to be served too
        try:
            await io.stored(STORE_PATIENCE)
        except TimeoutError:
            raise SessionOver("the store does not take the stored records now") from None
        io.progress("records", total - batches.left, total)
