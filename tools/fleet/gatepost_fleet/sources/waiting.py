"""Messages that wait for the next batch, where a broker pushes them."""

from __future__ import annotations

import asyncio

from gatepost_fleet.sources.interface import Delivered

POLL = 1.0  # seconds until an empty answer


class WaitingMessages:
    """Messages in order of arrival; the broker's own limit of unacknowledged ones bounds them."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Delivered] = asyncio.Queue()

    def put(self, delivered: Delivered) -> None:
        self._queue.put_nowait(delivered)

    async def take(self, limit: int, linger: float) -> list[Delivered]:
        """At most so many: waits for the first one, then `linger` seconds for more. [] after POLL seconds."""
        queue, batch, loop = self._queue, list[Delivered](), asyncio.get_running_loop()
        try:
            async with asyncio.timeout(POLL) as wait:
                while len(batch) < limit:
                    batch.append(queue.get_nowait() if not queue.empty() else await queue.get())
                    if len(batch) == 1:
                        wait.reschedule(loop.time() + linger)
        except TimeoutError:
            pass
        return batch
