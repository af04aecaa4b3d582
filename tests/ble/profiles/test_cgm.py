"""Continuous glucose: live values beside stored ones, sessions that begin anew, check values."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from gatepost.drivers.ble.profiles.cgm import BleCgm
from gatepost.drivers.ble.profiles.commands import ReadStored
from gatepost.drivers.ble.profiles.options import RecordOptions
from gatepost.drivers.ble.twin.devices.cgm import CgmTwin
from tests.ble.profiles.bench import Bench, play, played, values


def bench(records: bool = True, **settings) -> Bench:
    return Bench(BleCgm(RecordOptions(records=records)), CgmTwin(**settings))


def offsets(bench: Bench) -> list[int]:
    return values(bench.stored, "time_offset")


@pytest.mark.parametrize("with_crc", [True, False])
@played
async def test_stored_and_live_values_without_a_double(with_crc):
    b = bench(stored=40, every_seconds=1, with_crc=with_crc, per_tick=1)
    await b.session(lambda: asyncio.sleep(320))
    seen = len(b.stored)
    await b.session(lambda: asyncio.sleep(320))
    assert sorted(offsets(b)) == list(range(0, b.twin.offset, 5))
    assert b.faults == {}
    assert 45 < seen < len(b.stored)
    first = min(b.stored, key=lambda reading: reading.values["time_offset"])
    assert first.device_time == b.twin.start.isoformat()
    assert "from-memory" in first.flags
    assert "from-memory" not in b.stored[-1].flags


def test_killed_at_any_record():
    for kill in range(1, 40, 3):

        async def scene(kill=kill):
            b = bench(stored=30, every_seconds=0.7, per_tick=1)
            b.die_after = kill
            await b.session()
            b.die_after = None
            await b.session(lambda: asyncio.sleep(320))
            return b

        b = play(scene())
        assert sorted(offsets(b)) == list(range(0, b.twin.offset, 5))


@played
async def test_a_new_session_starts_anew():
    b = bench(stored=20, every_seconds=0)
    await b.session(lambda: asyncio.sleep(10))
    b.twin.records.clear()
    b.now += timedelta(days=1)
    b.twin.start, b.twin.offset = b.now, 0
    for _ in range(4):
        b.twin.measure()
    await b.session(lambda: asyncio.sleep(10))
    await b.session(lambda: asyncio.sleep(10))
    assert offsets(b) == [*range(0, 100, 5), 0, 5, 10, 15]


@played
async def test_a_session_that_begins_while_connected_is_noticed():
    b = bench(stored=5, every_seconds=0)

    async def anew():
        await asyncio.sleep(10)
        b.twin.records.clear()
        b.now += timedelta(days=1)
        b.twin.start, b.twin.offset = b.now, 0
        for _ in range(3):
            b.twin.measure()
        await asyncio.sleep(340)

    b.driver.bookmarks = {}
    task = asyncio.create_task(b.session(anew))
    await asyncio.sleep(400)
    task.cancel()
    assert offsets(b)[:5] == [0, 5, 10, 15, 20]


@played
async def test_a_start_that_moves_by_a_second_is_the_same_session():
    b = bench(stored=5, every_seconds=0)
    await b.session(lambda: asyncio.sleep(5))
    b.twin.start += timedelta(seconds=2)
    await b.session(lambda: asyncio.sleep(5))
    assert len(b.stored) == 5


@played
async def test_live_values_only_where_no_records_are_wanted():
    b = bench(records=False, stored=10, every_seconds=1)
    await b.session(lambda: asyncio.sleep(6))
    live = offsets(b)
    answers = []

    async def ask():
        await asyncio.sleep(2)
        answers.append(await b.command("read_stored", ReadStored(all=True)))

    await b.session(ask)
    live, _, b = live, answers, b
    assert live[0] >= 50
    assert len(set(offsets(b))) == len(offsets(b))


@played
async def test_a_wrong_check_value_is_counted():
    b = bench(stored=0, every_seconds=0)

    async def spoil():
        await asyncio.sleep(2)
        record = b.twin.measure()
        data = record.values[0][1]
        b.twin.send(b.twin._measurement, data[:-1] + bytes((data[-1] ^ 1,)))
        b.twin.send(b.twin._measurement, data)
        await asyncio.sleep(1)

    await b.session(spoil)
    assert b.faults == {"bad_crc": 1}
    assert len(b.stored) == 1
