"""Timer of a delivery: when sending may go on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class SendTimer:
    """Timer that calls `wake` when sending may go on; until then a pause."""

    def __init__(self, wake: Callable[[], None], monotonic: Callable[[], float]) -> None:
        self.monotonic = monotonic
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.paused_until = 0.0

    def pause(self, seconds: float) -> None:
        """Send nothing for so long."""
        self.paused_until = self.monotonic() + seconds
        self.wake_within(seconds)

    def wake_within(self, seconds: float) -> None:
        due = self._loop.time() + seconds + 0.001
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._due)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _due(self) -> None:
        self._timer = None
        self._wake()
