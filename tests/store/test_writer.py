"""The group commit by itself: what is told when, and what happens when a commit fails."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import pytest

from gatepost.agent.core.errors import StoreFull
from gatepost.agent.settings.model import StoreSettings
from gatepost.agent.store import writer as module
from tests.support.clock import LoopClock
from tests.support.waiting import until


class Watched:
    """A connection of SQLite whose statements are heard before they are run, in the thread that runs them."""

    def __init__(self, run: Any, hear: Any) -> None:
        self._hear = hear
        self._real = run.store.database._writer._connection
        run.store.database._writer._connection = self

    def execute(self, text: str, *params: Any) -> Any:
        self._hear(text)
        return self._real.execute(text, *params)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class Failing:
    """Has the next COMMITs of a store fail, or other statements."""

    def __init__(self, run: Any, name: str = "COMMIT") -> None:
        self.left = 0
        self.error: Exception = sqlite3.OperationalError("database or disk is full")
        self.error.sqlite_errorcode = sqlite3.SQLITE_FULL
        self._name = name
        Watched(run, self._fail)

    def _fail(self, text: str) -> None:
        if self.left and text.startswith(self._name):
            self.left -= 1
            raise self.error


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_RETRY", 0.01)


@pytest.mark.parametrize("statement", ["BEGIN", "INSERT INTO reading", "INSERT OR REPLACE INTO series", "COMMIT"])
async def test_a_commit_that_fails_is_made_again_with_all_that_belongs_to_it(start: Any, statement: str) -> None:
    async with start(rows=1000) as run:
        fail = Failing(run, statement)
        fail.left = 3
        run.store.backlog.position("new")
        run.store.lost("d", 3, "queue-full")
        run.store.dead_letter("a", 1, 0x87, "not authorized")
        seqs = await asyncio.wait_for(run.put_all(5, device="other"), 10)
        assert fail.left == 0
        await until(lambda: not run.store.writer.waiting and not run.store.pending.due())
        assert await run.numbers(device="other") == [0, 1, 2, 3, 4]
        assert seqs == sorted(seqs)
        assert [gap["count"] for gap in await run.store.gaps()] == [3]
        assert len(await run.store.dead_letters()) == 1
        await until(lambda: run.store.state == "ok")
        assert await run.store.database.read("gap_untold", (0,)) == []
    async with start(brokers=()) as run:
        assert next(iter(run.store.backlog.position("new").owed[0]))[0] == 1001
        assert {run.store.series_of(r.series).device for r in await run.store.queries.history()} == {"d", "other"}


async def test_a_stop_tries_more_than_once(start: Any) -> None:
    async with start(StoreSettings(commit_interval=3600.0), rows=1) as run:
        seq = run.put(2)
        Failing(run).left = module.LAST_TRIES - 1
        waiting = asyncio.create_task(run.store.stored(seq))
        await asyncio.sleep(0)
    await waiting
    async with start() as run:
        assert run.store.head == seq


async def test_what_cannot_be_stored_at_the_stop_is_said_to_whoever_waits(start: Any) -> None:
    async with start(StoreSettings(commit_interval=3600.0), rows=1) as run:
        Failing(run).left = 1000
        seq = run.put(2)
        waiting = asyncio.create_task(run.store.stored(seq))
        await asyncio.sleep(0)
        run.store.finish()
        with pytest.raises(StoreFull):
            await asyncio.wait_for(waiting, 10)
        with pytest.raises(StoreFull):
            await asyncio.wait_for(run.store.stored(seq), 10)


async def test_a_stop_does_not_wait_for_the_next_try(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_RETRY", 3600.0)
    monkeypatch.setattr(module, "LONGEST_RETRY", 3600.0)
    async with start(rows=1) as run:
        fail = Failing(run)
        fail.left = 1
        run.put(2)
        await until(lambda: run.store.state != "ok")
        run.store.finish()
        await asyncio.wait_for(run.tasks[0], 10)
        assert run.store.head == 2


async def test_a_listener_that_fails_harms_nobody(start: Any) -> None:
    async with start() as run:
        heard: list[int] = []

        def fail() -> None:
            raise ZeroDivisionError

        run.store.on_stored += [fail, lambda: heard.append(run.store.head)]
        await asyncio.wait_for(run.store.stored(run.put(1)), 5)
        await asyncio.wait_for(run.store.stored(run.put(2)), 5)
        await until(lambda: heard == [1, 2])


async def test_a_writer_that_is_cancelled_and_started_again_stores_each_row_once(start: Any) -> None:
    async with start() as run:
        last = 0
        for value in range(60):
            last = run.put(value)
            for _ in range(value % 12):
                await asyncio.sleep(0)
            run.tasks[0].cancel()
            await asyncio.wait({run.tasks[0]})
            run.tasks[0] = asyncio.create_task(run.store.background_tasks()["store.writer"]())
        await asyncio.wait_for(run.store.stored(last), 10)
        assert await run.numbers() == list(range(60))
        assert run.store.state == "ok"


async def test_a_commit_once_begun_is_finished_and_counts_although_the_writer_is_cancelled(start: Any) -> None:
    async with start(rows=1) as run:
        loop = asyncio.get_running_loop()
        commits: list[str] = []

        def cancel(text: str) -> None:
            if text == "COMMIT" and not commits:
                commits.append(text)
                asyncio.run_coroutine_threadsafe(cancelled(), loop).result(10)

        async def cancelled() -> None:
            run.tasks[0].cancel()
            await asyncio.sleep(0)

        Watched(run, cancel)
        seq = run.put(2)
        await asyncio.wait({run.tasks[0]})
        assert run.store.head == seq
        run.tasks[0] = asyncio.create_task(run.store.background_tasks()["store.writer"]())
        await asyncio.wait_for(run.put_all(1), 10)
        assert run.store.state == "ok"


async def test_events_are_bounded_when_nothing_can_be_written(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUEUE_ROWS", 50)
    async with start(rows=1) as run:
        fail = Failing(run)
        fail.left = 1_000_000
        while run.put(1):
            pass
        taken = sum(bool(run.store.event("clock-step", {})) for _ in range(500))
        assert taken == 50
        assert run.store.writer.waiting <= 100
        run.store.lost("d", 1, "queue-full")
        fail.left = 0
        await until(lambda: not run.store.writer.waiting and not run.store.pending.due())
        assert [gap["count"] for gap in await run.store.gaps()] == [1]
        events = [r for r in await run.store.queries.page(0, 0, 1 << 60, 500) if r.bits & 4]
        assert len(events) == 51


async def test_a_gap_for_whose_event_there_was_no_room_is_told_later(start: Any) -> None:
    async with start(rows=1) as run:
        real = run.store.pending._announce
        answers = [0, 0]
        run.store.pending._announce = lambda gap: answers.pop() if answers else real(gap)
        run.store.lost("d", 4, "queue-full")
        await until(lambda: run.store.head == 2)
        assert [gap["count"] for gap in await run.store.gaps()] == [4]
        assert not answers


async def test_a_flood_of_refusals_is_kept_whole_and_told_in_few_words(start: Any) -> None:
    async with start() as run:
        seqs = await run.put_all(500)
        for seq in seqs:
            run.store.dead_letter("a", seq, 0x87, "not authorized")
            if seq % 50 == 0:
                await asyncio.sleep(0)
        async with asyncio.timeout(10):
            while len(await run.store.dead_letters(1000)) < 500:
                await asyncio.sleep(0.01)
        told = [r for r in await run.store.queries.page(0, 501, 1 << 60, 500) if r.bits & 4]
        assert len(told) == 1
        run.store.dead_letter("a", told[0].seq, 0x87, "not authorized", event=True)  # refuses the event, too
    async with start() as run:
        told = [r for r in await run.store.queries.page(0, 501, 1 << 60, 500) if r.bits & 4]
        assert len(told) == 2  # and the rest of the flood, at the stop
        assert len(await run.store.dead_letters(1000)) == 501


async def test_who_is_in_a_hurry_does_not_wait_for_the_next_commits_turn(start: Any) -> None:
    async with start(StoreSettings(commit_interval=3600.0), rows=1) as run:
        patient = asyncio.create_task(run.store.stored(run.put(2)))
        await asyncio.sleep(0)
        assert not patient.done()
        await asyncio.wait_for(run.store.stored(run.put(3), hurry=True), 10)
        await patient


async def test_before_a_commit_whose_turn_comes_what_else_there_is_may_be_brought(start: Any) -> None:
    class StandingClock(LoopClock):
        def monotonic(self) -> float:
            return 0.0  # no commit is ever so slow that the next one's turn has come

    async with start(StoreSettings(commit_interval=0.05), StandingClock(), rows=1) as run:
        brought: list[int] = []

        def bring() -> None:
            brought.append(run.put(3))
            raise ZeroDivisionError  # harms nobody

        run.store.writer.on_turn.append(bring)
        seq = run.put(2)
        await asyncio.wait_for(run.store.stored(seq), 10)
        assert brought == [seq + 1]
        assert run.store.head == brought[0]


async def test_who_is_in_a_hurry_takes_what_is_there_and_waits_for_nobody_to_bring_more(start: Any) -> None:
    async with start(StoreSettings(commit_interval=3600.0), rows=1) as run:
        brought: list[int] = []
        run.store.writer.on_turn.append(lambda: pytest.fail("asked"))
        run.store.writer.on_commit.append(lambda: brought.append(run.put(3)))
        await asyncio.wait_for(run.store.stored(run.put(2), hurry=True), 10)
        assert run.store.head == brought[0] == 3


async def test_how_long_a_reading_would_wait_for_its_commit_is_told(start: Any) -> None:
    async with start(StoreSettings(commit_interval=3600.0)) as run:
        writer = run.store.writer
        assert writer.until_turn() == 0
        run.put(1)
        assert writer.until_turn() == 3600.0  # the commit of that one begins now
        assert writer.until_commit() == 0  # and what is appended before it does goes with it
        await run.store.stored(1)
        assert 3500.0 < writer.until_turn() < 3600.0
        assert 3500.0 < writer.until_commit() < 3600.0
        run.put(2)
        assert 3500.0 < writer.until_turn() < 3600.0
