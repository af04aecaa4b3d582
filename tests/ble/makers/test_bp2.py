"""Viatom's cuffs: each stored measurement once, and nothing that could inflate, erase or switch off."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from gatepost.drivers.ble.profiles.options import RecordOptions
from gatepost.drivers.ble.twin.devices.cuff_file import CuffFileTwin
from gatepost.drivers.ble.viatom.bp2_driver import BleViatomBp2, CuffProfile, record_reading
from gatepost.drivers.ble.viatom.frames import lepu_request, request
from gatepost.drivers.driver import SessionOver
from tests.ble.profiles.bench import Bench, played, values


def cuff(**settings) -> Bench:
    return Bench(BleViatomBp2(RecordOptions()), CuffFileTwin(every_seconds=0, **settings))


def pressures(bench: Bench) -> list:
    return [reading for reading in bench.stored if reading.metric == "blood_pressure"]


@pytest.mark.parametrize("older", [False, True])
@played
async def test_each_measurement_once(older):
    b = cuff(older=older, stored=4)
    ended = await b.session()

    async def measure():
        await asyncio.sleep(10)
        b.now += timedelta(minutes=30)
        b.twin.measure()
        await asyncio.sleep(20)

    await b.session(measure)
    assert isinstance(ended, SessionOver)
    assert len(pressures(b)) == 5
    assert len({reading.device_time for reading in pressures(b)}) == 5
    assert all(reading.bookmark is not None for reading in pressures(b))
    assert b.faults == {}
    assert b.twin.forbidden == b.twin.clock_set == 0
    assert all(62 <= value <= 92 for value in values(b.stored, "diastolic"))
    assert ("user_id" in b.stored[0].values) is not older
    assert pressures(b)[-1].device_time == b.now.isoformat()
    assert "from-memory" in pressures(b)[0].flags


def test_a_record_without_pressures_is_no_good_measurement():
    record = {"unix": 1_790_000_000, "systolic": 0, "diastolic": 0, "mean": 0, "heart_rate": 0, "user": 7}
    found = record_reading(record)
    assert (found.values, found.quality) == ({"user_id": 7}, "bad")
    assert found.flags == tuple(f"{name}:not-available" for name in ("systolic", "diastolic", "mean", "heart_rate"))


@pytest.mark.parametrize("kill", range(1, 7))
@played
async def test_a_kill_at_any_moment(kill):
    b = cuff(stored=6)
    b.die_after = kill
    await b.session(lambda: asyncio.sleep(10))
    b.die_after = None
    await b.session(lambda: asyncio.sleep(10))
    found = pressures(b)
    assert len(found) == len({reading.device_time for reading in found}) == 6


@played
async def test_the_pressure_while_somebody_measures():
    b = Bench(BleViatomBp2(RecordOptions()), CuffFileTwin(stored=0, every_seconds=20))
    await b.session(lambda: asyncio.sleep(45))
    assert len(values(b.stored, "pressure")) > 5
    assert len(pressures(b)) == 2
    assert b.known["battery"] == 100


@played
async def test_a_clock_that_is_wrong_is_set():
    b = cuff()
    b.twin.ahead = timedelta(hours=-5)
    await b.session(lambda: asyncio.sleep(5))
    assert b.twin.clock_set == 1
    assert abs(b.twin.ahead) <= timedelta(seconds=1)


@pytest.mark.parametrize("permit", [[], ["reset-device", "set-alert", "delete-records", "configure", "write-memory"]])
def test_no_word_permits_what_inflates(permit):
    driver = BleViatomBp2(RecordOptions(permit=permit))
    for command in (0x09, 0x0A, 0x24, 0x25, 0x39, 0x04, 0xE3, 0xE2, 0x13, 0x01, 0xEE):
        assert driver.violation(lepu_request(command), CuffProfile.control) == "inflate-or-erase"
    assert driver.violation(request(0x18), CuffProfile.control) == "inflate-or-erase"
    for command in (0x00, 0x30, 0xEC, 0xE1, 0xF1, 0xF2, 0xF3, 0xF4):
        assert driver.violation(lepu_request(command), CuffProfile.control) is None
