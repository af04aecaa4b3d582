from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from gatepost.agent.process.notify import Notifier
from gatepost.agent.process.watchdog import Watchdog, interval_from

LOG = logging.getLogger("test.watchdog")


class Manager(Notifier):
    def __init__(self) -> None:
        super().__init__(None)
        self.pings = 0

    def watchdog(self) -> bool:
        self.pings += 1
        return True


class Time:
    """A clock that goes on by what is slept, plus a lag given by the test; ends the run after `looks` sleeps."""

    def __init__(self, looks: int, lag: float = 0.0, before: Callable[[int], None] = lambda look: None) -> None:
        self.now = 100.0
        self.looks = looks
        self.lag = lag
        self.before = before
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        if len(self.slept) == self.looks:
            raise asyncio.CancelledError
        self.before(len(self.slept))
        self.slept.append(seconds)
        self.now += seconds + self.lag


async def run(time: Time, *checks: Callable[[], str | None]) -> tuple[Watchdog, Manager]:
    manager = Manager()
    dog = Watchdog(manager, 15.0, checks, LOG, monotonic=time.monotonic, sleep=time.sleep)
    with pytest.raises(asyncio.CancelledError):
        await dog.run()
    return dog, manager


async def test_pings_at_once_and_then_at_its_interval() -> None:
    time = Time(4)
    _, manager = await run(time, lambda: None)
    assert manager.pings == 4
    assert time.slept == [0, 15, 15, 15]


async def test_withholds_while_stuck_says_why_once_and_pings_soon_after(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    stuck: list[str] = []

    def before(look: int) -> None:
        if look == 2:
            stuck.append("the store has not committed for 40 s")
        if look == 5:
            stuck.clear()

    time = Time(7, before=before)
    dog, manager = await run(time, lambda: None, lambda: stuck[0] if stuck else None)
    assert manager.pings == 4  # looks 0, 1, 5, 6
    assert time.slept == [0, 15, 15, 1, 1, 1, 15]
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert errors == ["watchdog: no ping to the service manager: the store has not committed for 40 s"]
    assert dog.withheld is None


async def test_a_late_loop_gets_no_ping() -> None:
    dog, manager = await run(Time(3, lag=2.5))
    assert manager.pings == 0
    assert dog.withheld == "the event loop was 2.5 s late"


async def test_a_check_that_fails_is_no_sign_of_health() -> None:
    def broken() -> str | None:
        raise RuntimeError("gone")

    dog, manager = await run(Time(1), broken)
    assert manager.pings == 0
    assert dog.withheld == "a check failed: RuntimeError: gone"


async def test_over_a_real_socket(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        dog = Watchdog(Notifier(str(tmp_path / "notify")), 0.01, [lambda: None], LOG)
        task = asyncio.create_task(dog.run())
        loop = asyncio.get_running_loop()
        for _ in range(3):
            assert await asyncio.wait_for(loop.sock_recv(listener, 100), 5) == b"WATCHDOG=1"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize(
    ("env", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_interval(env: dict[str, str], interval: float | None) -> None:
    assert interval_from(env, pid=7) == interval
