"""Mark of the log: how many rows each start stored, so that what is missing is counted whatever was lost before."""

from __future__ import annotations

import contextlib
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gatepost.agent.core.errors import StoreError
from gatepost.agent.store.damage.log_mark import MAX_STARTS, LogMark, LogMarkFile
from gatepost.agent.store.damage.salvage import JUMP, repair
from gatepost.agent.store.database import PAGE_SIZE
from gatepost.agent.store.ranges import FOREVER
from tests.store.conftest import fill
from tests.support.waiting import until


async def test_an_older_database_beside_a_newer_mark_is_told(start: Any, tmp_path: Path) -> None:
    path = tmp_path / "gatepost.db"
    await fill(start, 30)
    old = path.read_bytes()
    async with start() as run:
        seen = {run.store.reading_id(seq) for seq in await run.put_all(25)}
    path.write_bytes(old)
    async with start() as run:
        await until(lambda: not run.store.writer.waiting)
        (gap,) = await run.store.gaps()
        assert (gap["count"], gap["first"], gap["last"]) == (25, 31, 55)
        assert seen.isdisjoint(run.store.reading_id(seq) for seq in await run.put_all(25))
    for _ in range(2):  # and what followed that is compared again
        old = path.read_bytes()
        await fill(start, 7)
        path.write_bytes(old)
        async with start() as run:
            await until(lambda: not run.store.writer.waiting)
            assert (await run.store.gaps())[0]["count"] == 7


async def test_what_was_stored_before_an_earlier_loss_is_counted_too(start: Any, tmp_path: Path) -> None:
    path = tmp_path / "gatepost.db"
    await fill(start, 30)
    old = path.read_bytes()
    await fill(start, 25)
    path.write_bytes(old)
    async with start() as run:
        assert (await run.put_all(10))[0] > JUMP
        await until(lambda: not run.store.writer.waiting)
        stored = len(await run.store.database.read("reading_page", (0, FOREVER, 1000)))
    path.unlink()
    async with start() as run:
        assert 40 <= stored <= (await run.store.gaps())[0]["count"] <= stored + 25  # those were lost before


async def test_rows_that_an_older_copy_brings_back_hide_no_loss(start: Any, tmp_path: Path) -> None:
    path = tmp_path / "gatepost.db"
    await fill(start, 30)
    old = path.read_bytes()
    for number in (40, 20):  # a loss is told, then the copy from before it takes the place of the log
        await fill(start, number)
        path.unlink()
        async with start() as run:
            kept = len(await run.put_all(50))
        path.write_bytes(old)
        async with start() as run:
            assert "older" in run.store.loss or "shorter" in run.store.loss
            await until(lambda: not run.store.writer.waiting)
            told = (await run.store.gaps())[0]["count"]
            assert kept <= told <= kept + 5
        old = path.read_bytes()


async def test_a_copy_of_another_time_is_seen_although_it_is_longer(start: Any, tmp_path: Path) -> None:
    path, state = tmp_path / "gatepost.db", (tmp_path / "gatepost.db", tmp_path / "gatepost.db.mark")
    await fill(start, 10)
    before = [file.read_bytes() for file in state]
    await fill(start, 90)
    longer = path.read_bytes()
    for file, octets in zip(state, before, strict=True):
        file.write_bytes(octets)  # all of it is rolled back, which only the broker can know
    async with start() as run:
        assert not run.store.loss
        seen = {run.store.reading_id(seq) for seq in await run.put_all(20)}
    path.write_bytes(longer)
    async with start() as run:
        assert "not-of-its-mark" in run.store.loss
        await until(lambda: not run.store.writer.waiting)
        assert (await run.store.gaps())[0]["count"] == 20
        assert seen.isdisjoint(run.store.reading_id(seq) for seq in await run.put_all(20))


@pytest.mark.parametrize("idle", [1, 3])
async def test_starts_that_store_nothing_are_no_loss(start: Any, tmp_path: Path, idle: int) -> None:
    """A start that delivers, and stores nothing, is written down all the same."""
    await fill(start, 10)
    async with start() as run:
        run.store.backlog.position("a").settle(0, 0, FOREVER)
    for _ in range(idle):
        async with start() as run:
            assert not run.store.loss
    async with start() as run:
        assert not run.store.loss
        assert await run.put_all(1) == [11]
    path = tmp_path / "gatepost.db"
    before = path.read_bytes()
    await fill(start, 5)
    path.write_bytes(before)
    async with start() as run:
        assert "shorter" in run.store.loss


async def test_what_retention_removed_is_not_told_as_lost(start: Any, clock: Any, tmp_path: Path) -> None:
    path = tmp_path / "gatepost.db"
    for _ in range(3):
        async with start(rows=100) as run:
            run.store.backlog.position("a").settle(0, 0, FOREVER)
            clock.pass_seconds(8 * 86_400)
            await run.store.retention.once()
    async with start() as run:
        kept = len(await run.put_all(5))
        first = await run.store.queries.first()
    path.unlink()
    async with start() as run:
        assert first > 200
        await until(lambda: not run.store.writer.waiting)
        assert kept <= (await run.store.gaps())[0]["count"] <= kept + 1  # the newest row of before stayed


async def test_a_repair_beside_a_stopped_agent_is_compared_too(start: Any, tmp_path: Path) -> None:
    path = tmp_path / "gatepost.db"
    async with start(rows=3000) as run:
        run.store.backlog.position("a").settle(0, 0, FOREVER)
    spoil(path)
    report = repair(path)
    async with start() as run:
        assert "database-damaged" in run.store.loss
        await until(lambda: not run.store.writer.waiting)
        told = sum(gap["count"] for gap in await run.store.gaps())
        assert 0 < 3000 - report.rows <= told < 3000 - report.rows + 20
    async with start() as run:
        assert len(await run.store.gaps()) <= 2


