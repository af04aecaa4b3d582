"""Rows out of raw pages: all of a healthy file, equal; and no bytes whatsoever make it fail."""

from __future__ import annotations

import random
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatepost.agent.store.damage import carve
from gatepost.agent.store.database import PAGE_SIZE
from gatepost.agent.store.model import series_from
from tests.store.conftest import GOOD
from tests.support.clock import LoopClock


def kept(path: Path) -> tuple[list[Any], list[Any]]:
    db = sqlite3.connect(path)
    rows = db.execute("SELECT * FROM reading ORDER BY seq").fetchall()
    series = [series_from(row) for row in db.execute("SELECT * FROM series ORDER BY id")]
    db.close()
    return rows, series


async def fill(start: Any, clock: LoopClock) -> None:
    rng = random.Random(3)
    async with start() as run:
        for number in range(400):
            size = rng.choice([0, 10, 100, 960, 990, 1000, 5000, 30_000])
            body = b'{"n":%d,"pad":"%s"}' % (number, rng.randbytes(size // 2).hex().encode())
            common = {**GOOD, "flags": [f"flag-{number % 40}"]} if number % 7 else {}
            clock.wall += rng.choice([1, 10**6, 10**12])
            series = run.store.series(f"gerät-{number % 5}", rng.choice([None, "P-1"]), common)
            run.store.append(series, clock.now(), body, urgent=number % 9 == 0)
        await run.store.stored(400)


async def test_every_row_of_a_healthy_file_is_found_and_equal(start: Any, clock: LoopClock, tmp_path: Path) -> None:
    await fill(start, clock)
    path = tmp_path / "gatepost.db"
    rows, series = kept(path)
    assert len(rows) == 400
    assert sorted(carve.readings(path)) == rows
    assert sorted(carve.series(path)) == series


async def test_rows_that_are_in_the_write_ahead_log_only_are_found(
    start: Any, clock: LoopClock, tmp_path: Path
) -> None:
    async with start(finish=False, rows=50):
        for suffix in ("", "-wal"):
            shutil.copy(tmp_path / f"gatepost.db{suffix}", tmp_path / f"copy.db{suffix}")
    assert {row[0] for row in carve.readings(tmp_path / "copy.db")} == set(range(1, 51))


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small file with every kind of page."""
    from gatepost.agent.store.database import sql
    from gatepost.agent.store.model import Series, checksum, series_row
    from gatepost.agent.store.schema import script

    path = tmp_path_factory.mktemp("carve") / "healthy.db"
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(f"PRAGMA page_size = {PAGE_SIZE}")
    db.executescript(script(1))
    db.execute("INSERT INTO meta VALUES ('epoch', 'abcdef01'), ('floor', '7')")
    for number in range(1, 6):
        db.execute(sql("series_add"), series_row(Series(number, 1, "d", None, b"{}")))
    for seq in range(1, 60):
        body = b"{}" + b" " * (seq * 50)
        row = (seq, 1 + seq % 5, seq, seq, 2)
        db.execute(sql("reading_insert"), (*row, checksum(*row, body), body))
    db.close()
    return path.read_bytes()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_bytes_make_it_fail_and_none_are_taken_for_a_row(
    tmp_path: Path, healthy: bytes, data: st.DataObject
) -> None:
    content = bytearray(healthy)
    for _ in range(data.draw(st.integers(0, 12))):
        at = data.draw(st.integers(0, len(content) - 1))
        piece = data.draw(st.binary(max_size=40))
        content[at : at + len(piece)] = piece
    cut = data.draw(st.integers(0, len(content)))
    path = tmp_path / "damaged.db"
    path.write_bytes(bytes(content[:cut]) if data.draw(st.booleans()) else bytes(content))
    path.with_name("damaged.db-wal").write_bytes(data.draw(st.binary(max_size=3000)))
    good = tmp_path / "good.db"
    good.write_bytes(healthy)
    rows, series = kept(good)
    assert set(carve.readings(path)) <= set(rows)
    assert set(carve.series(path)) <= set(series)
    assert set(carve.meta(path)) <= {"epoch", "floor"}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pages=st.lists(st.binary(min_size=0, max_size=200), max_size=6), kinds=st.lists(st.sampled_from([5, 10, 13])))
def test_pages_of_nonsense_are_no_rows(tmp_path: Path, pages: list[bytes], kinds: list[int]) -> None:
    path = tmp_path / "nonsense.db"
    content = b""
    for kind, page in zip(kinds, pages, strict=False):
        content += (bytes([kind]) + page + page[::-1] * 10).ljust(PAGE_SIZE, b"\xff")[:PAGE_SIZE]
    path.write_bytes(content)
    assert list(carve.readings(path)) == []
    assert list(carve.series(path)) == []
    carve.meta(path)
