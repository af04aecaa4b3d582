"""Clock monitor: watches the wall clock, and tells when it comes into step and when it jumps."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from gatepost.agent.core.clock import STEP, US, Clock

log = logging.getLogger(__name__)

CHECK_UNSYNCHRONISED, CHECK_SYNCHRONISED = 5.0, 60.0  # seconds between two checks, before and after it is in step

OnStep = Callable[[float, bool], object]
OnSynchronised = Callable[[], Awaitable[bool]]


class ClockMonitor:
    """Clock monitor. `on_step` gets the seconds by which the clock moved, and whether it is synchronised.

    `on_synchronised` is called at each check while the clock is in step; True = it was the first time of this boot.
    """

    def __init__(
        self,
        clock: Clock,
        on_step: OnStep,
        on_synchronised: OnSynchronised,
        sleep: Callable[[float], Awaitable[object]] | None = None,
    ) -> None:
        self._clock = clock
        self._on_step = on_step
        self._on_synchronised = on_synchronised
        self._sleep = sleep or self._until_woken
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look now."""
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled."""
        now = self._clock.now()
        shift = now.wall - now.mono
        while True:
            in_step = self._clock.check()
            now = self._clock.now()
            moved = now.wall - now.mono - shift
            shift += moved
            if abs(moved) >= STEP:
                log.warning("the clock was moved by %.3f s", moved / US)
                self._on_step(moved / US, in_step)
            if in_step and await self._on_synchronised():
                log.info("the clock is synchronised; earlier readings of this boot are rectified")
            await self._sleep(CHECK_SYNCHRONISED if in_step else CHECK_UNSYNCHRONISED)

    async def _until_woken(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return
        self._woken.clear()