async def test_a_series_has_one_number_in_every_copy_of_a_log(start: Any, tmp_path: Path) -> None:
    """So that an older write-ahead log beside a newer file gives no reading to another device."""
    numbers = []
    for devices in (["first", "second"], ["second", "first", "third"]):
        async with start(path=tmp_path / f"{len(devices)}.db") as run:
            for device in devices:
                await run.put_all(3, device=device)
            found = await run.store.queries.history(limit=100)
            numbers.append({run.store.series_of(record.series).device: record.series for record in found})
    assert numbers[1].pop("third")
    assert numbers[0] == numbers[1]


async def test_an_older_write_ahead_log_beside_a_newer_file_is_mended_and_told(start: Any, tmp_path: Path) -> None:
    path, wal = tmp_path / "gatepost.db", tmp_path / "gatepost.db-wal"
    async with start(finish=False) as run:
        await run.put_all(30, device="first")
        older = wal.read_bytes()
    async with start(finish=False) as run:
        for device in ("second", "third", "first") * 10:
            await run.put_all(30, device=device)
        await run.store.database.checkpoint("TRUNCATE")
        await run.put_all(5)
        left = {name: (tmp_path / name).read_bytes() for name in (path.name, f"{path.name}.mark")}
        stored = {(r.seq, run.store.series_of(r.series).device) for r in await run.store.queries.history(limit=5000)}
    for name, octets in left.items():
        (tmp_path / name).write_bytes(octets)
    wal.write_bytes(older)
    async with start() as run:
        assert run.store.loss
        kept = {
            (record.seq, run.store.series_of(record.series).device)
            for record in await run.store.queries.history(limit=5000)
            if record.seq < JUMP
        }
        assert kept <= stored
        await until(lambda: not run.store.writer.waiting)
        assert sum(gap["count"] for gap in await run.store.gaps()) >= len(stored - kept)


async def test_many_starts_fit_into_the_mark(start: Any, tmp_path: Path) -> None:
    path = tmp_path / "gatepost.db"
    for _ in range(MAX_STARTS + 5):
        async with start() as run:
            await run.put_all(2)
    mark = LogMarkFile(path).read()
    assert mark is not None
    assert len(mark.starts) == MAX_STARTS
    assert len(msgspec.json.encode(mark)) < 3000  # of 4096: numbers grow with each loss
    assert sum(rows.rows for rows in mark.starts) == 2 * (MAX_STARTS + 5)
    path.unlink()
    async with start() as run:
        await until(lambda: not run.store.writer.waiting)
        assert (await run.store.gaps())[0]["count"] == 2 * (MAX_STARTS + 5)


@pytest.mark.parametrize("running", [False, True])
async def test_delivered_readings_that_a_repair_could_not_save_are_counted(
    start: Any, tmp_path: Path, running: bool
) -> None:
    path = tmp_path / "gatepost.db"
    async with start(rows=3000) as run:
        run.store.backlog.position("a").settle(0, 0, 3001)
        if running:
            await run.store.database.checkpoint("TRUNCATE")
            spoil(path)
            with contextlib.suppress(StoreError):
                await run.store.queries.history(limit=100_000)
            await until(lambda: run.store.repairs == 1)
    if not running:
        spoil(path)
    async with start() as run:
        await until(lambda: not run.store.writer.waiting)
        with contextlib.suppress(StoreError):
            await run.store.queries.history(limit=100_000)
        await until(lambda: not run.store.losses.unstored)
        kept = [r for r in await run.store.queries.history(limit=100_000) if r.seq <= 3000]
        told = sum(gap["count"] for gap in await run.store.gaps(1000))
        assert 0 < 3000 - len(kept) <= told < 3000 - len(kept) + 20


def spoil(path: Path) -> None:
    """A stretch in the middle reads as zeros."""
    data = bytearray(path.read_bytes())
    at = len(data) // 2 // PAGE_SIZE * PAGE_SIZE
    data[at : at + 20 * PAGE_SIZE] = bytes(20 * PAGE_SIZE)
    path.write_bytes(data)


def test_the_mark_survives_a_torn_write(tmp_path: Path) -> None:
    file = LogMarkFile(tmp_path / "gatepost.db")
    for seq in (1, 2, 3):
        file.write(LogMark(seq=seq), durable=True)
    file.write(LogMark(seq=4), durable=False)
    assert LogMarkFile(tmp_path / "gatepost.db").read() == LogMark(seq=4, turn=3)
    whole = file.path.read_bytes()
    for at in (0, 4096):
        file.path.write_bytes(whole[:at] + b"x" * 100 + whole[at + 100 :])
        found = LogMarkFile(tmp_path / "gatepost.db").read()
        assert found is not None
        assert found.seq in (3, 4)
    file.path.write_bytes(whole[:300])
    assert LogMarkFile(tmp_path / "gatepost.db").read() in (LogMark(seq=3, turn=2), None)
    file.close()


async def test_the_mark_of_an_earlier_agent_is_read(start: Any, tmp_path: Path) -> None:
    """It was shorter, with zeros behind it, and counted in other words: nothing is told as lost for that."""
    await fill(start, 42)
    body = b'{"seq":42,"base":1,"runs":[],"older":0,"gone":0,"first":1,"epoch":"ab","command":0,"turn":5}'
    mark = (b"%08x %b" % (zlib.crc32(body), body)).ljust(512)
    file = LogMarkFile(tmp_path / "gatepost.db")
    file.path.write_bytes(mark.ljust(4096, b"\0") + bytes(4096))
    assert file.read() == LogMark(seq=42, turn=5)
    async with start() as run:
        assert run.store.loss == ""
        await run.put_all(3)
        assert await run.store.gaps() == []
