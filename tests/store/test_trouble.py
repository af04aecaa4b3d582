"""A full disk, a read-only disk, flipped bytes: said clearly, and the rest goes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from gatepost.agent.core.errors import StateDirInUse, StoreError
from gatepost.agent.process import state_dir_lock
from gatepost.agent.settings.model import StoreSettings
from gatepost.agent.store import check, disk_watch, repair
from gatepost.agent.store.database import PAGE_SIZE
from gatepost.agent.store.model import whole_body
from gatepost.agent.store.ranges import FOREVER
from tests.store.conftest import database
from tests.support.waiting import until


def fill_up(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4096):
            pass


async def test_a_full_disk_stops_storing_and_storing_goes_on_when_space_returns(
    start: Any, small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with start(StoreSettings(commit_interval=0.0), path=small_disk / "gatepost.db", rows=10) as run:
        ballast = small_disk / "ballast"
        fill_up(ballast)
        taken = 0
        async with asyncio.timeout(30):
            while "disk is full" not in run.store.state:
                if run.put(taken, body=b'{"n":%d,"pad":"%s"}' % (taken, b"x" * 500)):
                    taken += 1
                await asyncio.sleep(0)
        waiting = run.store.writer.next_seq - 1
        ballast.unlink()
        await asyncio.wait_for(run.store.stored(waiting), 30)
        await run.store.retention.once()
        assert run.store.state == "ok"
        dropped = sum(gap["count"] for gap in await run.store.gaps(1000))
        assert len(await run.store.queries.history(limit=100_000)) + dropped == 10 + taken
    assert any("nothing can be stored" in record.message for record in caplog.records)


async def test_a_read_only_file_is_explained_and_readings_wait(start: Any, tmp_path: Path) -> None:
    async with start(rows=3) as run:
        await run.store.database._writer.execute("PRAGMA query_only = ON")  # what EROFS does to the next write
        seq = run.put(4)
        await until(lambda: run.store.state != "ok")
        assert "read-only" in run.store.state
        assert len(await run.store.queries.history(limit=10)) == 3  # reading goes on
        await run.store.database._writer.execute("PRAGMA query_only = OFF")
        await asyncio.wait_for(run.store.stored(seq), 15)


async def test_a_directory_that_cannot_be_written_is_a_clear_error(start: Any, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened") as caught:
        async with start(path=tmp_path / "missing" / "gatepost.db"):
            pass
    assert "state directory" in caught.value.hint


def set_aside(place: Path) -> list[Path]:
    return list(place.glob("gatepost.db.damaged-*"))


def flip(path: Path, start: int, count: int, seed: int = 1) -> None:
    rng = random.Random(seed)
    data = bytearray(path.read_bytes())
    for _ in range(count):
        at = rng.randrange(start, len(data))
        data[at] ^= 1 << rng.randrange(8)
    path.write_bytes(bytes(data))


async def fill(start: Any, count: int = 3000) -> str:
    async with start(rows=count) as run:
        return str(run.store.reading_id(1))


async def test_a_flipped_bit_in_a_reading_is_found_and_left_out(start: Any, tmp_path: Path) -> None:
    await fill(start, 50)
    path = tmp_path / "gatepost.db"
    data = path.read_bytes()
    path.write_bytes(data.replace(b'n":7', b'n":8'))
    report = check(path)
    assert not report.healthy
    assert report.damaged == 1
    async with start() as run:
        page = await run.store.queries.page(0, 0, FOREVER, 100)
        assert len(page) == 49
        await until(lambda: run.store.head > 50)
        assert (await run.store.gaps())[0]["reason"] == "damaged-row"


@pytest.mark.parametrize("owed", [True, False])
async def test_rows_whose_part_of_a_page_is_zeros_are_told(start: Any, tmp_path: Path, owed: bool) -> None:
    async with start(rows=300) as run:
        if not owed:
            run.store.backlog.position("a").settle(0, 0, 301)
    path = tmp_path / "gatepost.db"
    data = bytearray(path.read_bytes())
    leaf = data.index(b'n":100') // PAGE_SIZE * PAGE_SIZE
    assert data[leaf] == 0x0D
    data[leaf + PAGE_SIZE - 400 : leaf + PAGE_SIZE] = bytes(400)  # SQLite takes them for rows without a number
    path.write_bytes(bytes(data))
    async with start() as run:
        if owed:
            await run.store.queries.page(0, 0, FOREVER, 1000)
        kept = await run.numbers()
        assert len(kept) < 295
        await until(lambda: run.store.repairs)

        async def told() -> int:
            return sum(gap["count"] for gap in await run.store.gaps())

        async with asyncio.timeout(20):
            while await told() < 300 - len(kept):
                await asyncio.sleep(0.01)
    assert check(path).healthy


async def test_a_damaged_header_is_quarantined_and_the_agent_starts(start: Any, tmp_path: Path) -> None:
    await fill(start, 100)
    path = tmp_path / "gatepost.db"
    data = bytearray(path.read_bytes())
    data[:100] = bytes(100)
    path.write_bytes(bytes(data))
    async with start() as run:
        assert run.put(1)
        await until(lambda: run.store.head > 0 and run.store.repairs == 1)
    assert set_aside(tmp_path)


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_bytes_flip_the_agent_starts_and_no_id_is_given_twice(
    start: Any, tmp_path: Path, seed: int
) -> None:
    await fill(start)
    path = tmp_path / "gatepost.db"
    with database(path) as db:
        rows = db.execute("SELECT seq, bits, body FROM reading").fetchall()
    pristine = {seq: whole_body(bits, body) for seq, bits, body in rows}
    flip(path, 100, 300, seed)
    async with start() as run:
        await asyncio.wait_for(run.store.stored(run.put(1)), 10)
        lo, seen = 0, 0
        while page := await run.store.queries.page(0, lo, FOREVER, 500):
            lo = page[-1].seq + 1
            for record in page:
                if record.seq in pristine:
                    seen += pristine[record.seq] == record.body
        stored = run.put(2)
        await asyncio.wait_for(run.store.stored(stored), 10)
        assert stored not in pristine
        if run.store.repairs:
            assert stored > 1_000_000_000
            assert set_aside(tmp_path)
        assert seen > 0


@pytest.mark.parametrize("into", [0, 512])  # the beginning of a page, and its middle: its head says nothing then
async def test_damage_under_a_running_agent_is_mended_and_nothing_in_memory_is_lost(
    start: Any, tmp_path: Path, into: int
) -> None:
    async with start() as run:
        seqs = await run.put_all(30_000)  # more than the page cache holds
        await run.store.database.checkpoint("TRUNCATE")
        path = tmp_path / "gatepost.db"
        with path.open("r+b") as file:  # pages in the middle become garbage under the open connections
            file.seek(path.stat().st_size // 2 // 4096 * 4096 + into)
            file.write(os.urandom(20_480 - into))
        lo, kept = 0, []
        while page := await run.store.queries.page(0, lo, FOREVER, 500):
            lo = page[-1].seq + 1
            kept += [record.seq for record in page]
        again = run.put(1)
        await asyncio.wait_for(run.store.stored(again), 20)
        assert run.store.repairs == 1
        assert 20_000 < len(set(kept) & set(seqs)) < 30_000
        assert again in {record.seq for record in await run.store.queries.history(limit=10)}
        lost = [gap for gap in await run.store.gaps() if gap["reason"] == "damaged-database"]
        await until(lambda: run.store.writer.waiting == 0)
    report = check(tmp_path / "gatepost.db")
    assert report.healthy, report.problems
    assert lost or (await _gaps_after(start))


async def _gaps_after(start: Any) -> list[dict[str, Any]]:
    async with start() as run:
        return [gap for gap in await run.store.gaps() if gap["reason"] == "damaged-database"]


async def test_repair_from_the_command_line_keeps_what_can_be_read(start: Any, tmp_path: Path) -> None:
    first_id = await fill(start)
    path = tmp_path / "gatepost.db"
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 8_000)
    assert not check(path).healthy
    report = repair(path)
    assert report.rows > 1000
    assert report.lost > 0
    assert len(set_aside(tmp_path)) >= 1
    assert check(path).healthy
    async with start() as run:
        assert run.store.reading_id(1) == first_id
        assert run.put(1) > 1_000_000_000


def test_a_healthy_file_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "gatepost.db"

    async def fill_it() -> None:
        from gatepost.agent.core.events import EventBus
        from gatepost.agent.store import Store
        from tests.store.conftest import LoopClock

        store = await Store.open(path, "gw", StoreSettings(), LoopClock(), EventBus())
        await store.close()

    asyncio.run(fill_it())
    before = path.read_bytes()
    mode = stat.S_IMODE(path.stat().st_mode)
    copy = tmp_path / "copy.db"
    shutil.copy(path, copy)
    assert repair(copy).healthy
    assert copy.read_bytes() == before
    assert stat.S_IMODE(copy.stat().st_mode) == mode


async def test_a_file_system_that_turned_read_only_is_noticed_though_nothing_is_stored(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start() as run:
        told = list[str]()
        run.store.on_condition.append(lambda: told.append(run.store.condition))
        flags = [os.ST_RDONLY]
        monkeypatch.setattr(disk_watch, "INTERVAL", 0.01)
        monkeypatch.setattr(
            disk_watch.os, "statvfs", lambda path: os.statvfs_result((4096, 4096, 9, 9, 9, 9, 9, 9, flags[0], 255))
        )
        watch = asyncio.create_task(run.store.disk.run())
        await until(lambda: run.store.state == disk_watch.READ_ONLY)
        await until(lambda: told == [disk_watch.READ_ONLY])
        flags[0] = 0
        await until(lambda: run.store.state == "ok")
        await until(lambda: told == [disk_watch.READ_ONLY, ""])
        watch.cancel()


async def test_a_disk_without_room_for_the_files_of_the_log_is_not_called_read_only(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one that has no inodes left when the agent starts."""
    async with start() as run:
        run.store.database.read_only = True
        monkeypatch.setattr(run.store.disk, "_reopen", refused)
        await run.store.disk.look()
        assert run.store.disk.trouble == disk_watch.NOT_WRITABLE
        assert disk_watch.DiskWatch(run.store.database, refused, refused, str, str).trouble == disk_watch.NOT_WRITABLE
        run.store.database.read_only = False


