"""A damaged file is replaced under a running store: ids, boots, series and what is owed stay what they were."""

from __future__ import annotations

import asyncio
import fnmatch
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import orjson
import pytest

from gatepost.agent.core.clock import Stamp
from gatepost.agent.core.errors import StoreError
from gatepost.agent.settings.model import StoreSettings
from gatepost.agent.store import check, repair
from gatepost.agent.store.command_ledger import LedgerEntry
from gatepost.agent.store.damage import salvage as maintenance
from gatepost.agent.store.model import text_checksum
from gatepost.agent.store.ranges import FOREVER
from gatepost.agent.store.schema import VERSION, script
from tests.store.conftest import GOOD, database, fill
from tests.support.clock import LoopClock
from tests.support.failing import failing
from tests.support.waiting import until

JUMP = maintenance.JUMP


def file_of(run: Any) -> Path:
    path: Path = run.store.path
    return path


async def damage(run: Any) -> None:
    """Have the store believe that its file is damaged, as SQLite would tell it."""
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    assert await run.store.mend(error)


def change(path: Path, statement: str, *params: Any) -> None:
    with database(path) as db:
        assert db.execute(statement, params).rowcount
    db.close()


def drop(path: Path, table: str) -> None:
    with database(path, isolation_level=None) as db:
        db.execute(f"DROP TABLE {table}")
    db.close()


async def bodies(run: Any) -> dict[int, tuple[str, Any]]:
    found = {}
    for track in (0, 1):
        for record in await run.store.queries.page(track, 0, FOREVER, 100_000):
            found[record.seq] = (run.store.series_of(record.series).device, orjson.loads(record.body).get("n"))
    return found


