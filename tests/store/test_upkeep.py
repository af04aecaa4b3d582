"""What retention must never do, and that it costs next to nothing when there is nothing to do."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from gatepost.agent.core.events import EventBus
from gatepost.agent.settings.model import StoreSettings
from gatepost.agent.store import Store, backlog, pending_writes
from gatepost.agent.store.damage import start_room
from gatepost.agent.store.ranges import FOREVER
from tests.store.conftest import database, fill
from tests.support.clock import LoopClock
from tests.support.waiting import until

DAY = 86_400.0
KEEP = StoreSettings(commit_interval=0.0, keep=DAY)


def settle(run: Any, lo: int, hi: int, broker: str = "a") -> None:
    for track in (0, 1):
        run.store.backlog.position(broker).settle(track, lo, hi)


async def there(run: Any) -> list[int]:
    return [r.seq for track in (0, 1) for r in await run.store.queries.page(track, 0, FOREVER, 100_000)]


async def test_nothing_is_removed_before_it_is_known_which_brokers_there_are(
    start: Any, tmp_path: Path, clock: LoopClock
) -> None:
    async with start(KEEP) as run:
        await run.put_all(10)
    clock.pass_seconds(30 * DAY)
    store = await Store.open(tmp_path / "gatepost.db", "gw", KEEP, clock, EventBus(), Random(1), lambda: 0)
    await store.retention.once()
    await store.retention.make_room()
    assert len(await store.queries.page(0, 0, FOREVER, 100)) == 10
    store.backlog.set_brokers(("a",))
    await store.retention._expire()
    assert len(await store.queries.page(0, 0, FOREVER, 100)) == 10
    await store.close()


async def test_a_wrong_clock_makes_nothing_old(start: Any) -> None:
    first = LoopClock("boot-a")
    async with start(KEEP, clock=first, rows=10) as run:
        settle(run, 0, 100)
    second = LoopClock("boot-b")
    second.wall += 70 * 365 * 86_400_000_000  # a battery that is empty: the year 2096
    second.synchronised = False
    async with start(KEEP, clock=second, rows=1) as run:
        settle(run, 0, 100)
        await run.store.retention.once()
        assert len(await there(run)) == 11
        second.wall -= 70 * 365 * 86_400_000_000 - 2 * 86_400_000_000
        second.synchronised = True
        await run.store.retention.once()
        assert await there(run) == [11]


async def test_a_boot_that_never_had_a_clock_does_not_keep_history_for_ever(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gatepost.agent.store import retention

    monkeypatch.setattr(retention, "FIRST_LOOK_ROWS", 5)
    monkeypatch.setattr(retention, "LOOK_ROWS", 7)
    dark = LoopClock("boot-a")
    dark.synchronised = False
    async with start(KEEP, clock=dark, rows=100) as run:
        settle(run, 0, 1000)
    light = LoopClock("boot-b")
    async with start(KEEP, clock=light, rows=50) as run:
        light.pass_seconds(2 * DAY)
        await run.put_all(10)
        settle(run, 0, 1000)
        await run.store.retention.once()
        assert await there(run) == list(range(151, 161))


async def test_what_was_refused_is_not_removed_before_the_refusal_is_written(start: Any, clock: LoopClock) -> None:
    async with start(KEEP, rows=5) as run:
        clock.pass_seconds(2 * DAY)
        await run.put_all(1)
        settle(run, 0, 6)
        run.store.pending.due = lambda: False  # no commit comes
        run.store.pending.add_dead("a", 3, None, "refused")
        await run.store.retention.once()
        assert await there(run) == [3, 6]


async def test_series_that_rows_still_need_are_never_removed(start: Any, clock: LoopClock, tmp_path: Path) -> None:
    async with start(KEEP, clock=LoopClock("boot-a")) as run:
        await run.put_all(3, device="first")
    with database(tmp_path / "gatepost.db") as db:
        db.execute("UPDATE reading SET seq = seq + 100 WHERE seq > 1")  # boots out of order, as a repair may leave them
        db.execute("UPDATE series SET boot = 9 WHERE id = (SELECT series FROM reading WHERE seq = 1)")
    db.close()
    second = LoopClock("boot-b")
    async with start(KEEP, clock=second) as run:
        await run.put_all(3, device="second")
    third = LoopClock("boot-c")
    async with start(KEEP, clock=third) as run:
        third.pass_seconds(3 * DAY)
        await run.put_all(3, device="third")
        await run.store.retention.once()
        settle(run, 0, 10_000)
        await run.store.retention.once()
        with database(tmp_path / "gatepost.db") as db:
            orphans = db.execute("SELECT count(*) FROM reading WHERE series NOT IN (SELECT id FROM series)")
            assert orphans.fetchone() == (0,)
        db.close()


async def test_series_of_boots_that_are_gone_are_removed(start: Any, tmp_path: Path) -> None:
    wall = LoopClock().wall
    for number in range(4):
        clock = LoopClock(f"boot-{number}")
        clock.wall = wall + number * 3 * 86_400_000_000
        async with start(KEEP, clock=clock) as run:
            await run.put_all(3, device=f"d-{number}")
            settle(run, 0, 10_000)
            await run.store.retention.once()
    with database(tmp_path / "gatepost.db") as db:
        assert db.execute("SELECT device FROM series").fetchall() == [("d-3",)]
        assert db.execute("SELECT name FROM boot").fetchall() == [("boot-3",)]
    db.close()


async def test_gaps_beyond_one_look_are_all_told_and_once(start: Any, tmp_path: Path) -> None:
    await fill(start, 1)
    with database(tmp_path / "gatepost.db") as db:
        rows = [(1, "log-full", count) for count in range(1, 251)]
        db.executemany("INSERT INTO gap (time, reason, count) VALUES (?, ?, ?)", rows)
    db.close()
    async with start() as run:
        await until(lambda: run.store.head >= 251)
        await run.put_all(1)
        events = [orjson.loads(r.body) for r in await run.store.queries.page(0, 2, FOREVER, 1000) if r.bits & 4]
        assert sorted(event["count"] for event in events) == list(range(1, 251))
        assert await run.store.database.read("gap_untold", (0,)) == []


async def test_a_gap_that_is_being_told_is_not_told_again(start: Any) -> None:
    async with start(StoreSettings(commit_interval=0.0, max_size=10_000_000), rows=100) as run:
        ride = run.store.pending
        real, seen = ride.write, []

        async def write(transaction: Any) -> None:
            await real(transaction)
            if ride._taken.told:  # retention looks for what is untold while the telling is being committed
                seen.append(await run.store.database.read("gap_untold", (0,)))
                ride.tell(seen[-1])

        ride.write = write
        await run.store.retention._delete(0, 0, 50, gap=True)
        await until(lambda: seen)
        await run.put_all(2)
        events = [r for r in await run.store.queries.page(0, 101, FOREVER, 1000) if r.bits & 4]
        assert len(events) == len(await run.store.gaps()) == 1


async def test_gap_times_are_those_that_readings_are_sent_with(start: Any, clock: LoopClock) -> None:
    clock.synchronised = False
    true = clock.wall
    clock.wall -= 90 * 86_400_000_000
    async with start(rows=10) as run:
        clock.wall, clock.synchronised = true, True
        await run.store.clock_in_step()
        await run.put_all(1)
        await run.store.retention._delete(0, 0, 11, gap=True)
        (gap,) = await run.store.gaps()
        assert gap["since"][:10] == gap["time"][:10]


async def test_losses_that_go_on_are_told_less_and_less_often(start: Any, clock: LoopClock) -> None:
    seconds = [0.0]
    clock.monotonic = lambda: seconds[0]
    async with start(rows=1) as run:
        run.store.lost("d", 1, "queue-full")
        await until(lambda: run.store.head == 2)
        for _ in range(300):
            seconds[0] += 1.0
            run.store.lost("d", 1, "queue-full")
            run.store.writer.wake()
            await asyncio.sleep(0.002)
        await until(lambda: not run.store.writer.waiting)
        assert len(await run.store.gaps(1000)) < 16
    async with start(clock=LoopClock()) as run:  # and a clean stop writes down the rest
        assert sum(gap["count"] for gap in await run.store.gaps(1000)) == 301


async def test_an_idle_store_writes_nothing(start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (backlog, pending_writes):
        monkeypatch.setattr(module, "SAVE_SECONDS", 0.01)
    async with start(rows=100) as run:
        settle(run, 0, 101)
        await until(lambda: run.store.writer.commits == 2)  # of readings, and of positions
        wal = tmp_path / "gatepost.db-wal"
        before = (wal.stat().st_size, wal.stat().st_mtime_ns, run.store.writer.commits)
        traced: list[str] = []
        await run.store.database._writer.set_trace_callback(traced.append)
        for _ in range(3):
            await run.store.retention.once()
        assert traced == []
        assert (wal.stat().st_size, wal.stat().st_mtime_ns, run.store.writer.commits) == before
        await run.store.database._writer.set_trace_callback(None)


@pytest.mark.parametrize(
    ("rows", "seconds", "due"), [(99, 4.9, False), (99, 5.1, True), (100, 0.7, False), (100, 0.9, True)]
)
async def test_of_many_delivered_readings_a_kill_repeats_a_second_and_they_go_with_a_commit(
    start: Any, clock: LoopClock, rows: int, seconds: float, due: bool
) -> None:
    now = [0.0]
    clock.monotonic = lambda: now[0]
    async with start(StoreSettings(commit_interval=0.0)) as run:
        await run.put_all(1 + rows)
        await until(lambda: not run.store.pending.unsaved)
        settle(run, 0, 2)
        run.store.backlog.position("a").count(1)  # the first of a start is written within a second too
        now[0] += 0.9
        await run.put_all(1)
        assert not run.store.pending.unsaved
        settle(run, 0, rows + 2)
        run.store.backlog.position("a").count(rows)
        now[0] += seconds
        await run.put_all(1)
        assert run.store.pending.unsaved != due
        assert run.store.writer.commits == 3


async def test_what_is_delivered_while_nothing_is_stored_is_written_within_a_second(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending_writes, "MANY_SECONDS", 0.02)
    monkeypatch.setattr(backlog, "RIDE_SECONDS", 0.01)
    async with start(StoreSettings(commit_interval=0.0), rows=200) as run:
        settle(run, 0, 1)
        run.store.backlog.position("a").count(1)  # the first of a start
        await until(lambda: not run.store.pending.unsaved)
        settle(run, 0, 100)
        run.store.backlog.position("a").count(99)
        assert run.store.pending.unsaved
        run.store.backlog.position("a").count(1)
        await until(lambda: not run.store.pending.unsaved)  # long before five seconds


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", place], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    yield place
    subprocess.run(["umount", "-l", place], check=False)


async def test_on_a_full_disk_what_was_delivered_makes_room_although_the_write_ahead_log_cannot_grow(
    start: Any, small_disk: Path
) -> None:
    body = b'{"n":1,"pad":"%s"}' % (b"x" * 60)
    settings = StoreSettings(commit_interval=0.0, reserve=0)
    async with start(settings, path=small_disk / "gatepost.db", free=lambda: 1 << 40) as run:
        await run.put_all(10_000, body=body)
        settle(run, 0, 10_001)
        await run.store.database.checkpoint("RESTART")  # both files keep their size
        with (small_disk / "ballast").open("wb", buffering=0) as ballast:
            try:
                while ballast.write(b"x" * 1024):
                    pass
            except OSError:
                pass
        for _ in range(20):  # far more than the write-ahead log of this disk holds
            await asyncio.wait_for(run.put_all(400, body=body), 30)
        assert (await run.store.stats())["state"] == "ok"


async def test_the_store_opens_on_a_full_disk_where_it_was_open_before(start: Any, small_disk: Path) -> None:
    path = small_disk / "gatepost.db"
    async with start(StoreSettings(commit_interval=0.0), path=path, rows=10) as run:
        keep = sqlite3.connect(path)  # keeps the -wal and -shm files
        keep.execute("SELECT count(*) FROM reading").fetchone()
    with (small_disk / "ballast").open("wb", buffering=0) as ballast:
        try:
            while ballast.write(b"x" * 1024):
                pass
        except OSError:
            pass
    async with start(StoreSettings(commit_interval=0.0), path=path, clock=LoopClock("boot-b")) as run:
        assert len(await run.store.queries.history()) == 10
        waiting = run.put(1)
        (small_disk / "ballast").unlink()
        await asyncio.wait_for(run.store.stored(waiting), 20)
    keep.close()


@pytest.mark.parametrize("kept", ["spare", "aside"])
async def test_the_store_opens_on_a_full_disk_that_has_no_room_for_the_index_of_its_log(
    start: Any, small_disk: Path, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start_room, "PLENTY", start_room.ROOM)
    path, left = small_disk / "gatepost.db", small_disk / "left"
    left.mkdir()
    async with start(StoreSettings(commit_interval=0.0), path=path, rows=10) as run:
        for name in ("gatepost.db", "gatepost.db-wal", "gatepost.db.mark", "gatepost.db.spare"):
            shutil.copy(small_disk / name, left / name)
    if kept == "aside":
        (left / "gatepost.db.spare").unlink()
        (left / "gatepost.db.damaged-20261120T103000.000000Z").write_bytes(bytes(start_room.ROOM))
    with (small_disk / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while ballast.write(b"x" * 1024):
            pass
    async with start(StoreSettings(commit_interval=0.0), path=left / "gatepost.db") as run:
        assert len(await run.store.queries.history()) == 10
        (small_disk / "ballast").unlink()
        await asyncio.wait_for(run.store.stored(run.put(1)), 20)


@pytest.mark.parametrize(("parts", "log", "left"), [(1, True, 2), (2, True, 1), (3, True, 0), (3, False, 1)])
def test_the_newest_damaged_file_goes_last_and_only_where_the_log_cannot_be_read_without(
    tmp_path: Path, parts: int, log: bool, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, step = tmp_path / "gatepost.db", start_room.ROOM // parts
    path.write_bytes(b"x")
    path.with_name("gatepost.db-wal").write_bytes(b"x" * log)
    asides = [path.with_name(f"gatepost.db.damaged-2026112{day}T103000.000000Z") for day in range(3)]
    for aside in asides:
        aside.write_bytes(b"x")
    monkeypatch.setattr(start_room, "_free", lambda _: step * sum(not aside.exists() for aside in asides) + 2)
    start_room.make_room(path)
    assert [aside for aside in asides if aside.exists()] == asides[3 - left :]
