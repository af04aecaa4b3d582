"""Loss of stored rows: a rolled-back, cut or removed log is told, and gives no id twice."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import msgspec
import pytest

from gatepost.agent.core.clock import US
from gatepost.agent.core.errors import StoreError
from gatepost.agent.store.command_ledger import LedgerEntry
from gatepost.agent.store.damage.log_mark import SUFFIX, LogMarkFile
from gatepost.agent.store.damage.loss_check import LossCheck
from gatepost.agent.store.damage.loss_watch import LossWatch
from gatepost.agent.store.damage.salvage import JUMP, salvage
from gatepost.agent.store.database import PAGE_SIZE
from gatepost.agent.store.disk_watch import READ_ONLY
from tests.store.conftest import database, fill
from tests.store.test_trouble import fill_up
from tests.support.waiting import until

FRAME = 24 + PAGE_SIZE


async def killed(start: Any, place: Path, before: int = 40, after: int = 60) -> tuple[Path, list[str]]:
    """A state directory as kill -9 leaves it: `before` rows in the file, `after` more in the write-ahead log."""
    left = place / "left"
    left.mkdir(exist_ok=True)
    async with start(finish=False) as run:
        seqs = await run.put_all(before)
        await run.store.database.checkpoint("TRUNCATE")
        for _ in range(after):
            seqs += await run.put_all(1)
        for name in ("gatepost.db", "gatepost.db-wal", "gatepost.db-shm", "gatepost.db.mark"):
            shutil.copy(place / name, left / name)
        return left / "gatepost.db", [run.store.reading_id(seq) for seq in seqs]


def wal_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def mark_of(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


def flip_frame(number: int) -> Callable[[Path], None]:
    def flip(path: Path) -> None:
        data = bytearray(wal_of(path).read_bytes())
        at = 32 + number * FRAME + 24 + 700
        data[at] ^= 4
        wal_of(path).write_bytes(data)

    return flip


def flip_header(path: Path) -> None:
    data = bytearray(wal_of(path).read_bytes())
    data[17] ^= 1
    wal_of(path).write_bytes(data)


def cut_wal(path: Path) -> None:
    with wal_of(path).open("r+b") as file:
        file.truncate(wal_of(path).stat().st_size // 2)


def drop_all(path: Path) -> None:
    path.unlink()
    wal_of(path).unlink()


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "a flipped bit": flip_frame(5),
    "one in its first frame": flip_frame(0),
    "one in its header": flip_header,
    "half of it": cut_wal,
    "none of it": lambda path: wal_of(path).unlink(),
    "an empty one": lambda path: wal_of(path).write_bytes(b""),
    "no database": lambda path: path.unlink(),
    "neither": drop_all,
}


@pytest.mark.parametrize("kind", DAMAGE)
async def test_a_damaged_write_ahead_log_is_told_and_gives_no_id_twice(start: Any, tmp_path: Path, kind: str) -> None:
    path, ids = await killed(start, tmp_path)
    DAMAGE[kind](path)
    async with start(path=path) as run:
        store = run.store
        kept = {store.reading_id(record.seq) for record in await store.queries.history(limit=1000) if record.seq < JUMP}
        missing = len(set(ids) - kept)
        assert "may be missing" in store.loss
        await until(lambda: not store.writer.waiting)
        gaps = await store.gaps()
        assert sum(gap["count"] for gap in gaps) >= missing
        if missing:
            assert gaps[0]["reason"] == "log-damaged"
        new = {store.reading_id(seq) for seq in await run.put_all(50)}
        assert new.isdisjoint(ids)
        loss = store.loss
    async with start(path=path) as run:  # told until somebody has seen it, and counted once
        assert run.store.loss == loss
        assert len(await run.store.gaps()) == len(gaps)
        await run.store.loss_seen()
        assert run.store.loss == ""
    async with start(path=path) as run:
        assert run.store.loss == ""


@pytest.mark.parametrize("starts", [1, 2])
async def test_a_start_that_is_cut_off_loses_nothing_behind_a_flipped_bit(
    start: Any, tmp_path: Path, starts: int
) -> None:
    path, ids = await killed(start, tmp_path)
    flip_frame(20)(path)
    for _ in range(starts):
        LossCheck(path, LogMarkFile(path)).look()  # as far as it came: SQLite has removed the write-ahead log
    async with start(path=path) as run:
        assert "write-ahead-log-damaged" in run.store.loss
        kept = [run.store.reading_id(r.seq) for r in await run.store.queries.history(limit=1000) if r.seq < JUMP]
        assert len(set(ids) & set(kept)) >= len(ids) - 2
    assert not path.with_name(path.name + ".wal-tail").exists()


@pytest.mark.parametrize(("kind", "gaps"), [("a flipped bit", 0), ("half of it", 1)])
async def test_a_start_that_is_cut_off_behind_the_telling_tells_it_once(
    start: Any, tmp_path: Path, kind: str, gaps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = await killed(start, tmp_path)
    DAMAGE[kind](path)
    with monkeypatch.context() as patch:
        patch.setattr(LossWatch, "started", AsyncMock(side_effect=OSError(5, "cut off")))
        with pytest.raises(StoreError):
            async with start(path=path):
                pass
    async with start(path=path) as run:
        assert "may be missing" in run.store.loss
        assert len(await run.store.gaps()) == gaps


async def test_a_start_that_is_cut_off_after_a_kill_is_no_loss(start: Any, tmp_path: Path) -> None:
    path, ids = await killed(start, tmp_path)
    LossCheck(path, LogMarkFile(path)).look()
    assert not wal_of(path).exists()
    async with start(path=path) as run:
        assert run.store.loss == ""
        assert run.put(1) == len(ids) + 1


@pytest.mark.parametrize("told", [True, False])
async def test_a_last_transaction_torn_by_a_power_cut_is_a_loss_only_if_it_was_told_as_stored(
    start: Any, tmp_path: Path, told: bool
) -> None:
    path, ids = await killed(start, tmp_path)
    data = bytearray(wal_of(path).read_bytes())
    commits = [at for at in range(32, len(data) - FRAME + 1, FRAME) if data[at + 4 : at + 8] != bytes(4)]
    data[commits[-2] + FRAME + 24 + 100] ^= 1  # in the first frame of the last transaction
    wal_of(path).write_bytes(bytes(data))
    if not told:
        file = LogMarkFile(path)
        mark = file.read()
        assert mark is not None
        file.write(msgspec.structs.replace(mark, seq=len(ids) - 1), durable=True)
    async with start(path=path) as run:
        assert ("write-ahead-log-damaged" in run.store.loss) == told
        kept = {run.store.reading_id(record.seq) for record in await run.store.queries.history(limit=1000)}
        assert not told or set(ids) <= kept  # its other frames held it


@pytest.mark.parametrize("kind", ["a flipped bit", "half of it", "none of it", "nothing"])
async def test_what_a_start_on_a_read_only_disk_cannot_compare_is_compared_when_it_can_be_written(
    start: Any, tmp_path: Path, small_disk: Path, kind: str
) -> None:
    def remount(option: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{option}", small_disk], check=True)

    left, ids = await killed(start, tmp_path)
    path = shutil.copytree(left.parent, small_disk / "state") / left.name
    DAMAGE.get(kind, lambda _: None)(path)
    remount("ro")
    before = mark_of(path).read_bytes()
    async with start(path=path) as run:
        store = run.store
        assert store.failing == READ_ONLY
        seqs = [run.put(value) for value in range(5)]
        assert mark_of(path).read_bytes() == before
        remount("rw")
        await store.disk.look()
        await store.stored(seqs[-1])
        await until(lambda: not store.failing)
        assert bool(store.loss) == (kind != "nothing")
        kept = {store.reading_id(record.seq) for record in await store.queries.history(limit=1000)}
        new = {store.reading_id(seq) for seq in seqs}
        assert new <= kept
        assert new.isdisjoint(ids)
        missing = len(set(ids) - kept)
        assert sum(gap["count"] for gap in await store.gaps()) >= missing
        assert missing <= {"a flipped bit": 2, "nothing": 0}.get(kind, 100)
        assert kept <= new | set(ids)
    async with start(path=path) as run:
        assert bool(run.store.loss) == (kind != "nothing")
        assert {run.store.reading_id(record.seq) for record in await run.store.queries.history(limit=1000)} == kept


async def test_what_stands_behind_a_flipped_bit_is_put_back_with_its_ids(start: Any, tmp_path: Path) -> None:
    path, ids = await killed(start, tmp_path)
    flip_frame(20)(path)
    async with start(path=path) as run:
        kept = [run.store.reading_id(r.seq) for r in await run.store.queries.history(limit=1000) if r.seq < JUMP]
        assert len(set(ids) & set(kept)) >= len(ids) - 2
        assert set(kept) <= set(ids)


async def test_what_is_put_back_of_a_start_that_was_lost_itself_is_not_told_as_missing(
    start: Any, tmp_path: Path
) -> None:
    path, left = tmp_path / "gatepost.db", tmp_path / "left"
    left.mkdir()
    await fill(start, 20)
    async with start(finish=False) as run:
        for _ in range(30):
            await run.put_all(1)
        ids = {run.store.reading_id(record.seq) for record in await run.store.queries.history(limit=1000)}
        for file in (path, wal_of(path), mark_of(path)):
            shutil.copy(file, left / file.name)
    flip_frame(0)(left / path.name)
    async with start(path=left / path.name) as run:
        kept = {run.store.reading_id(r.seq) for r in await run.store.queries.history(limit=1000) if r.seq < JUMP}
        assert len(kept) >= 45
        assert sum(gap["count"] for gap in await run.store.gaps()) == len(ids - kept)


async def test_a_kill_alone_is_no_loss(start: Any, tmp_path: Path) -> None:
    path, ids = await killed(start, tmp_path)
    async with start(path=path) as run:
        assert run.store.loss == ""
        assert await run.store.gaps() == []
        assert [run.store.reading_id(seq) for seq in range(1, len(ids) + 1)] == ids
        assert run.put(1) == len(ids) + 1


@pytest.mark.parametrize("cut", [0, 1, 12, 30, 1000, 1048])
async def test_a_transaction_that_was_never_finished_is_no_loss(start: Any, tmp_path: Path, cut: int) -> None:
    path, ids = await killed(start, tmp_path)
    data = wal_of(path).read_bytes()
    frame = data[-FRAME:]
    unfinished = frame[:4] + bytes(4) + frame[8:]
    wal_of(path).write_bytes(data + unfinished[:cut])
    async with start(path=path) as run:
        assert run.store.loss == ""
        assert run.put(1) == len(ids) + 1


async def test_a_reading_whose_series_is_gone_is_not_put_back_as_one_of_another_device(
    start: Any, tmp_path: Path
) -> None:
    left = tmp_path / "left"
    left.mkdir()
    async with start(finish=False) as run:
        await run.store.database.checkpoint("TRUNCATE")
        for value in range(20):
            await run.store.stored(run.put(value, "first"))
        for name in ("gatepost.db", "gatepost.db-wal", "gatepost.db.mark"):
            shutil.copy(tmp_path / name, left / name)
    path = left / "gatepost.db"
    data = bytearray(wal_of(path).read_bytes())
    for at in range(32, len(data) - FRAME + 1, FRAME):
        if b"first" in data[at : at + FRAME]:
            data[at + 24 : at + FRAME] = bytes(PAGE_SIZE)
    wal_of(path).write_bytes(bytes(data))
    async with start(path=path) as run:
        await run.store.stored(run.put(100, "other"))
        kept = await run.store.queries.history(limit=1000)
        assert [run.store.series_of(record.series).device for record in kept] == ["other"]
        assert (await run.store.gaps())[0]["count"] >= 20


async def test_a_mark_that_is_gone_is_told(start: Any, tmp_path: Path) -> None:
    await fill(start, 3)
    (tmp_path / "gatepost.db.mark").unlink()
    async with start() as run:
        assert "mark-missing" in run.store.loss
        assert run.put(1) > 3


async def test_a_mark_that_cannot_be_read_ends_no_start(start: Any, tmp_path: Path) -> None:
    await fill(start, 3)
    mark = tmp_path / "gatepost.db.mark"
    mark.unlink()
    mark.mkdir()
    async with start() as run:
        assert "mark-missing" in run.store.loss
        assert run.put(1) > 3


async def test_what_an_orderly_stop_could_not_store_is_a_gap(start: Any, tmp_path: Path) -> None:
    async with start(finish=False, rows=3) as run:
        await run.store.database._writer.execute("PRAGMA query_only = ON")
        for value in range(1900):
            assert run.put(value)
        run.store.lost("d", 5, "queue-full")
        await until(lambda: run.store.state != "ok")
        await run.store.database._writer.execute("PRAGMA query_only = OFF")  # what is left is told by the mark
        for task in run.tasks:
            task.cancel()
    for _ in range(2):
        async with start() as run:
            await until(lambda: run.store.losses.unstored == 0)
            (gap,) = await run.store.gaps()
            assert (gap["count"], gap["reason"]) == (1905, "stopped-unstored")


async def test_what_was_issued_before_a_rollback_of_the_ledger_is_known(start: Any, clock: Any, tmp_path: Path) -> None:
    path = tmp_path / "gatepost.db"
    await fill(start, 1)
    old = path.read_bytes()
    async with start() as run:
        clock.wall += 60 * US
        assert await run.store.ledger.begin(LedgerEntry("c-1", "d", "mqtt:a", "tare", b""), clock.now())
        assert run.store.ledger.horizon == 0
    path.write_bytes(old)
    for _ in range(2):
        async with start() as run:
            assert "commands-missing" in run.store.loss
            assert run.store.ledger.horizon >= clock.wall - 1


async def test_a_command_that_is_dated_back_is_no_loss(start: Any, clock: Any) -> None:
    """A repeat without a time of its own, from a box whose clock began anew behind a power cut."""
    twice = LedgerEntry("digest", "d", "mqtt:a", "read_now", b"", floating=True)
    async with start() as run:
        await run.put_all(1)
        assert await run.store.ledger.begin(twice, clock.now())
        await run.store.ledger.finish("digest", "done", clock.now().wall, b"{}")
    async with start() as run:
        clock.wall -= 3600 * US
        assert await run.store.ledger.begin(twice, clock.now(), window=60 * US)
    async with start() as run:
        assert not run.store.loss


async def test_a_repair_that_the_mark_knows_hides_no_later_loss(start: Any, tmp_path: Path) -> None:
    path = tmp_path / "gatepost.db"
    await fill(start, 300)
    with database(path) as db:
        db.execute("DELETE FROM reading WHERE seq <= 200")
    db.close()
    salvage(path)  # 200 owed readings are lost, and told
    async with start(finish=False) as run:
        told = await run.store.gaps()
        assert sum(gap["count"] for gap in told) >= 200
        repaired = path.read_bytes()  # that it was compared is in the write-ahead log alone
        await run.put_all(150)
        mark = mark_of(path).read_bytes()
    path.write_bytes(repaired)
    mark_of(path).write_bytes(mark)
    async with start() as run:
        again = [gap["count"] for gap in await run.store.gaps() if gap["reason"] == "log-damaged"]
        assert sum(again) >= 150


@pytest.mark.parametrize("option", ["ro", "full"])
async def test_without_a_log_readings_wait_until_one_can_be_made(start: Any, small_disk: Path, option: str) -> None:
    path, ballast = small_disk / "gatepost.db", small_disk / "ballast"

    def change(to: str) -> None:
        if option == "full":
            fill_up(ballast) if to == "ro" else ballast.unlink()
        else:
            subprocess.run(["mount", "-o", f"remount,{to}", small_disk], check=True)

    change("ro")
    async with start(path=path) as run:
        store = run.store
        assert store.failing
        seqs = [run.put(value) for value in range(5)]
        assert await store.gaps() == []
        assert await store.queries.history() == []
        with pytest.raises(StoreError):
            await store.key_value.put("x", 1)
        change("rw")
        await store.disk.look()
        await store.stored(seqs[-1])
        await until(lambda: not store.failing)
        ids = {store.reading_id(seq) for seq in seqs}
    async with start(path=path) as run:
        assert not run.store.loss
        assert {run.store.reading_id(record.seq) for record in await run.store.queries.history()} == ids
