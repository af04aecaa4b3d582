"""Files of another history of the log: what they bring hides no loss, and gives no id twice."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from gatepost.agent.store import check
from gatepost.agent.store.damage.log_mark import LogMark, LogMarkFile, StartRows
from gatepost.agent.store.damage.loss_check import LossCheck
from gatepost.agent.store.damage.salvage import JUMP, salvage
from gatepost.agent.store.damage.wal_generation import GenerationWatch, find_mismatch
from gatepost.agent.store.database import PRAGMAS, corrupt
from gatepost.agent.store.start_epochs import start_row
from tests.store.conftest import database, fill
from tests.store.test_loss import mark_of, wal_of


async def test_what_an_older_copy_brings_back_hides_no_loss_where_the_starts_were_lost_meanwhile(
    start: Any, tmp_path: Path
) -> None:
    path, older = tmp_path / "gatepost.db", tmp_path / "older.db"
    await fill(start, 100)
    shutil.copy(path, older)
    await fill(start, 80)
    with database(path) as db:
        db.execute("DELETE FROM reading WHERE seq <= 90")
        db.execute("DELETE FROM series")
    db.close()
    salvage(path)  # without series it draws other epochs, so all starts are one
    async with start() as run:
        before = sum(gap["count"] for gap in await run.store.gaps())
        assert before >= 90
        await run.put_all(1)
    shutil.copy(older, path)
    async with start() as run:
        gone = [gap["count"] for gap in await run.store.gaps()]
        assert sum(gone) >= 80


@pytest.mark.parametrize("newest", ["in the file", "in the write-ahead log"])
@pytest.mark.parametrize("length", [20, 400])
async def test_a_write_ahead_log_of_another_history_gives_no_row_the_id_of_another(
    start: Any, tmp_path: Path, length: int, newest: str
) -> None:
    path, older = tmp_path / "gatepost.db", tmp_path / "older"
    older.mkdir()
    await fill(start, 5)
    shutil.copy(path, older / path.name)
    shutil.copy(mark_of(path), older / mark_of(path).name)
    async with start(finish=False) as run:
        for _ in range(length):
            await run.put_all(1, device="first")
        shutil.copy(wal_of(path), older / wal_of(path).name)
        first = {run.store.reading_id(record.seq) for record in await run.store.queries.history(device="first")}
    for file in (path, mark_of(path)):  # the directory comes back as it was
        shutil.copy(older / file.name, file)
    wal_of(path).unlink(missing_ok=True)
    async with start() as run:
        await run.put_all(300, device="second")
    if newest == "in the write-ahead log":  # whose place the other one takes: nothing of the last start is left
        async with start(finish=False) as run:
            await run.put_all(50, device="second")
            for file in (path, mark_of(path)):
                shutil.copy(file, older / file.name)
        for file in (path, mark_of(path)):
            shutil.copy(older / file.name, file)
    shutil.copy(older / wal_of(path).name, wal_of(path))
    async with start() as run:
        kept = await run.store.queries.history(device="second", limit=1000)
        assert first.isdisjoint(run.store.reading_id(record.seq) for record in kept)
        assert await run.store.queries.history(device="first") == []
        assert len(kept) >= 300
        total = 300 if newest == "in the file" else 350
        assert len(kept) + sum(gap["count"] for gap in await run.store.gaps()) >= total
    assert check(path).healthy


async def test_rows_of_a_start_that_the_mark_does_not_know_get_ids_that_nobody_had(start: Any, tmp_path: Path) -> None:
    """Its row came from a page of another log; those of the start that was there in its place stay."""
    path = tmp_path / "gatepost.db"
    await fill(start, 50)
    await fill(start, 30)
    with database(path) as db:
        db.execute("INSERT OR REPLACE INTO start VALUES (?, ?, ?)", start_row(51, "0badcafe"))
    async with start() as run:
        assert "not-of-its-mark" in run.store.loss
        ids = [run.store.reading_id(record.seq) for record in await run.store.queries.history(limit=1000)]
        assert len(ids) == 80
        assert not any("0badcafe" in each for each in ids)
    async with start() as run:
        again = [run.store.reading_id(record.seq) for record in await run.store.queries.history(limit=1000)]
        assert again == ids


async def test_a_backup_that_is_copied_over_a_log_and_not_over_its_write_ahead_log(start: Any, tmp_path: Path) -> None:
    path, backup, left = tmp_path / "gatepost.db", tmp_path / "backup.db", tmp_path / "left"
    await fill(start, 50)
    shutil.copy(path, backup)
    await fill(start, 40)
    async with start(finish=False) as run:
        for _ in range(30):
            await run.put_all(1, device="last")
        ids = {run.store.reading_id(record.seq) for record in await run.store.queries.history(limit=1000)}
        left.mkdir()
        for file in (path, wal_of(path), mark_of(path)):
            shutil.copy(file, left / file.name)
    shutil.copy(backup, left / path.name)
    async with start(path=left / path.name) as run:
        assert "not-of-its-mark" in run.store.loss
        kept = await run.store.queries.history(limit=1000)
        devices = [run.store.series_of(record.series).device for record in kept]
        assert devices.count("last") == 30  # what its write-ahead log holds is put back
        assert sum(gap["count"] for gap in await run.store.gaps()) >= 120 - len(kept)
        assert {run.store.reading_id(record.seq) for record in kept} <= ids
        assert {run.store.reading_id(seq) for seq in await run.put_all(10)}.isdisjoint(ids)


async def test_a_file_of_before_a_loss_is_seen_where_its_newest_rows_are_those_of_the_mark(
    start: Any, tmp_path: Path
) -> None:
    path, older = tmp_path / "gatepost.db", tmp_path / "older.db"
    await fill(start, 50)
    shutil.copy(path, older)
    await fill(start, 20)
    shutil.copy(older, path)
    async with start() as run:
        assert "20 readings may be missing" in run.store.loss
        await run.put_all(5)
    with database(path) as db:
        starts = db.execute("SELECT first, epoch, crc FROM start ORDER BY first").fetchall()
        newest = db.execute("SELECT * FROM reading ORDER BY seq DESC LIMIT 1").fetchone()
    with database(older) as db:  # pages of the newer one over those of the older one
        db.executemany("INSERT OR REPLACE INTO start VALUES (?, ?, ?)", starts)
        db.execute("INSERT INTO reading VALUES (?, ?, ?, ?, ?, ?, ?)", newest)
    shutil.copy(older, path)
    async with start() as run:
        assert "not-of-its-mark" in run.store.loss


async def test_an_older_copy_shows_what_is_missing_of_a_log_whose_starts_were_lost(start: Any, tmp_path: Path) -> None:
    path, older = tmp_path / "gatepost.db", tmp_path / "older.db"
    await fill(start, 60)
    shutil.copy(path, older)
    path.unlink()
    await fill(start, 70)
    with database(path) as db:
        db.execute("DELETE FROM start")
        db.execute("DELETE FROM series")
    salvage(path)
    async with start():
        with database(path) as db:  # before a reading comes: the mark says the same already
            assert db.execute("SELECT count(*) FROM start").fetchone() == (2,)
    shutil.copy(older, path)
    async with start() as run:
        assert sum(gap["count"] for gap in await run.store.gaps()) >= 70


@pytest.mark.parametrize("pages", [5, 40])
async def test_generations_that_begin_under_way_are_no_damage(start: Any, tmp_path: Path, pages: int) -> None:
    path, left = tmp_path / "gatepost.db", tmp_path / "left"
    left.mkdir()
    generations = set()
    async with start(finish=False) as run:
        await run.store.database.write_script(f"PRAGMA wal_autocheckpoint = {pages}")
        for _ in range(60):
            await run.put_all(3)
            for file in (path, wal_of(path), mark_of(path)):
                shutil.copy(file, left / file.name)
            assert find_mismatch(left / path.name) is None
            generations.add(run.store.losses._generation.written)
    assert len(generations) > 2
    wal_of(left / path.name).unlink()
    for file in (path, mark_of(path)):
        shutil.copy(file, left / file.name)
    async with start(path=left / path.name) as run:
        assert not run.store.loss


async def test_a_reader_that_keeps_the_write_ahead_log_of_a_loss_makes_no_other_of_it(
    start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatepost.agent.store.database.PRAGMAS", (*PRAGMAS, "PRAGMA busy_timeout = 20"))
    path, older, left = tmp_path / "gatepost.db", tmp_path / "older.db", tmp_path / "left"
    left.mkdir()
    await fill(start, 50)
    shutil.copy(path, older)
    await fill(start, 20)
    shutil.copy(older, path)
    with database(path, check_same_thread=False) as reader:
        look = LossCheck.look

        def look_and_read(self: LossCheck) -> None:  # a reader that comes between
            look(self)
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM reading").fetchone()

        monkeypatch.setattr(LossCheck, "look", look_and_read)
        async with start(finish=False) as run:
            monkeypatch.undo()
            assert run.store.loss
            for _ in range(3):
                await run.put_all(2)
                for file in (path, wal_of(path), mark_of(path)):
                    shutil.copy(file, left / file.name)
                assert find_mismatch(left / path.name) is None
    async with start(path=left / path.name) as run:
        assert len(await run.store.queries.history(limit=1000)) == 56


async def test_what_is_stored_before_a_mended_file_is_compared_makes_no_other_of_its_write_ahead_log(
    start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, left = tmp_path / "gatepost.db", tmp_path / "left"
    left.mkdir()
    monkeypatch.setattr("gatepost.agent.store.database.PRAGMAS", (*PRAGMAS, "PRAGMA busy_timeout = 20"))
    async with start(finish=False) as run:
        await run.put_all(5)
        await run.store.database.checkpoint("RESTART")
        await run.put_all(1)  # a generation begins; the next commit names it
        recovery = run.store._recovery
        compare = recovery._on_open

        async def store_and_compare() -> None:
            with database(path) as reader:  # which keeps it from being emptied
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM reading").fetchone()
                await run.put_all(1)
                await compare()

        monkeypatch.setattr(recovery, "_on_open", store_and_compare)
        assert await run.store.mend(corrupt("seen"))
        for _ in range(3):
            await run.put_all(2)
            for file in (path, wal_of(path), mark_of(path)):
                shutil.copy(file, left / file.name)
            assert find_mismatch(left / path.name) is None
    async with start(path=left / path.name) as run:
        assert len(await run.store.queries.history(device="d", limit=1000)) == 13


@pytest.mark.parametrize(("last", "rows", "missing"), [(30, 30, 0), (80, 70, 20)])
async def test_rows_of_a_known_start_are_those_that_the_mark_knows(
    start: Any, tmp_path: Path, last: int, rows: int, missing: int
) -> None:
    """The log has 50 of one start and 30 of another; its mark, of another, ends the first elsewhere."""
    path = tmp_path / "gatepost.db"
    ids = []
    for count in (50, 30):
        async with start() as run:
            ids += [run.store.reading_id(seq) for seq in await run.put_all(count)]
    epoch = ids[0].split(":")[1]
    file = LogMarkFile(path)
    file.read()
    starts = (StartRows(1, epoch, last, rows), StartRows(81, "feedf00d", 80))
    file.write(LogMark(seq=last, starts=starts), durable=True)
    file.close()
    async with start() as run:
        assert "not-of-its-mark" in run.store.loss
        now = [run.store.reading_id(seq) for seq in range(1, 81)]
        assert now[: min(last, 50)] == ids[: min(last, 50)]
        assert set(now[last:]).isdisjoint(ids)
        assert sum(gap["count"] for gap in await run.store.gaps()) == missing
        with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as alone:  # all of that is in the file
            assert int(alone.execute("SELECT value FROM meta WHERE key = 'floor'").fetchone()[0]) > JUMP


def test_what_is_put_back_gets_no_ids_of_a_start_whose_number_has_other_rows(tmp_path: Path) -> None:
    path = tmp_path / "gatepost.db"
    check = LossCheck(path, LogMarkFile(path))
    check.put_back = [(61, 5, 0, 0, 0, 0, b"{}")]
    run = Mock()
    check._put_back(run, LogMark(starts=(StartRows(51, "0badcafe", 70, 20),)), {51: "feedf00d"}, last=60)
    ((_, (first, epoch, _)),) = [each.args for each in run.later.call_args_list]
    assert first == 61
    assert epoch not in ("0badcafe", "feedf00d")


def test_a_generation_is_named_once(tmp_path: Path) -> None:
    path = tmp_path / "gatepost.db"
    watch = GenerationWatch(path)
    watch.opened("", begins=True)
    first = watch.due()
    assert first is not None
    watch.committed(first)  # the write-ahead log could not be looked at
    wal_of(path).write_bytes(bytes(16) + b"saltsalt" + bytes(8))
    for _ in range(3):
        assert watch.due() is None
        watch.committed(None)
    wal_of(path).write_bytes(b"")  # all of it is in the file
    watch.committed(None)
    assert watch.due() is None
    wal_of(path).write_bytes(bytes(16) + b"new salt" + bytes(8))
    watch.committed(None)
    second = watch.due()
    assert second is not None
    assert second.before == first.own
    watch.committed(second)
    assert watch.due() is None
    watch.close()
