"""Transactions, cancellation, mending, and the three connections."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gatepost.agent.store.database import FOLDER, HEAD, PAGE_SIZE, Database, NotOpen, sql
from gatepost.agent.store.schema import VERSION, migrate, script
from tests.support.waiting import until


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "log.db")
    await database.open()
    await migrate(database, "gw")
    yield database
    await database.close()


async def metas(database: Database) -> dict[str, str]:
    return {key: (await database.read("meta_get", (key,)) or [("",)])[0][0] for key in ("a", "b")}


async def step(turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


@pytest.mark.parametrize("turns", range(12))
async def test_a_caller_cancelled_at_any_moment_leaves_no_transaction_open(database: Database, turns: int) -> None:
    task = asyncio.create_task(database.write("meta_put", ("a", "1")))
    await step(turns)
    task.cancel()
    await asyncio.wait({task})
    await database.write("meta_put", ("b", "2"))
    assert (await metas(database))["b"] == "2"


@pytest.mark.parametrize("turns", range(12))
async def test_one_cancelled_again_and_again_too(database: Database, turns: int) -> None:
    task = asyncio.create_task(database.write("meta_put", ("a", "1")))
    await step(turns)
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)
    await database.write("meta_put", ("b", "2"))
    assert (await metas(database))["b"] == "2"


async def test_a_block_that_fails_is_rolled_back(database: Database) -> None:
    async def work() -> None:
        async with database.transaction() as run:
            await run("meta_put", ("a", "1"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work()
    assert (await metas(database))["a"] == ""


async def test_a_cancelled_block_is_rolled_back(database: Database) -> None:
    inside = asyncio.Event()

    async def work() -> None:
        async with database.transaction() as run:
            await run("meta_put", ("a", "1"))
            inside.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await metas(database))["a"] == ""
    await database.write("meta_put", ("a", "2"))


def test_every_statement_has_one_name_is_used_and_fits_the_schema() -> None:
    names = HEAD.findall((FOLDER / "queries.sql").read_text())
    assert len(names) == len(set(names)) > 50
    code = "".join(path.read_text() for path in FOLDER.rglob("*.py"))
    with sqlite3.connect(":memory:") as db:
        db.executescript("".join(script(version) for version in range(1, VERSION + 1)))
        for name in names:
            assert f'"{name.removesuffix("_urgent")}' in code, name
            try:
                db.execute("EXPLAIN " + sql(name))
            except sqlite3.ProgrammingError as error:  # it compiled, and wants its parameters
                assert "bind" in str(error)  # noqa: PT017
    db.close()


async def test_a_migration_runs_once(tmp_path: Path) -> None:
    for _ in range(3):
        database = Database(tmp_path / "log.db")
        await database.open()
        await migrate(database, "gw")
        await database.write("meta_put", ("a", "kept"))
        assert await database.pragma("user_version") == VERSION
        assert await database.pragma("page_size") == PAGE_SIZE
        assert await database.pragma("journal_mode") == "wal"
        await database.close()


async def test_who_reads_or_writes_while_the_file_is_mended_waits(database: Database) -> None:
    generation = database.generation
    async with database.mending():
        waiting = [
            asyncio.create_task(database.read("meta_get", ("gateway",))),
            asyncio.create_task(database.search("meta_get", ("gateway",))),
            asyncio.create_task(database.pragma("page_size")),
            asyncio.create_task(database.write("meta_put", ("a", "1"))),
        ]
        done, _ = await asyncio.wait(waiting, timeout=0.05)
        assert not done
        await database.open()
        assert await database.probe("meta_get", ("gateway",))
    await asyncio.gather(*waiting)
    assert database.generation == generation + 1
    assert (await metas(database))["a"] == "1"


async def test_a_file_that_could_not_be_mended_is_said_to_be_closed(database: Database) -> None:
    async with database.mending():
        pass
    for attempt in (database.read("boots"), database.search("boots"), database.write("meta_put", ("a", "1"))):
        with pytest.raises(NotOpen):
            await attempt
    await database.open()


async def test_a_query_under_way_is_finished_before_the_file_is_closed(database: Database) -> None:
    reads = [asyncio.create_task(database.read("meta_get", ("gateway",))) for _ in range(20)]
    await asyncio.sleep(0)
    async with database.mending():
        assert all(len(rows) == 1 for rows in await asyncio.gather(*reads))
        await database.open()


async def test_a_long_search_does_not_hold_up_a_page(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    from gatepost.agent.store import database as module

    slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) SELECT max(i) FROM n"
    real = module.sql
    monkeypatch.setattr(module, "sql", lambda name: slow if name == "slow" else real(name))
    search = asyncio.create_task(database.search("slow"))
    await asyncio.sleep(0.01)
    assert await database.read("meta_get", ("gateway",))
    assert not search.done()
    assert await search == [(1_000_000,)]


async def test_a_reader_cannot_write(database: Database) -> None:
    for read in (database.read, database.search):
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await read("meta_put", ("a", "1"))


async def test_no_thread_is_left_of_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    def threads() -> int:
        return sum("_connection_worker_thread" in thread.name for thread in threading.enumerate())

    before = threads()
    with pytest.raises(sqlite3.OperationalError):
        await Database(tmp_path / "missing" / "log.db").open()
    (tmp_path / "text").write_bytes(b"no database at all" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        await Database(tmp_path / "text").open()
    await until(lambda: threads() == before)


@pytest.mark.parametrize("turns", range(6))
async def test_an_opening_that_is_cancelled_leaves_no_connection_open(tmp_path, monkeypatch, turns):
    made: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def kept(*args: object, **options: object) -> sqlite3.Connection:
        made.append(connect(*args, **{**options, "check_same_thread": False}))  # type: ignore[call-overload]
        return made[-1]

    monkeypatch.setattr(sqlite3, "connect", kept)
    database = Database(tmp_path / "log.db")
    task = asyncio.create_task(database.open())
    await step(turns)
    task.cancel()
    await asyncio.wait({task})
    await database.close()
    for connection in made:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")
