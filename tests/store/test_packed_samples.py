"""Packed samples: the very same text comes back, in fewer octets, whatever samples are and however rows are read."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.agent.store.damage import carve
from gatepost.agent.store.damage.salvage import check
from gatepost.agent.store.model import PACKED, URGENT, Record, checksum, is_sound, reading_params, record_from
from gatepost.agent.store.packed_samples import SMALLEST, pack, unpack
from tests.store.conftest import database

WHOLE = st.one_of(
    st.integers(-300, 300), st.integers(-(2**15), 2**15), st.integers(-(2**31), 2**31), st.integers(-(2**63), 2**64 - 1)
)
DECIMAL = st.builds(lambda whole, decimals: whole / 10**decimals, st.integers(-(10**6), 10**6), st.integers(0, 7))
SAMPLES = st.one_of(
    st.lists(st.integers(-2000, 2000), min_size=30, max_size=200),
    st.lists(WHOLE, max_size=200),
    st.lists(DECIMAL, max_size=200),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=80),
    st.lists(st.one_of(WHOLE, DECIMAL, st.none(), st.text(max_size=5), st.lists(WHOLE, max_size=3)), max_size=80),
)


def body_of(samples: list[Any], **more: Any) -> bytes:
    return orjson.dumps({"channel": "ecg", "samples": samples, "rate_hz": 500.0, "unit": "uV", **more})


def walk(count: int, spread: float = 20.0, seed: int = 1) -> list[int]:
    rng = random.Random(seed)
    samples = [0]
    while len(samples) < count:
        samples.append(samples[-1] + round(rng.gauss(0, spread)))
    return samples


@given(SAMPLES, st.text(max_size=20))
def test_the_same_text_comes_back(samples: list[Any], word: str) -> None:
    body = body_of(samples, note=word, before={"samples": samples[:3]})
    packed = pack(body)
    assert packed is None or (len(packed) < len(body) and unpack(packed) == body)


@pytest.mark.parametrize(
    ("samples", "octets"),
    [
        (walk(500), 1.3),
        ([sample * 256 for sample in walk(500)], 2.0),
        ([sample / 100 for sample in walk(500)], 1.3),
        (list(range(-250, 250)), 0.5),
        ([random.Random(4).randrange(-(2**15), 2**15) for _ in range(500)], 3.0),
        ([None if at % 50 == 7 else sample for at, sample in enumerate(walk(500))], 3.0),
    ],
    ids=["walk", "24 bits", "hundredths", "ramp", "noise of 16 bits", "gaps"],
)
def test_a_sample_takes_few_octets(samples: list[Any], octets: float) -> None:
    body = body_of(samples)
    packed = pack(body)
    assert packed is not None
    assert unpack(packed) == body
    assert len(packed) < octets * len(samples)


@pytest.mark.parametrize(
    "text",
    [
        b'{"samples":[1.0,2,3.5]}',
        b'{"samples":[1,2,  3]}',
        b'{"samples":[1e2,2.5]}',
        b'{"samples":[-0.0,0.5]}',
        b'{"samples":[0,-0]}',
        b'{"samples":[]}',
        b'{"samples":[[1,2],[3]]}',
        b'{"samples":["]",1]}',
        b'{"samples":[18446744073709551616,1]}',
        b'{"samples":[1.5,1e308,-1e308]}',
        b'{"samples":[1,2',
    ],
)
def test_unusual_texts_come_back_as_they_were(text: bytes) -> None:
    body = text[:-1] + b',"pad":"' + b"x" * SMALLEST + b'"}'
    packed = pack(body)
    assert packed is not None
    assert unpack(packed) == body


def test_bodies_without_samples_stay_as_they_are() -> None:
    assert pack(b'{"spo2":97,"pad":"' + b"x" * 500 + b'"}') is None
    record = Record(1, 1, 2, 3, URGENT, body_of([1, 2, 3]))
    assert tuple(reading_params([record]))[4] == URGENT
    assert record_from(*tuple(reading_params([record]))[:5], tuple(reading_params([record]))[6]) == record


@given(st.binary(max_size=200), st.integers(0, 10**6), st.integers(0, 7))
def test_octets_that_are_no_packed_body_are_refused(noise: bytes, place: int, bit: int) -> None:
    octets = bytearray(pack(body_of(walk(60))) or b"")
    octets[place % len(octets)] ^= 1 << bit
    for data in (noise, bytes(octets), bytes(octets[: place % len(octets)])):
        try:
            unpack(data)
        except ValueError:
            continue


async def test_a_row_is_packed_on_the_disk_and_read_as_it_was(start: Any, tmp_path: Path) -> None:
    bodies = [body_of(walk(250, seed=seed)) for seed in range(4)]
    async with start() as run:
        seqs = [run.put(0, body=body, urgent=bool(at % 2)) for at, body in enumerate(bodies)]
        await run.store.stored(seqs[-1])
        history = await run.store.queries.history()
        assert [record.body for record in reversed(history)] == bodies
        assert all(not record.bits & PACKED for record in history)
    with database(tmp_path / "gatepost.db") as db:
        rows = db.execute("SELECT seq, series, wall, mono, bits, crc, body FROM reading ORDER BY seq").fetchall()
    assert all(row[4] & PACKED and len(row[6]) < 400 for row in rows)
    assert all(is_sound(row[:5], row[5], row[6]) for row in rows)
    assert check(tmp_path / "gatepost.db").healthy
    assert [record_from(*row[:5], row[6]).body for row in sorted(carve.readings(tmp_path / "gatepost.db"))] == bodies
    async with start() as run:  # nothing in memory: from the file
        for track in (0, 1):
            page = await run.store.queries.page(track, 1, 100, 100)
            assert [record.body for record in page] == bodies[track::2]
        assert (await run.store.queries.one(seqs[0])).body == bodies[0]


async def test_rows_of_an_earlier_schema_are_read_beside_packed_ones(start: Any, tmp_path: Path) -> None:
    old, new = body_of(walk(250, seed=5)), body_of(walk(250, seed=6))
    async with start() as run:
        await run.store.stored(run.put(0, body=old))
    with database(tmp_path / "gatepost.db") as db:
        (row,) = db.execute("SELECT seq, series, wall, mono, bits FROM reading").fetchall()
        plain = Record(*row[:4], row[4] & ~PACKED, old)
        crc = plain_checksum(plain)
        db.execute("UPDATE reading SET bits = ?, crc = ?, body = ?", (plain.bits, crc, old))
        db.execute("PRAGMA user_version = 3")
    async with start() as run:
        await run.store.stored(run.put(0, body=new))
        history = await run.store.queries.history()
        assert [record.body for record in reversed(history)] == [old, new]


async def test_a_row_that_cannot_be_unpacked_is_a_damaged_one(start: Any, tmp_path: Path) -> None:
    async with start() as run:
        await run.store.stored(run.put(0, body=body_of(walk(250))))
        await run.store.stored(run.put(7))
    with database(tmp_path / "gatepost.db") as db:
        (row,) = db.execute("SELECT seq, series, wall, mono, bits FROM reading WHERE seq = 1").fetchall()
        broken = Record(*row, b"\x02\x00\xff")
        db.execute("UPDATE reading SET crc = ?, body = ? WHERE seq = 1", (plain_checksum(broken), broken.body))
    async with start() as run:
        assert await run.numbers() == [7]


def plain_checksum(record: Record) -> int:
    return checksum(record.seq, record.series, record.wall, record.mono, record.bits, record.body)
