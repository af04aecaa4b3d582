"""A number that damage has changed inside a page hides no other row, from whoever reads, counts or deletes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from gatepost.agent.settings.model import StoreSettings
from gatepost.agent.store.damage.carve import _cells, _varint
from gatepost.agent.store.database import PAGE_SIZE
from gatepost.agent.store.model import URGENT
from gatepost.agent.store.ranges import FOREVER
from gatepost.agent.store.zone_map import ZONE_ROWS
from tests.store.conftest import Running, database, until

ROWS = ZONE_ROWS + 1500
CHANGED = [(5000, 16_300), (ZONE_ROWS + 700, 200)]  # a row's number into one beyond all others, or before all near


def renumber(path: Path, seq: int, other: int) -> None:
    """Give a row of the log another number, where it lies."""

    def change(page: bytearray, head: int, end: int) -> None:
        page[head:end] = bytes((other >> 7 | 0x80, other & 0x7F))

    change_cell(path, seq, change)


def make_urgent(path: Path, seq: int) -> None:
    """Flip a bit of a row, without the index of urgent rows."""

    def change(page: bytearray, _: int, end: int) -> None:
        length, *kinds = page[end : end + page[end]]
        at = end + length + sum((0, 1, 2, 3, 4, 6, 8)[kind] for kind in kinds[:4])
        assert kinds[4] == 1
        page[at] ^= URGENT

    change_cell(path, seq, change)


def change_cell(path: Path, seq: int, change: Callable[[bytearray, int, int], None]) -> None:
    """Of the page, and where the number of this row begins and ends. Raises AssertionError where there is none."""
    octets = bytearray(path.read_bytes())
    for start in range(PAGE_SIZE, len(octets), PAGE_SIZE):
        page = bytes(octets[start : start + PAGE_SIZE])
        for at in _cells(page, 0x0D):
            size, head = _varint(page, at)
            number, end = _varint(page, head)
            if number == seq and 25 < size < 60:  # a reading
                assert end - head == 2
                changed = bytearray(page)
                change(changed, head, end)
                octets[start : start + PAGE_SIZE] = changed
                path.write_bytes(octets)
                return
    raise AssertionError(f"no row {seq}")


async def fill(start: Any, path: Path, **kwargs: Any) -> None:
    async with start(**kwargs) as run:
        await run.put_all(ROWS)
    with database(path) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("SELECT count(*), max(seq) FROM reading").fetchone() == (ROWS, ROWS)


def values(records: Any) -> set[int]:
    return {orjson.loads(record.body).get("n", -1) for record in records} - {-1}


async def pages(run: Running, _: int = 0) -> set[int]:
    lo, found = 0, set()
    while page := await run.store.queries.page(0, lo, FOREVER, 500):
        found |= values(page)
        lo = page[-1].seq + 1
    return found


async def pages_that_end_there(run: Running, hit: int) -> set[int]:
    before = await run.store.queries.page(0, 0, FOREVER, hit - 1)
    found = values(before)
    return found | values(await run.store.queries.page(0, hit, FOREVER, 1)) | await pages(run)


async def one_row_a_page(run: Running, hit: int) -> set[int]:
    found, lo = values(await run.store.queries.page(0, 0, hit - 5, 10_000)), hit - 5
    while page := await run.store.queries.page(0, lo, hit + 5, 1):
        found |= values(page)
        lo = page[-1].seq + 1
    return found | values(await run.store.queries.page(0, hit + 5, FOREVER, 10_000))


async def newest_first(run: Running, _: int = 0, **wanted: Any) -> set[int]:
    found, before = set(), None
    while True:
        page = await run.store.queries.history(limit=1000, before=before, **wanted)
        found |= values(page)
        if page.cursor is None:
            return found
        before = page.cursor


async def of_a_device(run: Running, _: int = 0) -> set[int]:
    return await newest_first(run, device="d")


async def of_a_time(run: Running, _: int = 0) -> set[int]:
    return await newest_first(run, since=1)


async def oldest_first(run: Running, _: int = 0) -> set[int]:
    found, at = set(), None
    while True:
        page = await run.store.queries.history_onward(limit=1000, start=at, device="d")
        found |= values(page)
        if page.cursor is None:
            return found
        at = page.cursor


async def rows_by_stretches(run: Running, _: int = 0) -> set[int]:
    found = set()
    for lo in range(0, ROWS + 1, ZONE_ROWS):
        hi = min(lo + ZONE_ROWS, ROWS + 1)
        while lo < hi:
            records, hi = await run.store.queries.stretch(lo, hi)
            found |= values(records)
    return found


async def told(run: Running) -> set[str]:
    """The reasons of gap records, once there are any."""
    while not (gaps := await run.store.gaps()):
        await asyncio.sleep(0.01)
    return {gap["reason"] for gap in gaps}


def on_disk(run: Running, commit: int) -> bool:
    return run.store.writer.committed >= commit


READERS = (
    pages,
    pages_that_end_there,
    one_row_a_page,
    newest_first,
    of_a_device,
    of_a_time,
    oldest_first,
    rows_by_stretches,
)


@pytest.mark.parametrize(("hit", "other"), CHANGED)
@pytest.mark.parametrize("reader", READERS)
async def test_whoever_reads_gets_every_other_row(
    start: Any, tmp_path: Path, reader: Callable[[Running, int], Awaitable[set[int]]], hit: int, other: int
) -> None:
    path = tmp_path / "gatepost.db"
    await fill(start, path)
    renumber(path, hit, other)
    async with start() as run:
        found = await reader(run, hit)
        if run.store.repairs:  # what was read before the mend may be read again
            found |= await reader(run, hit)
        assert found == set(range(ROWS)) - {hit - 1}
        assert await told(run) & {"damaged-row", "damaged-database", "log-damaged"}


@pytest.mark.parametrize(("hit", "other"), CHANGED)
async def test_a_count_of_what_is_owed_misses_none(start: Any, tmp_path: Path, hit: int, other: int) -> None:
    path = tmp_path / "gatepost.db"
    await fill(start, path)
    renumber(path, hit, other)
    async with start() as run:
        [owed] = await run.store.backlog.undelivered()
        assert owed["readings"] >= ROWS - 1
        assert await run.store.queries.first() == 1


@pytest.mark.parametrize("hit", [1, ROWS])
async def test_the_first_and_the_last_row_are_no_end_either(start: Any, tmp_path: Path, hit: int) -> None:
    path = tmp_path / "gatepost.db"
    await fill(start, path)
    if hit == 1:
        with database(path) as db:
            db.execute("DELETE FROM reading WHERE seq < 128")
        hit = 128
    renumber(path, hit, 16_300 if hit == 128 else 200)
    async with start() as run:
        assert await run.store.queries.first() in (129, 1)
        assert len(await pages(run)) >= ROWS - 128
        assert run.put(0) > ROWS


async def test_retention_takes_no_row_for_old_that_stands_behind_one(start: Any, tmp_path: Path, clock: Any) -> None:
    path = tmp_path / "gatepost.db"
    keep = StoreSettings(commit_interval=0.0, keep=1000)
    async with start(brokers=(), rows=600) as run:
        clock.pass_seconds(900)
        await run.put_all(ROWS - 600)
    renumber(path, 300, ROWS - 100)  # an old row has the number of a young one
    clock.pass_seconds(200)
    async with start(keep, brokers=()) as run:
        await until(lambda: run.store.repairs)
        await run.store.retention.once()
        with database(path) as db:
            assert db.execute("SELECT min(seq), count(*) FROM reading WHERE seq <= ?", (ROWS,)).fetchone() == (
                601,
                ROWS - 600,
            )


async def test_a_damaged_time_makes_nothing_old(start: Any, tmp_path: Path, clock: Any) -> None:
    path = tmp_path / "gatepost.db"
    clock.pass_seconds(5000)
    keep = StoreSettings(commit_interval=0.0, keep=1000)
    async with start(brokers=(), rows=50) as run:
        clock.pass_seconds(1100)
        await run.put_all(550)
    with database(path) as db:
        db.execute("UPDATE reading SET mono = 0 WHERE seq IN (1, 300, 301)")
    async with start(keep, brokers=()) as run:
        await run.store.retention.once()
        with database(path) as db:
            assert db.execute("SELECT min(seq), count(*) FROM reading WHERE seq <= 600").fetchone() == (51, 550)


async def test_a_time_that_damage_makes_a_text_hides_no_other_row(start: Any, tmp_path: Path) -> None:
    path = tmp_path / "gatepost.db"
    await fill(start, path)
    with database(path) as db:
        db.execute("UPDATE reading SET wall = 'x', mono = x'41' WHERE seq = 5000")
    async with start() as run:
        assert await of_a_time(run) == set(range(ROWS)) - {4999}
        assert await told(run)


@pytest.mark.parametrize("other", [16_300, 200])
async def test_what_makes_room_is_told_to_the_last_row(start: Any, tmp_path: Path, other: int) -> None:
    path = tmp_path / "gatepost.db"
    await fill(start, path)
    renumber(path, 5000, other)
    size = path.stat().st_size
    async with start(StoreSettings(commit_interval=0.0, max_size=size // 4)) as run:
        await until(lambda: run.store.repairs)
        await run.store.retention.once()
        await until(lambda: not run.store.writer.waiting)
        left = await newest_first(run)
        told = sum(gap["count"] for gap in await run.store.gaps(1000))
        assert told >= ROWS - len(left) > ROWS // 2


async def test_a_row_that_damage_makes_urgent_is_told(start: Any, tmp_path: Path) -> None:
    path = tmp_path / "gatepost.db"
    await fill(start, path)
    make_urgent(path, 5000)
    async with start() as run:
        assert await pages(run) == set(range(ROWS)) - {4999}
        assert await told(run) == {"damaged-row"}


async def test_what_was_delivered_is_not_written_before_the_damaged_row_between(start: Any, tmp_path: Path) -> None:
    path, killed = tmp_path / "gatepost.db", tmp_path / "killed" / "gatepost.db"
    await fill(start, path)
    for seq in (4000, 6000):
        make_urgent(path, seq)
    async with start() as run:
        position = run.store.backlog.position("a")
        for lo in (1, 5000):  # the second one is found when the first has just been told
            await run.store.queries.page(0, lo, lo + 4000, 10_000)
            await told(run)
            position.settle(0, 0, lo + 3999)
            run.store.pending.save_now()
            commit = run.store.writer.note("next", b"1")
            await until(partial(on_disk, run, commit))
        killed.parent.mkdir()
        for suffix in ("", "-wal", ".mark"):
            (killed.parent / f"gatepost.db{suffix}").write_bytes(path.with_name(f"gatepost.db{suffix}").read_bytes())
    async with start(path=killed) as run:
        assert sum(gap["count"] for gap in await run.store.gaps()) == 2
