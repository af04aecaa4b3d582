"""Rows of the log: what lies on the disk, and what comes out of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.agent.store.damage import carve
from gatepost.agent.store.damage.salvage import check
from gatepost.agent.store.model import (
    ALL,
    Record,
    _checksum_of_version_5,
    checksum,
    is_sound,
    reading_params,
    record_from,
    whole_body,
)
from gatepost.agent.store.schema import VERSION
from tests.store.conftest import database, fill

CHECKSUM = -652533692
names = st.text(max_size=5) | st.sampled_from(["{", '{"', "}", '"', "", "spo2"])
values = st.integers(0, 99) | st.text(max_size=5) | st.none() | st.lists(st.integers(0, 9), max_size=3)
bodies = st.dictionaries(names, values)


@given(bodies, st.integers(1, 1 << 40), st.integers(0, 7))
def test_what_is_written_comes_back(members: dict[str, Any], seq: int, bits: int) -> None:
    record = Record(seq, 1 << 46, 1_764_450_000_000_000, 23_000_000_000, bits, orjson.dumps(members))
    row = tuple(reading_params([record]))
    assert is_sound(row[:5], row[5], row[6])
    assert record_from(*row[:5], row[6]) == record
    assert orjson.loads(whole_body(row[4], row[6])) == orjson.loads(record.body)


def test_a_row_is_smaller_than_its_reading() -> None:
    for seq in range(1, 100):
        *_, crc, body = reading_params([Record(seq, 1, 2, 3, 0, b'{"spo2":97}')])
        assert body == b'spo2":97'
        assert -(1 << 31) <= crc < 1 << 31  # 4 octets


def test_the_checksum_is_that_of_every_version() -> None:
    row = reading_params([Record(1042, 1 << 46 | 5, 1_764_450_000_123_456, 23_000_111_222, 3, b'{"spo2":97}')])
    assert row[5] == CHECKSUM
    assert checksum(*row[:5], row[6]) == CHECKSUM & ALL
    assert is_sound(row[:5], -1126782771, row[6])  # up to version 5


@given(st.sets(st.integers(0, 5 * 64 + 8 * 8 - 1), min_size=1, max_size=3))
def test_no_three_flipped_bits_pass(flips: set[int]) -> None:
    """Of whole columns and the body: CRC-32 sees up to three in rows of this length."""
    row = [1042, 1 << 46 | 5, 1_764_450_000_123_456, 23_000_111_222, 3, b'"spo2":97']
    crc = checksum(*row)  # type: ignore[arg-type]
    body = bytearray(b'"spo2":97')
    for flip in flips:
        at, bit = divmod(flip, 64)
        if at < 5:
            row[at] = int.from_bytes((row[at] ^ 1 << bit).to_bytes(8, "little"), "little", signed=bit == 63)  # type: ignore[operator]
        else:
            body[bit // 8] ^= 1 << bit % 8
    assert not is_sound(row[:5], crc, bytes(body))


@pytest.mark.parametrize("body", [b"{}", b'{"{":1}', b'{"{x":{"y":1}}'])
def test_bodies_that_would_be_taken_for_whole_ones_stay_whole(body: bytes) -> None:
    assert reading_params([Record(1, 1, 2, 3, 0, body)])[6] == body


async def test_rows_of_version_4_are_read_beside_new_ones(start: Any, tmp_path: Path) -> None:
    await fill(start, 20)
    with database(tmp_path / "gatepost.db") as db:
        for seq, series, wall, mono, bits, body in db.execute(
            "SELECT seq, series, wall, mono, bits, body FROM reading ORDER BY seq"
        ).fetchall():
            old = whole_body(bits, body)
            crc = _checksum_of_version_5(seq, series, wall, mono, bits, old)
            assert 0 <= crc <= ALL
            assert crc != checksum(seq, series, wall, mono, bits, old)
            db.execute("UPDATE reading SET crc = ?, body = ? WHERE seq = ?", (crc, old, seq))
        db.execute("PRAGMA user_version = 4")
    assert len(list(carve.readings(tmp_path / "gatepost.db"))) == 20
    async with start(rows=20) as run:
        assert await run.numbers() == [*range(20), *range(20)]
        assert (await run.store.queries.page(0, 1, 100, 100))[0].body == b'{"n":0}'
    assert check(tmp_path / "gatepost.db").healthy
    with database(tmp_path / "gatepost.db") as db:
        assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)
        kept = [row[0] for row in db.execute("SELECT body FROM reading ORDER BY seq")]
    assert (kept[0], kept[-1]) == (b'{"n":0}', b'n":19')


async def test_a_flipped_bit_in_the_record_of_a_loss_hides_no_other(start: Any, tmp_path: Path) -> None:
    async with start() as run:
        await run.put_all(3)
        run.store.pending.add_dead("a", 2, None, "refused")
        run.store.pending.add_dead("a", 3, None, "refused")
        run.store.lost("d", 5, "queue-full")
    with database(tmp_path / "gatepost.db") as db:
        db.execute("INSERT INTO gap (time, reason, count, event) SELECT time, CAST(x'6ceb' AS TEXT), 4, 1 FROM gap")
        db.execute("UPDATE dead_letter SET reason = CAST(x'6cff' AS TEXT) WHERE seq = 3")
    async with start() as run:
        assert {5, 4} <= {gap["count"] for gap in await run.store.gaps()}
        assert {letter["reason"] for letter in await run.store.dead_letters()} == {"refused", "l\ufffd"}
