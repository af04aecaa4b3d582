"""Event bus for live views and tools; never on the durable path: a slow listener loses events, counted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple


class Event(NamedTuple):
    """Event: `kind` as in the contract's WebSocket events, `data` ready for JSON."""

    kind: str
    data: dict[str, Any]


class EventQueue(asyncio.Queue[Event]):
    """One listener's bounded queue; `lost` counts the events that it was too slow for."""

    lost = 0


class EventBus:
    """Listeners get a bounded queue each; when it is full the oldest event goes and `lost` counts it."""

    def __init__(self) -> None:
        self._queues: list[EventQueue] = []
        self.lost = 0

    @property
    def watched(self) -> bool:
        """Whether anybody listens; lets hot paths skip building events."""
        return bool(self._queues)

    def emit(self, kind: str, data: dict[str, Any]) -> None:
        for queue in self._queues:
            if queue.full():
                queue.get_nowait()
                queue.lost += 1
                self.lost += 1
            queue.put_nowait(Event(kind, data))

    def lose(self, count: int) -> None:
        """So many events came too fast to be emitted at all."""
        for queue in self._queues:
            queue.lost += count
        self.lost += count

    @contextmanager
    def listen(self, size: int = 1000) -> Iterator[EventQueue]:
        queue = EventQueue(size)
        self._queues.append(queue)
        try:
            yield queue
        finally:
            self._queues.remove(queue)
