"""Hand clock of all tests: time that moves only when a test moves it."""

from __future__ import annotations

import asyncio

from gatepost.agent.core.clock import US, Stamp

T0 = 1_795_170_600 * US  # 2026-11-20T10:30:00Z


class HandClock:
    """Clock set by hand: `wall` and `mono` in microseconds, moved together by `pass_seconds`; each `now` moves both on
    by `step` microseconds."""

    def __init__(self, boot_id: str = "boot-1", wall: int = T0, mono: int = 5_000_000, step: int = 0) -> None:
        self.boot_id = boot_id
        self.wall = wall
        self.mono = mono
        self.synchronised = True
        self._step = step

    def now(self) -> Stamp:
        self.wall += self._step
        self.mono += self._step
        return Stamp(self.wall, self.mono, self.synchronised)

    def monotonic(self) -> float:
        return self.mono / US

    def check(self) -> bool:
        return self.synchronised

    def pass_seconds(self, seconds: float) -> None:
        self.wall += round(seconds * US)
        self.mono += round(seconds * US)


class LoopClock(HandClock):
    """Hand clock whose intervals run on the event loop, for what waits in real time."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()
