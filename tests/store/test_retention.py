"""Kept by age, size and free space; what a broker owes goes last, and never without a gap record."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from typing import Any

import pytest

from gatepost.agent.settings.model import StoreSettings
from gatepost.agent.store import retention
from gatepost.agent.store.delivery.positions import NORMAL
from tests.support.clock import LoopClock
from tests.support.waiting import until

DAY = 86_400.0


def delivered(run: Any, lo: int, hi: int, broker: str = "a") -> None:
    for track in (0, 1):
        run.store.backlog.position(broker).settle(track, lo, hi)


async def upkeep(run: Any) -> None:
    await run.store.retention.once()


async def test_old_readings_go_once_every_broker_has_them(start: Any, clock: LoopClock) -> None:
    async with start(StoreSettings(commit_interval=0.0, keep=DAY), brokers=("a", "b"), rows=5) as run:
        clock.pass_seconds(2 * DAY)
        await run.put_all(3)
        await upkeep(run)
        assert len(await run.numbers()) == 8  # owed
        delivered(run, 0, 9, "a")
        await upkeep(run)
        assert len(await run.numbers()) == 8  # still owed by b
        delivered(run, 0, 9, "b")
        await upkeep(run)
        assert await run.numbers() == [0, 1, 2]
        assert await run.store.gaps() == []


async def test_a_damaged_time_makes_nothing_old_and_is_looked_past(start: Any, clock: LoopClock) -> None:
    async with start(StoreSettings(commit_interval=0.0, keep=DAY), rows=5) as run:
        clock.pass_seconds(2 * DAY)
        damaged = (await run.put_all(3))[0]
        delivered(run, 0, damaged + 3)
        with contextlib.closing(sqlite3.connect(run.store.path)) as database, database:
            database.execute("UPDATE reading SET mono = 0 WHERE seq = ?", (damaged,))
        await asyncio.wait_for(upkeep(run), 20)
        with contextlib.closing(sqlite3.connect(run.store.path)) as database:
            assert database.execute("SELECT min(seq), count(*) FROM reading").fetchone() == (damaged, 3)


async def test_a_clock_that_steps_forward_makes_nothing_old(start: Any, clock: LoopClock) -> None:
    clock.synchronised = False
    async with start(StoreSettings(commit_interval=0.0, keep=DAY), rows=5) as run:
        delivered(run, 0, 6)
        clock.wall += 300 * 86_400_000_000  # NTP moves it by months; boot time goes on
        clock.synchronised = True
        await run.store.clock_in_step()
        await run.put_all(1)
        await upkeep(run)
        assert len(await run.numbers()) == 6


async def test_the_newest_row_stays_so_that_ids_go_on(start: Any, clock: LoopClock) -> None:
    async with start(StoreSettings(commit_interval=0.0, keep=DAY)) as run:
        last = (await run.put_all(5))[-1]
        delivered(run, 0, 100)
        clock.pass_seconds(3 * DAY)
        await upkeep(run)
        assert len(await run.numbers()) == 1
    async with start() as run:
        assert run.put(1) == last + 1


async def test_over_the_size_delivered_ones_go_before_owed_ones(start: Any) -> None:
    async with start(StoreSettings(commit_interval=0.0, max_size=300_000)) as run:
        await run.put_all(4000, body=b'{"n":1,"pad":"%s"}' % (b"x" * 60))
        delivered(run, 0, 2001)
        await upkeep(run)
        first = (await run.store.queries.history(limit=10_000))[-1].seq
        assert 1 < first <= 2001
        assert await run.store.gaps() == []


async def test_when_full_the_oldest_backlog_goes_urgent_last_with_a_gap(start: Any) -> None:
    async with start(StoreSettings(commit_interval=0.0, max_size=200_000)) as run:
        urgent = []
        for value in range(4000):
            while not (
                seq := run.put(value, urgent=value % 100 == 0, body=b'{"n":%d,"pad":"%s"}' % (value, b"x" * 60))
            ):
                await run.store.wait_until_writable()
            if value % 100 == 0:
                urgent.append(seq)
        await run.store.stored(seq)
        await upkeep(run)
        kept = {record.seq for record in await run.store.queries.history(limit=10_000)}
        assert set(urgent) <= kept
        gaps = await run.store.gaps(1000)
        lost = sum(gap["count"] for gap in gaps)
        assert lost == 4000 - len(kept)
        assert {gap["reason"] for gap in gaps} == {"log-full"}
        assert {tuple(gap["brokers"]) for gap in gaps} == {("a",)}
        assert gaps[0]["device_id"] == "d"
        first_owed = next(iter(run.store.backlog.position("a").owed[NORMAL]))[0]
        assert first_owed == min(kept - set(urgent))
        await until(lambda: run.store.head > seq)  # the gap is told to the brokers
        stats = await run.store.stats()
        assert stats["bytes"] < 300_000


async def test_each_broker_has_lost_what_it_was_owed_and_no_more(start: Any) -> None:
    async with start(StoreSettings(commit_interval=0.0, max_size=100_000), brokers=("a", "b", "c")) as run:
        positions = {name: run.store.backlog.position(name) for name in ("a", "b", "c")}
        for position in positions.values():
            position.begin_account(run.store.epochs.of)
        seqs = await run.put_all(4000, body=b'{"n":1,"pad":"%s"}' % (b"x" * 60))
        for lo, hi in ((0, 301), (401, 501), (601, 701)):
            delivered(run, lo, hi, "a")
        positions["a"].account.passed(NORMAL, range(601, 701), ())
        positions["a"].owe(601, 701)  # a resend: these were counted
        delivered(run, 0, seqs[-1] + 1, "c")
        await upkeep(run)
        kept = {record.seq for record in await run.store.queries.history(limit=10_000)}
        gone = set(seqs) - kept
        assert {650, 1000} <= gone
        gaps = {name: sum(e.gaps for e in position.account.epochs.values()) for name, position in positions.items()}
        assert gaps == {"a": len(gone) - 500, "b": len(gone), "c": 0}


async def test_refuse_keeps_what_is_there_and_takes_nothing_new(start: Any) -> None:
    settings = StoreSettings(commit_interval=0.0, max_size=100_000, when_full="refuse")
    async with start(settings) as run:
        await run.put_all(2000, body=b'{"n":1,"pad":"%s"}' % (b"x" * 60))
        await upkeep(run)
        before = len(await run.store.queries.history(limit=10_000))
        assert run.put(1) == 0
        assert "refuse" in run.store.state
        assert before == 2000
        delivered(run, 0, 1500)
        await upkeep(run)
        assert run.put(1)
        assert run.store.state == "ok"


async def test_the_reserve_of_the_disk_is_never_used(start: Any) -> None:
    free = [1 << 40]
    async with start(StoreSettings(commit_interval=0.0, reserve=1_000_000), free=lambda: free[0]) as run:
        await run.put_all(60_000, body=b'{"n":1,"pad":"%s"}' % (b"x" * 60))
        free[0] = 500_000
        await upkeep(run)
        stats = await run.store.stats()
        assert stats["file_bytes"] - stats["bytes"] > 500_000  # free pages for what comes
        size = stats["file_bytes"]
        await run.put_all(3_000, body=b'{"n":1,"pad":"%s"}' % (b"x" * 60))
        assert (await run.store.stats())["file_bytes"] == size


async def test_a_broker_that_was_removed_holds_nothing_back_but_keeps_its_position(start: Any) -> None:
    async with start(brokers=("a", "old"), rows=5) as run:
        delivered(run, 0, 6, "a")
    async with start(StoreSettings(commit_interval=0.0), brokers=("a",)) as run:
        assert next(iter(run.store.backlog.position("old").owed[NORMAL]))[0] == 1
        assert [entry["broker"] for entry in await run.store.backlog.undelivered()] == ["a"]


async def test_a_small_log_is_not_emptied_because_the_disk_is_short(start: Any) -> None:
    free = [1 << 40]
    async with start(StoreSettings(commit_interval=0.0, reserve=1_000_000), free=lambda: free[0]) as run:
        await run.put_all(5000, body=b'{"n":1,"pad":"%s"}' % (b"x" * 60))
        free[0] = 500_000
        for _ in range(10):
            await upkeep(run)
        kept = len(await run.store.queries.history(limit=10_000))
        assert 3500 < kept < 5000
        for _ in range(10):
            await run.store.retention.make_room()
        assert len(await run.store.queries.history(limit=10_000)) == kept


async def test_a_disk_that_does_not_tell_its_free_space_stops_neither_retention_nor_the_loop(
    start: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(retention, "DISK_SECONDS", 0.02)
    answer = threading.Event()
    keep = StoreSettings(commit_interval=0.0, keep=DAY)
    async with start(keep, free=lambda: answer.wait(30) and 1 << 40, rows=10) as run:
        delivered(run, 0, 11)
        run.clock.pass_seconds(DAY + 1)
        await upkeep(run)
        assert len(await run.store.queries.history(limit=100)) == 1
        assert "not known" in caplog.text
        answer.set()
