"""The log keeps what it took, in order, over restarts; `stored` means fsynced."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import orjson
import pytest

from gatepost.agent.core.errors import StoreError
from gatepost.agent.settings.model import StoreSettings
from gatepost.agent.store import EVENT, URGENT
from gatepost.agent.store.ranges import FOREVER
from gatepost.agent.store.writer import QUEUE_BYTES, QUEUE_ROWS, ROW_COST
from tests.store.conftest import GOOD, database, fill
from tests.support.clock import LoopClock
from tests.support.waiting import until


async def test_what_is_stored_is_there_for_another_reader(start: Any, tmp_path: Path) -> None:
    async with start(finish=False) as run:
        seq = run.put(1)
        await run.store.stored(seq)
        other = sqlite3.connect(tmp_path / "gatepost.db")
        assert other.execute("SELECT body FROM reading WHERE seq = ?", (seq,)).fetchone() == (b'n":1',)
        other.close()


async def test_numbers_go_on_and_each_start_has_an_epoch_which_its_rows_keep(start: Any) -> None:
    ids: dict[int, str] = {}
    epochs = set()
    for _ in range(4):
        async with start() as run:
            seqs = await run.put_all(3)
            ids |= {seq: run.store.reading_id(seq) for seq in seqs}
            epochs.add(run.store.epochs.current)
            assert [run.store.reading_id(seq) for seq in ids] == list(ids.values())
            assert [run.store.id_prefix(seq).decode() + str(seq) for seq in ids] == list(ids.values())
    assert list(ids) == list(range(1, 13))
    assert len(epochs) == 4


async def test_starts_that_stored_nothing_leave_no_row(start: Any, tmp_path: Path) -> None:
    for _ in range(3):
        async with start():
            pass
    await fill(start, 1)
    with database(tmp_path / "gatepost.db") as db:
        assert db.execute("SELECT count(*) FROM start WHERE first > 0").fetchone() == (1,)


async def test_a_log_of_schema_1_keeps_its_epoch_for_its_rows(start: Any, tmp_path: Path) -> None:
    await fill(start, 3)
    with database(tmp_path / "gatepost.db") as db:
        db.executescript("DROP TABLE start; DROP TABLE summary; DROP TABLE summary_zone")
        db.execute("INSERT INTO meta VALUES ('epoch', '6f2c9a1b')")
        db.execute("DELETE FROM meta WHERE key = 'marked'")
        db.execute("PRAGMA user_version = 1")
    (tmp_path / "gatepost.db.mark").unlink()  # an agent of then kept none
    for _ in range(2):
        async with start() as run:
            seq = (await run.put_all(1))[0]
            assert [run.store.reading_id(n) for n in (1, 3)] == ["gw:6f2c9a1b:1", "gw:6f2c9a1b:3"]
            assert run.store.reading_id(seq) == f"gw:{run.store.epochs.current}:{seq}" != f"gw:6f2c9a1b:{seq}"


async def test_a_rolled_back_log_gives_no_id_twice(start: Any, tmp_path: Path) -> None:
    path, seen = tmp_path / "gatepost.db", list[str]()
    async with start() as run:
        seen += [run.store.reading_id(seq) for seq in await run.put_all(3)]
    old = path.read_bytes()
    for _ in range(3):
        path.write_bytes(old)
        async with start() as run:
            seen += [run.store.reading_id(seq) for seq in await run.put_all(5)]
            assert [run.store.reading_id(seq) for seq in (1, 2, 3)] == seen[:3]
    assert len(set(seen)) == len(seen) == 18


async def test_a_start_that_cannot_be_read_gives_its_rows_no_epoch_of_another(start: Any, tmp_path: Path) -> None:
    ids = list[str]()
    for _ in range(3):
        async with start() as run:
            ids += [run.store.reading_id(seq) for seq in await run.put_all(3)]
    with database(tmp_path / "gatepost.db") as db:
        db.execute("UPDATE start SET first = 5 WHERE first = 4")
    async with start() as run:
        known = {run.store.reading_id(seq) for seq in range(1, 10)}
        assert known.isdisjoint(ids)
        await run.put_all(1)
    async with start() as run:
        assert {run.store.reading_id(seq) for seq in range(1, 10)} == known


async def test_a_clean_stop_stores_everything_that_was_taken(start: Any) -> None:
    async with start(StoreSettings(commit_interval=3600.0)) as run:
        for value in range(100):
            assert run.put(value)
    async with start() as run:
        assert await run.numbers() == list(range(100))


async def test_one_commit_an_interval_but_the_first_and_urgent_ones_at_once(start: Any) -> None:
    async with start(StoreSettings(commit_interval=3600.0)) as run:
        await asyncio.wait_for(run.store.stored(run.put(1)), 5)  # after a quiet spell
        waiting = run.put(2)
        commits = run.store.writer.commits
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(run.store.stored(waiting), 0.2)
        assert run.store.writer.commits == commits
        await asyncio.wait_for(run.store.stored(run.put(3, urgent=True)), 5)
        assert run.store.head == waiting + 1  # the urgent one took the waiting one along


async def test_a_full_queue_says_so_and_room_comes_back(start: Any) -> None:
    async with start(StoreSettings(commit_interval=3600.0)) as run:
        taken = 0
        while run.put(taken):
            taken += 1
        assert taken == QUEUE_ROWS
        await asyncio.wait_for(run.store.wait_until_writable(), 10)
        assert run.put(taken)


async def test_readings_of_one_moment_are_taken_together_as_far_as_there_is_room(start: Any) -> None:
    async with start(StoreSettings(commit_interval=3600.0)) as run:
        writer, series = run.store.writer, run.store.series("d", None, GOOD)
        rows = [(series, b'{"n":%d}' % value) for value in range(QUEUE_ROWS)]
        now = run.clock.now()
        assert run.store.append_all(now, rows[:5]) == 5
        assert run.store.append_all(now, rows[5:]) == QUEUE_ROWS - 5
        assert run.store.append_all(now, rows[:5]) == 0
        writer.together = True  # may be beyond the bound
        assert run.store.append_all(now, rows[:5]) == 5
        writer.together = False
        writer.refuse("why not")
        assert run.store.append_all(now, rows[:1]) == 0
        writer.refuse(None)
        await run.store.stored(writer.next_seq - 1, hurry=True)
        assert await run.numbers() == [*range(QUEUE_ROWS), *range(5)]
        (first,) = await run.store.queries.page(0, 1, 2, 10)
        assert (first.wall, first.mono) == (now.wall, now.mono)


async def test_many_octets_of_one_moment_are_taken_up_to_the_bound(start: Any) -> None:
    async with start(StoreSettings(commit_interval=3600.0)) as run:
        series, body = run.store.series("d", None, GOOD), b'{"n":"%b"}' % (b"x" * 1_000_000)
        taken = run.store.append_all(run.clock.now(), [(series, body)] * 10)
        assert taken == -(-QUEUE_BYTES // (len(body) + ROW_COST))
        assert run.store.writer.full
        await run.store.stored(run.store.writer.next_seq - 1)
        assert run.store.head == taken


async def test_counted_losses_become_one_gap_that_is_forwarded(start: Any) -> None:
    async with start(rows=1) as run:
        for _ in range(5):
            run.store.lost("d", 10, "queue-full")
        await until(lambda: run.store.head >= 2)
        (gap,) = await run.store.gaps()
        assert (gap["count"], gap["device_id"], gap["reason"]) == (50, "d", "queue-full")
        record = await run.store.queries.one(run.store.head)
        assert record.bits & EVENT
        assert orjson.loads(record.body)["count"] == 50
        assert orjson.loads(run.store.series_of(record.series).common) == {"event": "gap"}


async def test_a_gap_whose_event_was_not_written_is_told_after_a_restart(start: Any, tmp_path: Path) -> None:
    await fill(start, 1)
    other = sqlite3.connect(tmp_path / "gatepost.db")
    other.execute("INSERT INTO gap (time, reason, count) VALUES (1, 'log-full', 7)")
    other.commit()
    other.close()
    async with start() as run:
        await until(lambda: run.store.head >= 2)
        record = await run.store.queries.one(run.store.head)
        assert orjson.loads(record.body)["count"] == 7


async def test_pages_part_urgent_from_others(start: Any) -> None:
    async with start() as run:
        for value in range(10):
            run.put(value, urgent=value % 3 == 0)
        await run.store.stored(10)
        urgent = await run.store.queries.page(1, 0, FOREVER, 100)
        others = await run.store.queries.page(0, 0, FOREVER, 100)
        assert [orjson.loads(r.body)["n"] for r in urgent] == [0, 3, 6, 9]
        assert [orjson.loads(r.body)["n"] for r in others] == [1, 2, 4, 5, 7, 8]
        assert all(record.bits & URGENT for record in urgent)
        assert [r.seq for r in await run.store.queries.page(0, 3, 8, 2)] == [3, 5]


async def test_history_filters_by_device_metric_time_and_cursor(start: Any, clock: LoopClock) -> None:
    async with start() as run:
        marks = []
        for value in range(6):
            marks.append(clock.wall)
            run.put(value, device="even" if value % 2 == 0 else "odd")
            clock.pass_seconds(10)
        other = run.store.series("even", None, {**GOOD, "metric_type": "weight"})
        run.store.append(other, clock.now(), b'{"n":99}')
        await run.store.stored(7)
        assert await run.numbers(device="even") == [0, 2, 4, 99]
        assert await run.numbers(metric="weight") == [99]
        assert await run.numbers(since=marks[2], until=marks[4]) == [2, 3]
        newest = await run.store.queries.history(limit=2)
        older = await run.store.queries.history(limit=2, before=newest[-1].seq)
        assert [r.seq for r in newest + older] == [7, 6, 5, 4]


async def test_readings_before_the_clock_was_in_step_are_rectified(start: Any, clock: LoopClock) -> None:
    clock.synchronised = False
    true_wall = clock.wall
    clock.wall -= 90 * 86_400_000_000  # a Pi without a clock starts in the past
    async with start(rows=1) as run:
        record = await run.store.queries.one(1)
        assert run.store.time_of(record) == (clock.wall, "unsynchronised")
        clock.pass_seconds(60)
        clock.synchronised = True
        clock.wall = true_wall + 60_000_000
        assert await run.store.clock_in_step()
        assert run.store.time_of(record) == (true_wall, "rectified")
        assert record.wall != true_wall  # the raw value stays
    again = LoopClock("boot-b")
    async with start(clock=again) as run:  # known after the next boot too
        (record,) = await run.store.queries.history(limit=1)
        assert run.store.time_of(record) == (true_wall, "rectified")


async def test_a_row_is_never_stored_without_its_series(start: Any, tmp_path: Path) -> None:
    async with start(finish=False) as run:
        run.put(0, device="first")
        write, added = run.store.pending.write, []

        async def slow(transaction: Any) -> None:
            await write(transaction)
            if not added:  # a reading of a new device arrives while the transaction is being written
                added.append(run.put(1, device="second"))

        run.store.pending.write = slow
        await until(lambda: added)
        await run.store.stored(added[0])
        other = sqlite3.connect(tmp_path / "gatepost.db")
        orphans = "SELECT count(*) FROM reading WHERE series NOT IN (SELECT id FROM series)"
        assert other.execute(orphans).fetchone() == (0,)
        other.close()


async def test_small_state_is_durable_and_can_be_forgotten(start: Any) -> None:
    async with start() as run:
        await run.store.key_value.put("device:d", {"interval": 5})
    async with start() as run:
        assert await run.store.key_value.get("device:d") == {"interval": 5}
        await run.store.key_value.put("device:d", None)
        assert await run.store.key_value.get("device:d") is None


async def test_a_file_of_a_newer_agent_is_refused_and_not_changed(start: Any, tmp_path: Path) -> None:
    await fill(start, 1)
    path = tmp_path / "gatepost.db"
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 99")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="schema version 99") as caught:
        async with start():
            pass
    assert caught.value.kind == "store-newer"
    assert path.read_bytes() == before


async def test_series_of_earlier_boots_are_found_when_needed(start: Any) -> None:
    async with start() as run:
        await run.put_all(3, device="old")
    async with start(clock=LoopClock("boot-b")) as run:
        records = await run.store.queries.page(0, 0, FOREVER, 10)
        assert {run.store.series_of(record.series).device for record in records} == {"old"}
