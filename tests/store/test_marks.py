"""Small state that rides with a reading: in the same transaction, or not at all."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from gatepost.agent.settings.model import StoreSettings
from gatepost.agent.store import writer as module
from tests.store.conftest import GOOD, Running
from tests.store.test_writer import Failing


def put(run: Running, value: int, key: str = "mark:d:sequence") -> int:
    series = run.store.series("d", None, GOOD)
    return run.store.append(series, run.clock.now(), b'{"n":%d}' % value, mark=(key, value))


async def test_a_mark_is_stored_with_its_reading_and_found_after_a_restart(start: Any) -> None:
    async with start() as run:
        await run.store.stored(put(run, 1))
        put(run, 2)
        await run.store.stored(put(run, 7, "mark:d:other"))
        await run.store.stored(put(run, 9, "mark:dd:sequence"))
        assert await run.store.key_value.with_prefix("mark:d:") == {"sequence": 2, "other": 7}
    async with start() as run:
        assert await run.store.key_value.with_prefix("mark:d:") == {"sequence": 2, "other": 7}
        assert await run.store.key_value.with_prefix("mark:x:") == {}


async def test_a_mark_is_never_on_disk_without_its_reading_nor_the_reading_without_it(
    start: Any, tmp_path: Path
) -> None:
    """Another process' view of the file, at every commit."""
    seen: list[tuple[int, int]] = []
    async with start(StoreSettings(commit_interval=0.001)) as run:
        path = run.store.path

        def look() -> None:
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as other:
                other.execute("BEGIN")  # one view for both
                rows = other.execute("SELECT count(*) FROM reading").fetchone()[0]
                mark = other.execute("SELECT value FROM state WHERE key = 'mark:d:sequence'").fetchone()
            other.close()
            seen.append((rows, int(mark[0]) if mark else 0))

        for value in range(1, 200):
            last = put(run, value)
            if value % 40 == 0:
                await run.store.stored(last)  # at the latest now; the looks between meet what they meet
            if value % 7 == 0:
                await asyncio.to_thread(look)
        await run.store.stored(last)
        look()
    assert seen[-1] == (199, 199)
    assert len({rows for rows, _ in seen}) > 3
    assert all(rows == mark for rows, mark in seen)


@pytest.mark.parametrize("statement", ["INSERT INTO reading", "INSERT INTO state", "COMMIT"])
async def test_a_commit_that_fails_keeps_the_mark_for_the_next(
    start: Any, statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_RETRY", 0.01)
    async with start() as run:
        fail = Failing(run, statement)
        fail.left = 2
        await asyncio.wait_for(run.store.stored(put(run, 5)), 10)
        assert fail.left == 0
        assert await run.store.key_value.with_prefix("mark:d:") == {"sequence": 5}


async def test_a_reading_that_the_full_queue_refused_leaves_no_mark(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUEUE_ROWS", 3)
    async with start(StoreSettings(commit_interval=3600.0)) as run:
        await run.store.stored(put(run, 1))
        assert [bool(put(run, value)) for value in (2, 3, 4, 5)] == [True, True, True, False]
    async with start() as run:
        assert await run.store.key_value.with_prefix("mark:d:") == {"sequence": 4}
