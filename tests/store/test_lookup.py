"""History and counting: right whatever is filtered, stretch by stretch, and never in the way of a page."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import orjson
import pytest

from gatepost.agent.core.clock import rfc3339
from gatepost.agent.store import queries, zone_map
from gatepost.agent.store.ranges import FOREVER
from tests.store.conftest import GOOD
from tests.support.clock import LoopClock

MINUTE = 60_000_000


@pytest.fixture(autouse=True)
def small_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zone_map, "ZONE_ROWS", 16)


async def all_pages(store: Any, limit: int = 7, **query: Any) -> list[int]:
    seqs: list[int] = []
    before = None
    while True:
        part = await store.queries.history(limit=limit, before=before, **query)
        assert len(part) <= limit
        seqs += [record.seq for record in part]
        if part.cursor is None:
            return seqs
        before = part.cursor


async def pages_onward(store: Any, limit: int, **query: Any) -> list[int]:
    seqs: list[int] = []
    at = None
    while True:
        part = await store.queries.history_onward(limit=limit, start=at, **query)
        assert len(part) <= limit
        seqs += [record.seq for record in part]
        if part.cursor is None:
            return seqs
        at = part.cursor


async def filled(start: Any, clock: LoopClock, boots: int = 3) -> list[dict[str, Any]]:
    """Rows of several boots: the clock is in step from the middle of every second boot on."""
    rng = random.Random(5)
    rows: list[dict[str, Any]] = []
    true = clock.wall
    for boot in range(boots):
        here = LoopClock(f"boot-{boot}")
        here.mono, here.synchronised = 1_000_000, False
        offset = 0 if boot == 1 else -90 * 24 * 60 * MINUTE
        async with start(clock=here) as run:
            for value in range(70):
                true += MINUTE
                here.mono += MINUTE
                if value == 35 and boot % 2 == 0:
                    here.synchronised, offset = True, 0
                    here.wall = true
                    await run.store.clock_in_step()
                here.wall = true + offset
                device = rng.choice(["a", "b", "c"]) if value != 3 else f"rare-{boot}"
                metric = rng.choice(["spo2", "weight"])
                series = run.store.series(device, None, {**GOOD, "metric_type": metric})
                seq = run.store.append(series, here.now(), orjson.dumps({"n": value}), urgent=value % 11 == 0)
                time = true if boot % 2 == 0 else here.wall
                rows.append({"seq": seq, "device": device, "metric": metric, "time": time, "urgent": value % 11 == 0})
                if value % 20 == 0:
                    run.store.event("clock-step", {"seconds": 1})
                await run.store.stored(seq)
    return rows


async def test_history_is_what_a_search_of_all_rows_finds(start: Any, clock: LoopClock) -> None:
    rows = await filled(start, clock)
    rng = random.Random(6)
    async with start(clock=LoopClock("boot-9")) as run:
        for _ in range(60):
            device = rng.choice([None, None, "a", "rare-0", "rare-2", "nobody"])
            metric = rng.choice([None, None, "spo2", "nothing"])
            since = rng.choice([None, rng.choice(rows)["time"]])
            until = rng.choice([None, rng.choice(rows)["time"]])
            wanted = [
                row["seq"]
                for row in reversed(rows)
                if device in (None, row["device"])
                and metric in (None, row["metric"])
                and (since is None or row["time"] >= since)
                and (until is None or row["time"] < until)
            ]
            query = {"device": device, "metric": metric, "since": since, "until": until}
            assert await all_pages(run.store, rng.choice([1, 7, 500]), **query) == wanted, query
            assert await pages_onward(run.store, rng.choice([1, 7, 500]), **query) == wanted[::-1], query


async def test_times_that_are_rectified_later_are_found_at_their_new_place(start: Any, clock: LoopClock) -> None:
    clock.synchronised = False
    true = clock.wall
    clock.wall -= 30 * 24 * 60 * MINUTE
    async with start(rows=64) as run:
        assert await all_pages(run.store, since=true - MINUTE) == []
        clock.wall, clock.synchronised = true, True
        await run.store.clock_in_step()
        assert len(await all_pages(run.store, since=true - MINUTE)) == 64


async def test_numbers_left_out_cost_nothing(start: Any, tmp_path: Any) -> None:
    from gatepost.agent.store.damage import salvage as maintenance

    async with start() as run:
        await run.put_all(20, device="early")
    maintenance.salvage(tmp_path / "gatepost.db")
    async with start() as run:
        await run.put_all(20, device="late")
        found = await asyncio.wait_for(all_pages(run.store, device="early"), 5)
        assert found == list(range(20, 0, -1))
        assert await asyncio.wait_for(pages_onward(run.store, 7, device="early"), 5) == found[::-1]
        assert len(await asyncio.wait_for(pages_onward(run.store, 7, device="late"), 5)) == 20
        (entry,) = await asyncio.wait_for(run.store.backlog.undelivered(), 5)
        assert (entry["readings"], entry["exact"]) == (41, True)  # with the event of the loss


async def test_a_search_that_takes_too_long_stops_and_can_go_on(
    start: Any, clock: LoopClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = await filled(start, clock, 1)
    monkeypatch.setattr(queries, "SEARCH_SECONDS", 0.0)
    async with start() as run:
        first = await run.store.queries.history(device="rare-0")
        assert first == []
        assert first.cursor
        assert await all_pages(run.store, device="rare-0") == [rows[3]["seq"]]
        assert await pages_onward(run.store, 7, device="rare-0") == [rows[3]["seq"]]


async def test_counting_is_exact_and_follows_what_is_settled_and_dropped(start: Any, clock: LoopClock) -> None:
    rows = await filled(start, clock)
    events = 12
    async with start(clock=LoopClock("boot-9"), brokers=("a",)) as run:

        async def owed() -> tuple[int, int]:
            (entry,) = await run.store.backlog.undelivered()
            assert entry["exact"]
            return entry["readings"], entry["urgent"]

        urgent = [row["seq"] for row in rows if row["urgent"]]
        assert await owed() == (len(rows) + events, len(urgent))
        position = run.store.backlog.position("a")
        rng = random.Random(7)
        for _ in range(20):
            lo = rng.randrange(run.store.head)
            hi = lo + rng.randrange(60)
            track = rng.randrange(2)
            position.settle(track, lo, hi)
            left = [
                sum(seq in position.owed[1] for seq in urgent),
                sum(seq in position.owed[0] for seq in range(1, run.store.head + 1) if seq not in set(urgent)),
            ]
            assert await owed() == (sum(left), left[0])
        await run.store.retention._delete(0, 0, 100)
        position.settle(0, 0, 100)
        await owed()


async def test_counting_gives_up_with_an_estimate(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from gatepost.agent.store import backlog as module

    monkeypatch.setattr(module, "SEARCH_SECONDS", -1.0)
    async with start() as run:
        for value in range(100):
            run.put(value, urgent=value % 10 == 0)
        await run.store.stored(100)
        (entry,) = await run.store.backlog.undelivered()
        assert (entry["readings"], entry["urgent"], entry["exact"]) == (100, 10, False)


async def test_the_oldest_that_is_owed_is_told(start: Any, clock: LoopClock) -> None:
    async with start() as run:
        seqs = await run.put_all(50)
        run.store.backlog.position("a").settle(0, 0, seqs[20])
        (entry,) = await run.store.backlog.undelivered()
        oldest = await run.store.queries.one(seqs[20])
        assert entry["oldest"] == rfc3339(run.store.time_of(oldest)[0])


async def test_rows_deleted_while_they_are_looked_at_are_not_remembered(start: Any) -> None:
    async with start(rows=64) as run:
        found = run.store.queries.zones
        real = run.store.database.search

        async def search(name: str, params: Any = ()) -> Any:
            rows = await real(name, params)
            found.forget(0, 64)
            return rows

        run.store.database.search = search
        assert await found.count(20) == 16
        assert not found._counts


async def test_a_resend_of_one_device_among_many_owes_all_of_it(start: Any) -> None:
    async with start() as run:
        mine = []
        for value in range(3000):
            seq = run.put(value, device="mine" if value % 3 == 0 else "other")
            if value % 3 == 0:
                mine.append(seq)
        await run.store.stored(seq)
        position = run.store.backlog.position("a")
        for track in (0, 1):
            position.settle(track, 0, FOREVER)
        count = await run.store.backlog.mark_for_resend(0, None, "mine")
        assert count == len(mine) == 1000
        assert all(seq in position.owed[0] for seq in mine)
        assert len(position.owed[0]) <= 400
        assert mine[-1] + 1 not in position.owed[0]
