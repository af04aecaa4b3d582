"""Glucose meters: every record once, whatever happens on the way; contexts; what is never said."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from gatepost.drivers.ble.driver import FIRST_REST, LAST_REST
from gatepost.drivers.ble.peripheral import GattError
from gatepost.drivers.ble.profiles.glucose import BleGlucose
from gatepost.drivers.ble.profiles.options import RecordOptions
from gatepost.drivers.ble.twin.devices.glucose import GlucoseTwin
from gatepost.drivers.driver import SessionOver
from tests.ble.profiles.bench import Bench, play, played, values


def bench(**settings) -> Bench:
    return Bench(BleGlucose(RecordOptions()), GlucoseTwin(every_seconds=0, **settings))


@played
async def test_every_record_comes_once_and_the_meter_is_left_alone():
    b = bench(stored=25)
    ended = await b.session()
    assert isinstance(ended, SessionOver)
    assert ended.pause == FIRST_REST
    assert values(b.stored, "sequence_number") == list(range(1, 26))
    assert all("from-memory" in reading.flags for reading in b.stored)
    again = await b.session()
    assert isinstance(again, SessionOver)
    assert again.pause == FIRST_REST
    assert len(b.stored) == 25
    assert b.twin.access.reported == 25 + 2  # the newest one is looked at each time
    assert b.known["serial_number"] == b.twin.serial
    assert b.known["battery"] == 100
    assert b.faults == {}


@played
async def test_visits_without_news_become_rarer_up_to_a_bound():
    b = bench(stored=2)
    pauses = [(await b.session()).pause for _ in range(6)]
    b.twin.measure()
    assert (pauses, (await b.session()).pause) == (
        [FIRST_REST, FIRST_REST, 30, LAST_REST, LAST_REST, LAST_REST],
        FIRST_REST,
    )


@played
async def test_only_what_is_new_is_asked_for():
    b = bench(stored=10)
    await b.session()
    for _ in range(3):
        b.twin.measure()
    await b.session()
    assert values(b.stored, "sequence_number") == list(range(1, 14))
    assert (b.peripheral.find(b.twin.access.point.uuid).uuid, bytes((1, 3, 1, 11, 0))) in b.peripheral.said
    assert b.progress[-1] == (3, 3)


@played
async def test_a_context_goes_with_its_measurement():
    b = bench(stored=12)
    await b.session()
    found = {reading.values["sequence_number"]: reading for reading in b.stored}
    assert any(flag.startswith("meal-") for flag in found[3].flags)
    assert found[6].values["carbohydrate"] == 0.045
    assert not any(flag.startswith("meal-") for flag in found[4].flags)
    assert "glucose" not in found[7].values
    assert "glucose:control-solution" in found[7].flags


@pytest.mark.parametrize("per_tick", [1, 2, 7])
def test_killed_after_any_record_none_is_lost_and_none_comes_twice(per_tick):
    for kill in range(1, 20):

        async def scene(kill=kill):
            b = bench(stored=20, per_tick=per_tick)
            b.die_after = kill
            await b.session()
            assert len(b.stored) == kill
            b.die_after = None
            await b.session()
            assert values(b.stored, "sequence_number") == list(range(1, 21))

        play(scene())


@played
async def test_a_link_lost_in_the_middle_and_again():
    b = bench(stored=40)
    for _ in range(30):

        async def fall():
            before = len(b.stored)
            while len(b.stored) < before + 3:
                await asyncio.sleep(0.05)
            b.lose()
            await asyncio.sleep(1)

        if isinstance(await b.session(fall), SessionOver):
            break
    assert values(b.stored, "sequence_number") == list(range(1, 41))


@played
async def test_a_meter_whose_memory_was_cleared_starts_anew():
    b = bench(stored=10)
    await b.session()
    b.twin.records.clear()
    b.twin.number = 0
    b.now += timedelta(days=4)
    for _ in range(4):
        b.twin.measure()
    await b.session()
    assert values(b.stored, "sequence_number") == [*range(1, 11), 1, 2, 3, 4]
    await b.session()
    assert len(b.stored) == 14


@played
async def test_a_cleared_meter_that_has_more_records_than_before():
    b = bench(stored=5)
    await b.session()
    b.twin.records.clear()
    b.twin.number = 0
    b.now += timedelta(days=4)
    for _ in range(12):
        b.twin.measure()
    await b.session()
    assert values(b.stored, "sequence_number") == [*range(1, 6), *range(1, 13)]


@played
async def test_a_record_deleted_on_the_meter_brings_nothing_back():
    b = bench(stored=10)
    await b.session()
    del b.twin.records[-2:]
    await b.session()
    assert len(b.stored) == 10
    b.twin.measure()
    await b.session()
    assert values(b.stored, "sequence_number") == list(range(1, 12))


@played
async def test_numbers_that_wrap():
    b = bench(stored=0)
    b.twin.number = 65530
    for _ in range(3):
        b.twin.measure()
    await b.session()
    for _ in range(6):  # the twin goes from 65535 to 1
        b.twin.measure()
    await b.session()
    assert values(b.stored, "sequence_number") == [65531, 65532, 65533, 65534, 65535, 1, 2, 3, 4]
    b.twin.measure()
    await b.session()
    await b.session()
    assert values(b.stored, "sequence_number")[9:] == [5]


@played
async def test_another_meter_at_the_same_place_is_read_whole():
    b = bench(stored=10)
    await b.session()
    b.twin = GlucoseTwin(seed=5, stored=3, every_seconds=0)
    b.twin.clock = lambda: b.now
    await b.session()
    assert len(b.stored) == 13
    assert len(b.marks) == 2


def test_newest_first_and_killed():
    async def scene(kill):
        b = bench(stored=20)
        b.twin.records.reverse()
        last = b.twin.access._chosen
        b.twin.access._chosen = lambda data: last(b"\x01\x05") if data == b"\x01\x06" else last(data)
        b.die_after = kill
        await b.session()
        b.die_after = None
        await b.session()
        await b.session()
        assert sorted(values(b.stored, "sequence_number")) == list(range(1, 21))

    for kill in range(1, 20):
        play(scene(kill))


@played
async def test_a_procedure_that_did_not_end_is_tried_again():
    b = bench(stored=10)
    b.twin.access.fail_after = 5

    async def mend():
        while len(b.stored) < 4:
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        b.twin.access.fail_after = None
        await asyncio.sleep(30)

    await b.session(mend)
    assert values(b.stored, "sequence_number") == list(range(1, 11))


@played
async def test_a_meter_that_falls_silent_is_told_to_stop():
    b = bench(stored=30)

    async def silence():
        while len(b.stored) < 5:
            await asyncio.sleep(0.05)
        b.twin.access.tick = lambda: None
        await asyncio.sleep(50)

    ended = await b.session(silence)
    assert isinstance(ended, TimeoutError)
    assert b.peripheral.said[-1][1] == b"\x03\x00"


@pytest.mark.parametrize("known", [b"\x01\x01", b"\x01\x06", b"\x04\x01"])
@played
async def test_a_meter_that_refuses_questions_by_att_errors(known):
    b = bench(stored=4)
    point = b.twin.access.point
    told = point.on_write

    def write(data):
        if data not in (known, b"\x01\x01", b"\x03\x00"):
            raise GattError("what?", 0x03)
        told(data)

    point.on_write = write
    assert isinstance(await b.session(), SessionOver)
    assert values(b.stored, "sequence_number") == [1, 2, 3, 4]


@pytest.mark.parametrize("code", [0x80, 0x81])
@played
async def test_refusals_of_the_service(code):
    b = bench(stored=4)
    point = b.twin.access.point
    told, refusals = point.on_write, [code, code]

    def write(data):
        if data != b"\x03\x00" and refusals:
            raise GattError("not now", refusals.pop())
        told(data)

    point.on_write = write
    await b.session()
    assert len(b.stored) == 4


@played
async def test_a_meter_that_knows_only_the_simplest_question():
    b = bench(stored=6)
    from gatepost.drivers.ble.twin.devices.records import NO_OP, NO_OPERATOR, _Refused

    chosen = b.twin.access._chosen

    def simple(data):
        if data[0] == 4:
            raise _Refused(NO_OP)
        if data[1] != 1:
            raise _Refused(NO_OPERATOR)
        return chosen(data)

    b.twin.access._chosen = simple
    await b.session()
    await b.session()
    b.twin.measure()
    await b.session()
    assert values(b.stored, "sequence_number") == list(range(1, 8))


@played
async def test_a_meter_that_does_not_answer_what_it_does_not_know():
    b = bench(stored=6)
    told = b.twin.access.point.on_write
    b.twin.access.point.on_write = lambda data: told(data) if data in (b"\x01\x01", b"\x03\x00") else None

    async def wait():
        await asyncio.sleep(55)

    assert isinstance(await b.session(wait), SessionOver)
    assert values(b.stored, "sequence_number") == list(range(1, 7))


@played
async def test_the_command_asks_for_all_and_reports_nothing_twice():
    b = bench(stored=6)
    b.driver = BleGlucose(RecordOptions(records=False))

    async def command():
        from gatepost.drivers.ble.profiles.commands import ReadStored

        await asyncio.sleep(3)
        first = await b.command("read_stored", ReadStored())
        second = await b.command("read_stored", ReadStored(all=True))
        assert (first, second) == ({"records": 6}, {"records": 0})

    await b.session(command)
    assert len(b.stored) == 6


@played
async def test_the_fixed_order_of_a_session():
    b = bench(stored=1)
    await b.session()
    steps = b.peripheral.steps
    kinds = [step.split()[0] for step in steps]
    last_subscription = max(index for index, kind in enumerate(kinds) if kind == "subscribe")
    first_write = kinds.index("write")
    assert last_subscription < first_write
    assert steps.index("read 2a25") < steps.index("subscribe 2a18") < steps.index("subscribe 2a52")