@pytest.mark.parametrize("lost", ["meta", "boot", "start", "series", "owed", "gap", "state"])
async def test_whatever_table_is_lost_under_a_running_store_ids_and_series_stay(
    start: Any, tmp_path: Path, clock: LoopClock, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    async with start() as run:
        store = run.store
        await run.put_all(20, device="first")
        await store.clock_in_step()
        first_id, boot = store.reading_id(1), store.boots.current
        real = maintenance._copy_table
        monkeypatch.setattr(maintenance, "_copy_table", lambda old, new, table: table != lost and real(old, new, table))
        monkeypatch.setattr(maintenance.carve, "meta", lambda path: {})
        monkeypatch.setattr(maintenance.carve, "series", lambda path: iter(()))
        clock.synchronised = False
        waiting = run.put(7, device="second")  # its series is not in the file yet
        await damage(run)
        await store.stored(waiting)
        later = (await run.put_all(1, device="third"))[0]
        assert store.reading_id(1) == first_id
        assert store.boots.current == boot
        found = await bodies(run)
        assert [found[seq] for seq in range(1, 21)] == [("first", n) for n in range(20)]
        assert found[waiting] == ("second", 7)
        assert store.time_of(await store.queries.one(waiting))[1] == "rectified"
    async with start(clock=LoopClock()) as run:  # and the file says the same to the next process
        assert run.store.reading_id(1) == first_id
        found = await bodies(run)
        assert (found[1], found[waiting], found[later]) == (("first", 0), ("second", 7), ("third", 0))
        assert run.store.time_of(await run.store.queries.one(waiting))[1] == "rectified"
        assert run.put(1) > JUMP


async def test_everything_that_is_in_flight_while_the_file_is_mended_goes_on(start: Any) -> None:
    async with start() as run:
        store = run.store
        await run.put_all(2000)
        stamp = Stamp(1, 1, True)

        async def entry(number: int) -> bool:
            return await store.ledger.begin(LedgerEntry(f"id-{number}", "d", "api", "ping", b""), stamp)

        calls: list[asyncio.Task[Any]] = []
        make: list[Callable[[int], Any]] = [
            lambda n: store.queries.page(0, 0, FOREVER, 500),
            lambda n: store.queries.history(device="d", limit=50),
            lambda n: entry(n),
            lambda n: store.key_value.put(f"key-{n}", n),
            lambda n: store.backlog.undelivered(),
            lambda n: store.stored(run.put(n)),
            lambda n: store.retention.once(),
        ]
        mend = asyncio.create_task(damage(run))
        number = 0
        while not mend.done():
            calls.append(asyncio.create_task(make[number % len(make)](number)))
            number += 1
            await asyncio.sleep(0.001)
        for call in calls:
            await asyncio.wait_for(call, 20)
        assert len(calls) >= len(make)
        for n in range(3, number, len(make)):
            assert await store.key_value.get(f"key-{n}") == n
        assert [await entry(n) for n in range(2, number, len(make))] == [False] * len(range(2, number, len(make)))
        assert store.repairs == 1


async def test_two_who_meet_the_same_damage_mend_it_once(start: Any) -> None:
    async with start(rows=10) as run:
        await asyncio.gather(damage(run), damage(run), damage(run))
        assert run.store.repairs == 1


async def test_a_dying_card_is_not_filled_with_copies_of_the_log(start: Any, tmp_path: Path) -> None:
    async with start(rows=10) as run:
        for _ in range(3):
            await damage(run)
        error = sqlite3.DatabaseError()
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        assert not await run.store.mend(error)
        assert run.store.repairs == 3
        for _ in range(3):
            await asyncio.to_thread(shutil.copy, tmp_path / "gatepost.db", tmp_path / "copy.db")
            await asyncio.to_thread(maintenance.salvage, tmp_path / "copy.db")
        assert len(fnmatch.filter(os.listdir(tmp_path), "gatepost.db.damaged-*Z")) == 3
    assert len(fnmatch.filter(os.listdir(tmp_path), "copy.db.damaged-*Z")) == 3
    maintenance.salvage(tmp_path / "copy.db")
    assert len(fnmatch.filter(os.listdir(tmp_path), "copy.db.damaged-*Z")) == 3


async def test_a_file_that_cannot_be_replaced_stays_in_use(
    start: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with start() as run:
        await run.put_all(10)

        def fail(*args: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(maintenance, "_carry", fail)
        error = sqlite3.DatabaseError()
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        assert not await run.store.mend(error)
        assert len(await bodies(run)) == 10
        await run.put_all(1)
        assert run.store.repairs == 0
    assert "could not be copied" in caplog.text


@pytest.mark.parametrize("renames", range(5))
async def test_a_crash_while_the_file_is_replaced_loses_nothing(
    start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    async with start(finish=False) as run:
        seqs = await run.put_all(300)
        first_id = run.store.reading_id(1)
        copy = tmp_path / "copy.db"
        for suffix in ("", "-wal", "-shm"):  # as a crash leaves it
            source = file_of(run).with_name(file_of(run).name + suffix)
            shutil.copy(source, copy.with_name(copy.name + suffix))
    left, real = [renames], Path.rename

    def rename(self: Path, target: Path) -> Path:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", rename)
        try:
            maintenance.salvage(copy)
            assert renames == 4 or not copy.with_name("copy.db-shm").exists()
        except KeyboardInterrupt:
            pass
    async with start(path=copy) as run:
        assert run.store.reading_id(1) == first_id
        assert sorted(await bodies(run)) == seqs
        assert next(iter(run.store.backlog.position("a").owed[0]))[0] == 1
    assert check(copy).healthy


async def test_numbers_never_go_back_however_often_a_file_is_lost(start: Any, tmp_path: Path) -> None:
    """The rows of a mended file are lost as well: its floor alone knows which numbers were given."""
    await fill(start, 10)
    path = tmp_path / "gatepost.db"
    maintenance.salvage(path)
    async with start() as run:
        last = (await run.put_all(10))[-1]
        first_id = run.store.reading_id(1)
    assert last > JUMP
    with database(path, isolation_level=None) as db:
        db.execute("DELETE FROM reading")
        db.execute("DELETE FROM owed")
        db.execute("VACUUM")
    db.close()
    maintenance.salvage(path)
    async with start() as run:
        assert run.store.reading_id(1) == first_id
        assert run.put(1) > last


async def test_numbers_left_out_by_a_repair_are_not_told_as_lost(start: Any, tmp_path: Path) -> None:
    await fill(start, 10)
    path = tmp_path / "gatepost.db"
    assert maintenance.salvage(path).lost == 0
    await fill(start, 10)
    report = maintenance.salvage(path)
    assert (report.rows, report.lost) == (21, 0)  # with the event of the repair


async def test_after_a_repair_a_full_log_drops_no_more_than_it_must(start: Any, tmp_path: Path) -> None:
    async with start() as run:
        await run.put_all(2000, body=b'{"n":1,"pad":"%s"}' % (b"x" * 60))
    maintenance.salvage(tmp_path / "gatepost.db")
    async with start(StoreSettings(commit_interval=0.0, max_size=400_000)) as run:
        await run.put_all(4000, body=b'{"n":1,"pad":"%s"}' % (b"x" * 60))
        await run.store.retention.once()
        stats = await run.store.stats()
        assert 300_000 < stats["bytes"] <= 400_000


async def test_what_was_lost_in_a_damaged_file_is_told_even_after_a_crash(start: Any, tmp_path: Path) -> None:
    await fill(start, 100)
    path = tmp_path / "gatepost.db"
    change(path, "DELETE FROM reading WHERE seq BETWEEN 10 AND 19")
    assert maintenance.salvage(path).lost == 10  # and the process dies right here
    async with start() as run:
        await until(lambda: run.store.writer.rows)
        gaps = await run.store.gaps()
        assert [(gap["reason"], gap["count"]) for gap in gaps] == [("damaged-database", 10)]
        events = [orjson.loads(record.body) for record in await run.store.queries.page(0, JUMP, FOREVER, 10)]
        assert [event["count"] for event in events if "count" in event] == [10]


async def test_brokers_of_a_file_whose_positions_are_lost_get_everything_and_new_ones_do_not(
    start: Any, tmp_path: Path
) -> None:
    async with start(rows=10) as run:
        run.store.backlog.position("a").settle(0, 0, 11)
    path = tmp_path / "gatepost.db"
    change(path, "UPDATE owed SET lo = lo + 1000")
    maintenance.salvage(path)
    async with start() as run:
        assert next(iter(run.store.backlog.position("a").owed[0]))[0] == 1
        await run.put_all(1)
        assert run.store.backlog.position("new").owed[0].outside(0, run.store.head + 1) == [(0, run.store.head + 1)]
    async with start(brokers=("a", "newer")) as run:
        assert 5 not in run.store.backlog.position("newer").owed[0]
        assert 5 in run.store.backlog.position("a").owed[0]


async def test_a_flipped_bit_in_a_position_makes_its_broker_owe_everything(start: Any, tmp_path: Path) -> None:
    async with start(brokers=("a", "b"), rows=10) as run:
        for broker in ("a", "b"):
            run.store.backlog.position(broker).settle(0, 0, 6)
    change(tmp_path / "gatepost.db", "UPDATE owed SET lo = 9 WHERE broker = 'a' AND urgent = 0")
    async with start(brokers=("a", "b")) as run:
        assert run.store.backlog.position("a").owed[0].outside(1, 20) == []
        assert run.store.backlog.position("b").owed[0].outside(1, 20) == [(1, 6)]


@pytest.mark.parametrize("statement", ["DELETE FROM series", "UPDATE series SET device = 'other'"])
async def test_readings_of_a_lost_series_are_kept_and_say_so(start: Any, tmp_path: Path, statement: str) -> None:
    async with start() as run:
        await run.put_all(3, device="first")
        await run.put_all(1, device="second")
    path = tmp_path / "gatepost.db"
    change(path, f"{statement} WHERE device = 'first'")
    assert not check(path).healthy
    async with start(clock=LoopClock("boot-b")) as run:
        assert await bodies(run) == {1: ("unknown", 0), 2: ("unknown", 1), 3: ("unknown", 2), 4: ("second", 0)}
        assert b"series:lost" in run.store.series_of((await run.store.queries.history())[-1].series).common
    report = repair(path)
    assert (report.rows >= 4, report.lost) == (True, 0)
    async with start(clock=LoopClock("boot-b")) as run:
        found = await bodies(run)
        assert {found[seq][0] for seq in (1, 2, 3)} == {"unknown"}
        taken = {record.series for record in await run.store.queries.history()}
        assert run.store.series("third", None, GOOD) not in taken


async def test_readings_whose_series_is_damaged_get_other_ids_as_they_are_others_now(
    start: Any, tmp_path: Path
) -> None:
    async with start() as run:
        await run.put_all(3, device="first")
        before = {run.store.reading_id(seq) for seq in (1, 2, 3)}
    change(tmp_path / "gatepost.db", "UPDATE series SET device = 'other' WHERE device = 'first'")
    async with start() as run:
        found = await bodies(run)
        assert [found[seq] for seq in (1, 2, 3)] == [("unknown", value) for value in range(3)]
        assert before.isdisjoint(run.store.reading_id(seq) for seq in (1, 2, 3))
        assert run.store.repairs == 1
    assert check(tmp_path / "gatepost.db").healthy


async def test_what_was_delivered_under_ids_of_before_makes_room_and_what_is_owed_is_told(
    start: Any, tmp_path: Path
) -> None:
    async with start() as run:
        await run.put_all(4000, body=b'{"n":1,"pad":"%s"}' % (b"x" * 60))
        first = run.store.reading_id(1)
        for track in (0, 1):
            run.store.backlog.position("a").settle(track, 0, 101)
    change(tmp_path / "gatepost.db", "DELETE FROM series")
    maintenance.salvage(tmp_path / "gatepost.db")
    async with start(StoreSettings(commit_interval=0.0, reserve=1 << 40), free=lambda: 0) as run:
        assert run.store.reading_id(1) != first
        before = set(await bodies(run))
        await run.store.retention.once()
        gone = before - set(await bodies(run))
        assert {1, 100, 101} <= gone
        assert sum(gap["count"] for gap in await run.store.gaps(100)) == len(gone - set(range(101)))
        room = (await run.store.stats())["file_bytes"] - (await run.store.stats())["bytes"]
        assert room > 30_000


@pytest.mark.parametrize("column", ["series", "wall", "mono", "bits", "body"])
async def test_a_flipped_bit_anywhere_in_a_row_is_noticed(start: Any, tmp_path: Path, column: str) -> None:
    async with start() as run:
        await run.put_all(3, device="first")
        await run.put_all(1, device="second")
    value = "x'7b7d'" if column == "body" else f"{column} + 2"
    change(tmp_path / "gatepost.db", f"UPDATE reading SET {column} = {value} WHERE seq = 2")
    async with start() as run:
        assert sorted(await bodies(run)) == [1, 3, 4]
        await until(lambda: run.store.head > 4)
        assert [gap["reason"] for gap in await run.store.gaps()] == ["damaged-row"]
    async with start() as run:  # told once, however often it is met
        assert 2 not in await bodies(run)
        await run.put_all(2)
        assert len(await run.store.gaps()) == 1


def test_a_file_of_a_newer_agent_is_not_repaired(tmp_path: Path) -> None:
    path = tmp_path / "gatepost.db"
    with database(path) as db:
        db.execute("CREATE TABLE new (x)")
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = path.read_bytes()
    for look in (check, repair):
        with failing(StoreError, kind="store-newer"):
            look(path)
    assert path.read_bytes() == before


async def test_a_series_that_is_no_json_harms_nobody(start: Any, tmp_path: Path) -> None:
    await fill(start, 1)
    with database(tmp_path / "gatepost.db") as db:
        columns = db.execute("SELECT id, boot, device, patient FROM series").fetchone()
    crc = text_checksum(*columns, "no json")
    change(tmp_path / "gatepost.db", "UPDATE series SET common = 'no json', crc = ?", crc)
    async with start() as run:
        assert await run.store.queries.history(metric="reading") == []
        assert run.store.repairs == 0


def test_a_repaired_log_stays_private_whatever_the_umask(tmp_path: Path) -> None:
    database = tmp_path / "gatepost.db"
    with closing(sqlite3.connect(database)) as db:
        for version in range(1, VERSION + 1):
            db.executescript(script(version))
        db.execute(f"PRAGMA user_version = {VERSION}")
    database.chmod(0o600)
    with database.open("r+b") as file:
        file.seek(4096 * 2)
        file.write(b"\xff" * 4096)
    before = os.umask(0)
    try:
        assert not repair(database).healthy
    finally:
        os.umask(before)
    assert database.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("key", "value"), [("floor", "10*"), ("floor", b"\x81"), ("starting", "x"), ("unseen", None)])
async def test_what_damage_has_made_no_number_keeps_nobody_from_starting(
    start: Any, tmp_path: Path, key: str, value: Any
) -> None:
    path = tmp_path / "gatepost.db"
    await fill(start, 30)
    with database(path) as db:
        if value is None:
            db.execute("INSERT INTO state VALUES ('unseen-loss', CAST('{' AS BLOB))")
        else:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
    for _ in range(2):
        async with start(path=path) as run:
            ids = {run.store.reading_id(record.seq) for record in await run.store.queries.history(limit=100)}
            assert len(ids) >= 30
            assert {run.store.reading_id(seq) for seq in await run.put_all(1)}.isdisjoint(ids)


async def test_a_boot_whose_time_damage_has_made_a_text_is_not_carried_over(start: Any, tmp_path: Path) -> None:
    path = tmp_path / "gatepost.db"
    await fill(start, 3)
    change(path, "UPDATE boot SET shift = 'abc'")
    maintenance.salvage(path)
    with database(path) as db:
        assert db.execute("SELECT count(*) FROM boot WHERE typeof(shift) = 'text'").fetchone() == (0,)


async def test_a_start_whose_repair_finds_no_room_says_so(
    start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(start, 3)
    change(tmp_path / "gatepost.db", "INSERT OR REPLACE INTO meta VALUES ('floor', '10*')")
    monkeypatch.setattr("gatepost.agent.store.store.salvage", Mock(side_effect=OSError(28, "No space left on device")))
    with pytest.raises(StoreError, match="cannot be opened: No space left on device"):
        async with start():
            pass
