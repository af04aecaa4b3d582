from __future__ import annotations

import asyncio
import logging
import random

import pytest

from gatepost.agent.core.errors import UplinkError
from gatepost.agent.process.supervisor import LONGEST_PAUSE, STEADY_AFTER, Supervisor, TaskState
from tests.support.waiting import until

LOG = logging.getLogger("test.supervisor")
BOUND = 5.0


class Time:
    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


class UpperEnd(random.Random):
    def uniform(self, a: float, b: float) -> float:
        return b


def supervisor(time: Time, rng: random.Random | None = None) -> Supervisor:
    return Supervisor(LOG, rng or UpperEnd(), sleep=time.sleep, monotonic=time.monotonic)


async def test_a_failing_task_is_named_and_starts_again(caplog: pytest.LogCaptureFixture) -> None:
    time, runs = Time(), 0
    done = asyncio.Event()

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs <= 3:
            raise UplinkError("broker hung up")
        done.set()
        await asyncio.Event().wait()

    owner = supervisor(time)
    owner.start("uplink hospital", work)
    await asyncio.wait_for(done.wait(), BOUND)
    assert time.slept == [0.5, 1.0, 2.0]
    (view,) = owner.views()
    assert (view.name, view.state, view.failures) == ("uplink hospital", TaskState.RUNNING, 3)
    assert view.error == "UplinkError: broker hung up"
    assert view.healthy
    assert caplog.records[0].getMessage() == (
        "uplink hospital failed: UplinkError: broker hung up; it starts again in 0.5 s"
    )
    assert await owner.stop(BOUND) == []
    assert owner.views()[0].state is TaskState.STOPPED


async def test_an_unexpected_failure_shows_its_place_once(caplog: pytest.LogCaptureFixture) -> None:
    runs = 0

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs < 4:
            raise ValueError("odd")

    owner = supervisor(Time())
    owner.start("store upkeep", work)
    await until(lambda: owner.views()[0].state is TaskState.DONE)
    assert [bool(record.exc_info and record.exc_info[1]) for record in caplog.records] == [True, False, False]


async def pauses(rng: random.Random) -> list[float]:
    """Of a task that fails 13 times; before the 12th failure it ran well."""
    time, runs = Time(), 0

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs == 12:
            time.now += STEADY_AFTER
        if runs <= 13:
            raise OSError("no")

    owner = supervisor(time, rng)
    owner.start("x", work)
    await until(lambda: owner.views()[0].state is TaskState.DONE)
    return time.slept


async def test_backoff_is_capped_jittered_and_forgotten_after_running_well() -> None:
    longest = await pauses(UpperEnd())
    assert longest[10] == LONGEST_PAUSE
    assert longest[11:] == [0.5, 1.0]
    drawn = await pauses(random.Random(1))
    assert all(whole / 2 <= pause <= whole for pause, whole in zip(drawn, longest, strict=True))
    assert drawn != longest


async def test_without_restart_a_failure_stays() -> None:
    async def work() -> None:
        raise OSError("no")

    owner = supervisor(Time())
    owner.start("once", work, restart=False)
    await until(lambda: owner.views()[0].state is TaskState.FAILED)
    assert not owner.views()[0].healthy
    assert await owner.stop(BOUND) == []


async def test_a_stray_cancellation_inside_is_a_failure() -> None:
    runs = 0

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise asyncio.CancelledError
        await asyncio.Event().wait()

    owner = supervisor(Time())
    owner.start("x", work)
    await until(lambda: runs == 2)
    assert owner.views()[0].failures == 1
    assert await owner.stop(BOUND) == []


async def test_stop_is_bounded_and_names_what_did_not_stop(caplog: pytest.LogCaptureFixture) -> None:
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async def obedient() -> None:
        await asyncio.Event().wait()

    owner = supervisor(Time())
    owner.start("stubborn", stubborn)
    owner.start("obedient", obedient)
    await asyncio.sleep(0)
    assert await owner.stop(0.05) == ["stubborn"]
    assert caplog.records[-1].getMessage() == "did not stop within 0.1 s: stubborn"
    release.set()
    await until(lambda: all(view.state is not TaskState.RUNNING for view in owner.views()))


async def test_a_failure_while_stopping_starts_nothing_again() -> None:
    runs = 0

    async def work() -> None:
        nonlocal runs
        runs += 1
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("port vanished")

    owner = supervisor(Time())
    owner.start("x", work)
    await until(lambda: runs == 1)
    assert await owner.stop(BOUND) == []
    assert runs == 1


async def test_names_are_unique_while_running_and_free_after() -> None:
    async def forever() -> None:
        await asyncio.Event().wait()

    async def short() -> None:
        return

    owner = supervisor(Time())
    owner.start("a", short)
    await until(lambda: owner.views()[0].state is TaskState.DONE)
    owner.start("a", forever)
    with pytest.raises(ValueError, match="running already"):
        owner.start("a", forever)
    await owner.stop(BOUND)
    with pytest.raises(RuntimeError):
        owner.start("b", forever)
