"""The clock monitor tells when the clock comes into step and when it jumps, each once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from gatepost.agent.core.clock import US, Stamp
from gatepost.agent.core.clock_monitor import CHECK_SYNCHRONISED, CHECK_UNSYNCHRONISED, ClockMonitor
from tests.support.waiting import until


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
        self.steps: list[tuple[float, bool]] = []
        self.rectified = 0

    def stepped(self, seconds: float, synchronised: bool) -> None:
        self.steps.append((seconds, synchronised))

    async def clock_in_step(self) -> bool:
        self.rectified += 1
        return self.rectified == 1


async def run(turns: list[Callable[[Clock], None]]) -> tuple[Log, list[float]]:
    """Each turn changes the clock while the clock monitor sleeps."""
    clock, log = Clock(), Log()
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
        await ClockMonitor(clock, log.stepped, log.clock_in_step, sleep).run()
    return log, pauses


def quiet(clock: Clock) -> None:
    """Nothing happens."""


def stepped(seconds: float, in_step: bool = False) -> Callable[[Clock], None]:
    def turn(clock: Clock) -> None:
        clock.wall += int(seconds * US)
        clock.in_step = clock.in_step or in_step

    return turn


async def test_a_jump_is_told_once_with_its_size() -> None:
    log, _ = await run([quiet, stepped(7200, in_step=True), quiet, quiet])
    assert log.steps == [(7200.0, True)]


async def test_slewing_is_no_jump() -> None:
    log, _ = await run([stepped(0.3), stepped(0.4), stepped(-0.5)])
    assert log.steps == []


async def test_it_looks_often_until_the_clock_is_in_step_and_seldom_then() -> None:
    log, pauses = await run([quiet, stepped(0, in_step=True), quiet])
    assert pauses == [CHECK_UNSYNCHRONISED, CHECK_UNSYNCHRONISED, CHECK_SYNCHRONISED, CHECK_SYNCHRONISED]
    assert log.rectified == 2  # asked for again; the store knows that it did it


async def test_it_looks_at_once_when_it_is_woken() -> None:
    clock, log = Clock(), Log()
    monitor = ClockMonitor(clock, log.stepped, log.clock_in_step)
    task = asyncio.create_task(monitor.run())
    await asyncio.sleep(0)
    clock.wall += 3600 * US
    monitor.wake()
    await until(lambda: log.steps == [(3600.0, False)])
    task.cancel()
