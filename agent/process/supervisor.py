"""Background tasks with an owner: a failure is logged with the task's name, and the task is started again."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from enum import StrEnum
from typing import Any, NamedTuple

from gatepost.agent.core.backoff import Backoff
from gatepost.agent.core.errors import GatepostError

Factory = Callable[[], Coroutine[Any, Any, None]]

FIRST_PAUSE = 0.5  # seconds before the first restart; doubles with each failure in a row
LONGEST_PAUSE = 30.0
STEADY_AFTER = 60.0  # seconds of running after which earlier failures are forgotten


class TaskState(StrEnum):
    RUNNING = "running"
    WAITING = "waiting"  # failed, and will be started again
    FAILED = "failed"  # failed, and stays so
    DONE = "done"  # returned
    STOPPED = "stopped"  # cancelled


class TaskView(NamedTuple):
    """One task for status and health: failures in all, and the last of them (`Type: text`)."""

    name: str
    state: TaskState
    failures: int
    error: str

    @property
    def healthy(self) -> bool:
        return self.state not in (TaskState.WAITING, TaskState.FAILED)


class _Supervised:
    def __init__(self, name: str, backoff: Backoff) -> None:
        self.name = name
        self.state = TaskState.RUNNING
        self.failures = 0
        self.backoff = backoff
        self.error = ""
        self.task: asyncio.Task[None]


class Supervisor:
    """Owns tasks until `stop`. The pause before a restart is drawn from the upper half of an exponential backoff."""

    def __init__(
        self,
        log: logging.Logger,
        rng: random.Random,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._rng = rng
        self._sleep = sleep
        self._monotonic = monotonic
        self._tasks: dict[str, _Supervised] = {}
        self._stopping = False

    def start(self, name: str, factory: Factory, *, restart: bool = True) -> None:
        """Run `factory()` until it returns; after a failure run it again, unless `restart` is false.

        A name may be used again once its task has ended. Raises ValueError while it runs, RuntimeError after `stop`.
        """
        if self._stopping:
            raise RuntimeError(f"{name} cannot be started: the supervisor was stopped")
        if name in self._tasks and not self._tasks[name].task.done():
            raise ValueError(f"a task named {name} is running already")
        entry = _Supervised(name, Backoff(self._rng, FIRST_PAUSE, LONGEST_PAUSE, STEADY_AFTER))
        entry.task = asyncio.create_task(self._run(entry, factory, restart), name=name)
        self._tasks[name] = entry

    def views(self) -> list[TaskView]:
        return [TaskView(entry.name, entry.state, entry.failures, entry.error) for entry in self._tasks.values()]

    async def wait(self, name: str) -> None:
        """Until the task has ended by itself."""
        entry = self._tasks.get(name)
        if entry is not None:
            await asyncio.wait({entry.task})

    async def cancel(self, name: str, timeout: float = 2.0) -> bool:
        """End one task; false when it did not end in time. A name that is not known has ended."""
        entry = self._tasks.get(name)
        if entry is None:
            return True
        entry.task.cancel()
        done, _ = await asyncio.wait({entry.task}, timeout=timeout)
        if done:
            self._tasks.pop(name, None)
        return bool(done)

    async def stop(self, timeout: float) -> list[str]:
        """Cancel every task and wait at most `timeout` seconds; returns (and logs) the names that did not stop."""
        self._stopping = True
        tasks = [entry.task for entry in self._tasks.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=timeout)
        stuck = [entry.name for entry in self._tasks.values() if not entry.task.done()]
        if stuck:
            self._log.error("did not stop within %.1f s: %s", timeout, ", ".join(stuck))
        return stuck

    async def _run(self, entry: _Supervised, factory: Factory, restart: bool) -> None:
        try:
            while True:
                entry.state = TaskState.RUNNING
                began = self._monotonic()
                error = await self._once(factory)
                if error is None:
                    entry.state = TaskState.DONE
                    return
                entry.backoff.held(self._monotonic() - began)
                pause = entry.backoff.next() if restart and not self._stopping else None
                self._report(entry, error, pause)
                if pause is None:
                    return
                await self._sleep(pause)
        except asyncio.CancelledError:
            entry.state = TaskState.STOPPED
            raise

    async def _once(self, factory: Factory) -> BaseException | None:
        """The failure of one run. A cancellation that nobody asked of this task is a failure like another."""
        try:
            await factory()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling() or self._stopping:
                raise
            return error
        except Exception as error:
            return error
        return None

    def _report(self, entry: _Supervised, error: BaseException, pause: float | None) -> None:
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        # A failure of our own tree says all there is to say; of any other one the place is wanted, once.
        traceback = error if not isinstance(error, GatepostError) and text != entry.error else None
        entry.failures += 1
        entry.error = text
        entry.state = TaskState.FAILED if pause is None else TaskState.WAITING
        then = "it stays down" if pause is None else f"it starts again in {pause:.1f} s"
        self._log.error("%s failed: %s; %s", entry.name, text, then, exc_info=traceback)
