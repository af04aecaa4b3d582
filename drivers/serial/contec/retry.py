"""Retries with growing pauses when a Contec oximeter cannot give its stored records now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from gatepost.drivers.backoff import Backoff
from gatepost.drivers.driver import CommandFailed, DeviceIO

FINAL = frozenset({"connection-lost", "forbidden"})  # failures that waiting does not mend
LONGEST = 3600.0  # seconds between two attempts


class ConversationRetry:
    """Work of a conversation that may have to wait for the device: it records just now, it does not answer. Tried again
    after a pause that doubles and is scattered; each success begins anew."""

    def __init__(self, rng: Random, first: float = 40.0) -> None:
        self._rng = rng
        self._first = first

    async def until_done(self, io: DeviceIO, work: Callable[[], Awaitable[Any]]) -> None:
        """What is wrong is told in the device's status as `stored_records`; a lost connection ends it."""
        backoff = Backoff(self._rng, self._first, LONGEST)
        while True:
            try:
                await work()
            except TimeoutError:
                why = "no-answer"
            except CommandFailed as failed:
                if failed.key in FINAL:
                    raise
                why = failed.key
            else:
                io.update_status(stored_records="read")
                return
            io.update_status(stored_records=why)
            await asyncio.sleep(backoff.next())
