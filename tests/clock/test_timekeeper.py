"""The timekeeper tells when the clock comes into step and when it jumps, each once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gatepost.agent.core.clock import US, Stamp
from gatepost.agent.core.clock_monitor import SELDOM, SOON, ClockMonitor


class Clock:
    boot_id = "b"

    def __init__(self) -> None:
        self.wall, self.mono, self.in_step = 1_000 * US, 10 * US, False

    def now(self) -> Stamp:
        return Stamp(self.wall, self.mono, self.in_step)

    def monotonic(self) -> float:
        return self.mono / US

    def check(self) -> bool:
        return self.in_step


class Log:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.rectified = 0

    def event(self, kind: str, fields: dict[str, Any]) -> int:
        self.events.append((kind, fields))
        return 1

    async def clock_in_step(self) -> bool:
        self.rectified += 1
        return self.rectified == 1


class Audit:
    def __init__(self) -> None:
        self.entries: list[str] = []

    def record(self, what: str, **fields: Any) -> None:
        self.entries.append(what)


async def run(turns: list[Callable[[Clock], None]]) -> tuple[Log, Audit, list[float]]:
    """Each turn changes the clock while the timekeeper sleeps."""
    clock, log, audit = Clock(), Log(), Audit()
    pauses: list[float] = []
    left = iter(turns)

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock.wall += int(seconds * US)
        clock.mono += int(seconds * US)
        turn = next(left, None)
        if turn is None:
            raise asyncio.CancelledError
        turn(clock)

    with pytest.raises(asyncio.CancelledError):
        await ClockMonitor(clock, log, audit, sleep).run()
    return log, audit, pauses


def quiet(clock: Clock) -> None:
    """Nothing happens."""


def stepped(seconds: float, in_step: bool = False) -> Callable[[Clock], None]:
    def turn(clock: Clock) -> None:
        clock.wall += int(seconds * US)
        clock.in_step = clock.in_step or in_step

    return turn


async def test_a_jump_is_told_once_with_its_size() -> None:
    log, audit, _ = await run([quiet, stepped(7200, in_step=True), quiet, quiet])
    assert log.events == [("clock-step", {"seconds": 7200.0, "synchronised": True})]
    assert audit.entries == ["clock-step"]


async def test_slewing_is_no_jump() -> None:
    log, _, _ = await run([stepped(0.3), stepped(0.4), stepped(-0.5)])
    assert log.events == []


async def test_it_looks_often_until_the_clock_is_in_step_and_seldom_then() -> None:
    log, _, pauses = await run([quiet, stepped(0, in_step=True), quiet])
    assert pauses == [SOON, SOON, SELDOM, SELDOM]
    assert log.rectified == 2  # asked for again; the store knows that it did it
