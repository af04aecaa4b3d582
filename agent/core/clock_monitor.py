"""Watches the wall clock: when it comes into step, and when it jumps."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from gatepost.agent.core.clock import US, Clock

log = logging.getLogger(__name__)

SOON, SELDOM = 5.0, 60.0  # seconds between two looks, before and after the clock is in step
STEP = 1 * US  # a smaller difference is slewing, which is how a disciplined clock moves


class EventRecorder(Protocol):
    def record(self, what: str, **fields: object) -> None: ...


class ClockLog(Protocol):
    """What is told of the clock to the store."""

    def event(self, kind: str, fields: dict[str, Any]) -> int: ...

    async def clock_in_step(self) -> bool: ...


class ClockMonitor:
    def __init__(
        self,
        clock: Clock,
        store: ClockLog,
        audit: EventRecorder,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._sleep = sleep
        self._clock = clock
        self._store = store
        self._audit = audit

    async def run(self) -> None:
        """Until cancelled. A step is told as an event, with the seconds by which the clock moved."""
        now = self._clock.now()
        shift = now.wall - now.mono
        while True:
            in_step = self._clock.check()
            now = self._clock.now()
            moved = now.wall - now.mono - shift
            shift += moved
            if abs(moved) >= STEP:
                log.warning("the clock was moved by %.3f s", moved / US)
                self._store.event("clock-step", {"seconds": moved / US, "synchronised": in_step})
                self._audit.record("clock-step", seconds=round(moved / US, 3))
            if in_step and await self._store.clock_in_step():
                log.info("the clock is synchronised; earlier readings of this boot are rectified")
            await self._sleep(SELDOM if in_step else SOON)