async def test_a_state_directory_that_is_anothers_by_now_is_told_and_its_files_stay(start: Any) -> None:
    async with start() as run:
        disk, place = run.store.disk, run.store.path.parent
        with state_dir_lock.take(place) as disk.lock:
            (place / state_dir_lock.NAME).unlink()
            run.store.path.unlink()
            with state_dir_lock.take(place):
                await disk.look()
                assert "Another agent uses the state directory" in run.store.state
                assert not run.store.path.exists()
            await disk.look()
            assert run.store.path.exists()
            assert run.store.state == "ok"
            with pytest.raises(StateDirInUse):
                state_dir_lock.take(place)


async def refused() -> bool:
    raise StoreError("no room", "")


async def test_the_loop_is_left_alone_while_the_disk_is_well_and_told_what_others_notice(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start() as run:
        disk, told, looked, by_loop = run.store.disk, list[str](), list[int](), list[int]()
        run.store.on_condition.append(lambda: told.append(run.store.condition))
        monkeypatch.setattr(disk_watch, "INTERVAL", 0.001)
        see, look = disk._see, disk.look

        def seeing() -> tuple[bool, bool]:
            looked.append(1)
            return bool(see()[0]), True

        async def looking() -> None:
            by_loop.append(1)
            await look()

        monkeypatch.setattr(disk, "_see", seeing)
        monkeypatch.setattr(disk, "look", looking)
        watch = asyncio.create_task(disk.run())
        await until(lambda: len(looked) > 20)
        assert not by_loop
        run.store.losses.notice = "readings may be missing"
        await until(lambda: told == ["readings may be missing"])
        run.store.losses.notice = ""
        await until(lambda: told == ["readings may be missing", ""])
        watch.cancel()


async def test_a_disk_that_does_not_answer_is_told_though_it_holds_the_thread_that_looks(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start() as run:
        answer, seen = threading.Event(), os.statvfs(run.store.path.parent)

        def statvfs(_: Path) -> os.statvfs_result:
            answer.wait(30)
            return seen

        monkeypatch.setattr(disk_watch, "INTERVAL", 0.01)
        monkeypatch.setattr(disk_watch, "TIMEOUT", 0.02)
        monkeypatch.setattr(disk_watch, "THREAD_PATIENCE", 0.02)
        monkeypatch.setattr(disk_watch.os, "statvfs", statvfs)
        watch = asyncio.create_task(run.store.disk.run())
        await until(lambda: run.store.state == disk_watch.SILENT)
        answer.set()
        await until(lambda: run.store.state == "ok")
        watch.cancel()
