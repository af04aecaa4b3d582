"""Viatom's rings: live values, recordings of which each record comes once, and what is never said to them."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.drivers.ble.peripheral import GattValue
from gatepost.drivers.ble.profiles.options import RecordOptions
from gatepost.drivers.ble.twin.devices.ring import RingTwin
from gatepost.drivers.ble.viatom import ring_values
from gatepost.drivers.ble.viatom.frames import lepu_request, request
from gatepost.drivers.ble.viatom.o2_driver import BleViatomO2
from gatepost.drivers.ble.viatom.ring_profiles import PROFILES, NewRingProfile, OldRingProfile
from gatepost.drivers.driver import SessionOver, SyncTime
from tests.ble.profiles.bench import Bench, played, values

MODELS = ("o2ring", "o2ring-s")


def ring(model: str, records: bool = True, **settings) -> Bench:
    return Bench(BleViatomO2(RecordOptions(records=records)), RingTwin(model=model, **settings))


def stored(bench: Bench) -> list:
    return [reading for reading in bench.stored if reading.bookmark is not None]


def live(bench: Bench) -> list:
    return [reading for reading in bench.stored if reading.bookmark is None and reading.metric == "pulse_oximetry"]


@pytest.mark.parametrize("model", MODELS)
@played
async def test_live_values_for_minutes(model):
    b = ring(model, records=False)
    await b.session(lambda: asyncio.sleep(120))
    b.twin.worn = False
    await b.session(lambda: asyncio.sleep(10))
    assert b.faults == {}
    assert len(live(b)) > 55
    assert all(90 <= value <= 100 for value in values(live(b), "spo2"))
    assert values(live(b), "motion")[0] == 3
    assert live(b)[-1].values.keys() <= {"motion", "perfusion_index"}
    assert live(b)[-1].quality == "bad"
    assert b.twin.forbidden == b.twin.clock_set == 0
    assert b.known["battery"] == 100
    if model == "o2ring":
        states = [reading.values for reading in b.stored if reading.metric == "state"]
        assert states == [{"worn": True}, {"worn": False}]
        assert "spo2:no-finger" in live(b)[-1].flags


@pytest.mark.parametrize("model", MODELS)
@played
async def test_each_recording_once(model):
    b = ring(model, nights=2, seconds=400)
    ends = [await b.session(lambda: asyncio.sleep(30))]
    await b.session(lambda: asyncio.sleep(30))
    b.now += timedelta(hours=2)
    b.twin.record(seconds=40)
    await b.session(lambda: asyncio.sleep(1300))
    await b.session(lambda: asyncio.sleep(60))
    each = (100, 10) if model == "o2ring" else (400, 40)
    assert len(stored(b)) == 2 * each[0] + each[1]
    assert len({reading.device_time for reading in stored(b)}) == len(stored(b))
    assert [reading.device_time for reading in stored(b)] == sorted(reading.device_time for reading in stored(b))
    assert all("from-memory" in reading.flags for reading in stored(b))
    assert len(b.twin.downloads) == len(set(b.twin.downloads)) == 3
    assert live(b)
    assert b.twin.forbidden == 0
    assert isinstance(ends[0], SessionOver) is (model == "o2ring-s")
    step = datetime.fromisoformat(stored(b)[1].device_time) - datetime.fromisoformat(stored(b)[0].device_time)
    assert step == timedelta(seconds=4 if model == "o2ring" else 1)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kill", [1, 37, 100, 399, 401])
@played
async def test_a_kill_at_any_moment(model, kill):
    b = ring(model, nights=2, seconds=800 if model == "o2ring" else 300)
    b.die_after = kill
    await b.session(lambda: asyncio.sleep(30))
    b.die_after = None
    b.driver = BleViatomO2(RecordOptions())
    await b.session(lambda: asyncio.sleep(60))
    found = stored(b)
    assert len(found) == len({reading.device_time for reading in found}) == (400 if model == "o2ring" else 600)


@pytest.mark.parametrize("model", MODELS)
@played
async def test_an_answer_that_comes_twice_is_not_taken_for_the_next_part(model):
    """A ring that is busy for a while answers the question, and the question that was repeated meanwhile."""
    b = ring(model, nights=1, seconds=2400 if model == "o2ring" else 600)
    loop, read = asyncio.get_running_loop(), 0x04 if model == "o2ring" else 0xF3
    control = next(each for each in b.twin if each.on_write is not None)
    request, free, asked = control.on_write, 0.0, 0

    def slowly(data):
        nonlocal free, asked
        reads = data[1:3] == bytes((read, read ^ 0xFF))
        asked += reads
        free = max(free, loop.time()) + (6.0 if reads and asked == 2 else 0.05)
        loop.call_at(free, request, data)

    control.on_write = slowly
    await b.session(lambda: asyncio.sleep(60))
    assert asked > 3
    found = [(reading.values["spo2"], reading.values["heart_rate"]) for reading in stored(b)]
    (data,) = b.twin.files.values()
    file = ring_values.read_file(data) if model == "o2ring" else ring_values.read_new_file(data)
    assert found == [(spo2, rate) for _, spo2, rate, _ in file.records()]


@played
async def test_a_recording_that_is_being_written_is_left_for_later():
    b = ring("o2ring-s", nights=1)
    name = next(iter(b.twin.files))
    b.twin.files[name] = b.twin._newer([(97, 60)] * 20, finished=False)
    await b.session(lambda: asyncio.sleep(30))
    first = len(stored(b))
    b.twin.files[name] = b.twin._newer([(97, 60)] * 50)
    b.driver._kept.clear()
    await b.session(lambda: asyncio.sleep(30))
    assert first == 0
    assert len(stored(b)) == 50


@played
async def test_a_ring_that_knows_only_the_newer_question():
    b = ring("o2ring", records=False)
    b.twin.deaf_to = {0x17}
    await b.session(lambda: asyncio.sleep(30))
    assert len(live(b)) > 25
    assert b.faults == {}


@played
async def test_a_recording_of_another_version_keeps_nobody_from_the_rest():
    b = ring("o2ring", nights=2)
    name = min(b.twin.files)
    b.twin.files[name] = b"\x02" + b.twin.files[name][1:]
    await b.session(lambda: asyncio.sleep(30))
    assert len(stored(b)) == 10
    assert b.faults == {"bad_version": 1}
    assert live(b)


@pytest.mark.parametrize("model", MODELS)
@played
async def test_the_clock_is_set_where_it_is_wrong_or_when_told(model):
    b = ring(model, records=False)
    b.twin.ahead = timedelta(hours=3)
    answers = []

    async def tell():
        await asyncio.sleep(5)
        answers.append(b.twin.ahead)
        answers.append(await b.command("sync_time", SyncTime(datetime(2026, 11, 29, 10, 30))))  # noqa: DTZ001

    await b.session(tell)
    assert abs(answers[0]) <= timedelta(seconds=1)
    assert answers[1] == {"time": "2026-11-29T10:30:00"}
    assert b.twin.clock_set == 2
    assert b.twin.forbidden == 0


def test_what_changes_a_ring_is_refused():
    driver = BleViatomO2()
    old, new = OldRingProfile.control, NewRingProfile.control
    assert driver.violation(request(0x18), old) == "reset-device"
    assert driver.violation(request(0x16, b'{"SetOxiThr":"80"}')[:20], old) == "set-alert"
    assert driver.violation(lepu_request(0x01, b"\1"), new) == "set-alert"
    for command in (0xE2, 0xE3, 0xEE, 0x00, 0x09):
        assert driver.violation(lepu_request(command), new) == "reset-device"
    for command in ("sensors", "live", "info", "close"):
        assert driver.violation(ring_values.ask(command), old) is None
    time = ring_values.ask("set_time", time="2026-11-29,10:30:00")
    assert all(driver.violation(time[at : at + 20], old) is None for at in range(0, len(time), 20))
    assert driver.violation(b"\xaa", old) is None  # the check of a request that ends so
    for unix in range(1764000000, 1764003000, 7):
        greeting = ring_values.ask_new("auth", time=unix)
        assert driver.violation(greeting[20:], new) is None  # whatever its second piece begins with
    for command in ("info", "live", "list", "close", "hello-info"):
        assert driver.violation(ring_values.ask_new(command), new) is None


@pytest.mark.parametrize("profile", PROFILES, ids=lambda each: each.__name__)
@given(chunks=st.lists(st.binary(max_size=60), max_size=30))
def test_any_octets_are_survived(profile, chunks):
    decoder = BleViatomO2().decoder()
    for chunk in chunks:
        decoder.feed(GattValue(profile.streams[0], chunk, 1, profile.service))
    good = {
        OldRingProfile: "5500ff00000d00624200000000006100920a01002f",
        NewRingProfile: "a504fb01011a00070000000001610a48000000005000000000000000000000000090",
    }[profile]
    value = GattValue(profile.streams[0], bytes.fromhex(good), 1, profile.service)
    found = (item for _ in range(300) for item in decoder.feed(value))
    assert any(getattr(item, "metric", "") == "pulse_oximetry" for item in found)
