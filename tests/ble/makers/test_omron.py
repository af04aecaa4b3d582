"""Omron devices: every record once, over any channels, after any kill; nothing in their memory is ever written."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.drivers.ble.omron import frames
from gatepost.drivers.ble.omron.driver import PAIR, PUBLIC_KEY, BleOmron, OmronOptions
from gatepost.drivers.ble.omron.layouts import book, find_layout
from gatepost.drivers.ble.omron.profile import NOTIFY, UNLOCK, WRITE, ClassicOmronProfile
from gatepost.drivers.ble.omron.records import RECORDS
from gatepost.drivers.ble.peripheral import GattValue
from gatepost.drivers.ble.profiles.commands import ReadStored
from gatepost.drivers.ble.twin.devices.omron import MODELS, OmronTwin
from gatepost.drivers.driver import CommandFailed, NoParameters, SessionOver, WrongDevice
from gatepost.drivers.options import WrongOptions
from gatepost.drivers.reading import Reading
from tests.ble.profiles.bench import Bench, play, played, values

KEY = "00112233445566778899aabbccddeeff"


def cuff(model: str, stored: int = 3, **options) -> Bench:
    twin = OmronTwin(model=model, stored=stored, key=bytes.fromhex(KEY))
    return Bench(BleOmron(OmronOptions(key=KEY, **options)), twin)


@pytest.mark.parametrize("model", MODELS)
@played
async def test_each_model_is_read_once_and_left(model):
    b = cuff(model, stored=5)
    ended = await b.session()
    first = len(b.stored)
    octets = b.twin.read_octets
    await b.session()
    again = b.twin.read_octets - octets
    b.now += timedelta(minutes=20)
    b.twin.measure()
    await b.session()
    users = len(MODELS[model].rings)
    assert isinstance(ended, SessionOver)
    assert first == 5 * users
    assert len(b.stored) == first + 1
    assert again < 200 * users
    assert b.faults == {}
    assert b.twin.written == 0
    assert all(reading.bookmark is not None for reading in b.stored)
    assert {reading.metric for reading in b.stored} == {"blood_pressure"}
    assert all(97 < value < 152 for value in values(b.stored, "systolic"))
    assert [reading.device_time for reading in b.stored[:5]] == sorted(r.device_time for r in b.stored[:5])
    assert set(values(b.stored, "user_id")) == (set() if users == 1 else {1, 2})
    assert "from-memory" in b.stored[0].flags
    assert "from-memory" not in b.stored[-1].flags


@pytest.mark.parametrize("kill", range(1, 12))
@played
async def test_a_kill_at_any_moment(kill):
    b = cuff("HEM-7322T", stored=6)
    b.die_after = kill
    await b.session()
    b.die_after = None
    await b.session()
    stored = b.stored
    assert len(stored) == 12
    assert len({(reading.device_time, reading.values["user_id"]) for reading in stored}) == 12


@played
async def test_an_interrupted_download_in_another_order_loses_nothing():
    b = cuff("HEM-7143T1", stored=40)
    index = bytes(b.twin.memory[0x260:0x262])
    b.twin.memory[0x260:0x262] = b"\xff\xff"  # not believed: the slots are read as they lie
    b.die_after = 15
    await b.session()
    b.die_after = None
    b.driver = BleOmron(OmronOptions(key=KEY))
    b.twin.memory[0x260:0x262] = index
    await b.session()
    assert len(b.stored) == 30
    assert len({reading.device_time for reading in b.stored}) == 30


@played
async def test_a_ring_that_went_round_is_read_from_its_oldest():
    b = cuff("HEM-7143T1", stored=40)
    await b.session()
    times = [reading.device_time for reading in b.stored]
    assert len(times) == 30
    assert times == sorted(times)


@pytest.mark.parametrize("index", [b"\x00\x00", b"\x07\x07", b"\xff\xff", b"\x80\x00"])
@played
async def test_an_index_that_is_wrong_loses_no_record(index):
    b = cuff("HEM-7143T1", stored=40)
    b.twin.memory[0x260:0x262] = index
    await b.session()
    await b.session()
    assert len(b.stored) == 30
    assert len({reading.device_time for reading in b.stored}) == 30


@played
async def test_a_device_that_is_slow_to_answer_is_asked_again():
    b = cuff("HEM-7143T1")
    b.twin.deaf = 4
    await b.session()
    b.twin.deaf = 5
    b, ended = b, await b.session()
    assert len(b.stored) == 3
    assert isinstance(ended, TimeoutError)


@played
async def test_a_clock_that_is_wrong_is_told_and_not_set():
    b = cuff("HEM-7322T", stored=1)
    b.twin.ahead = timedelta(days=-400)
    b.twin.measure()
    await b.session()
    assert b.faults == {"clock-not-set": 1}
    assert all("clock-not-set" in reading.flags for reading in b.stored)
    assert b.twin.written == 0


def test_without_its_key_it_waits_to_be_paired():
    async def scene(permit):
        twin = OmronTwin(model="HEM-7155T", stored=2)
        b = Bench(BleOmron(OmronOptions(key=KEY, permit=permit)), twin)
        answers = []

        async def pair():
            await asyncio.sleep(10)
            assert b.stored == []
            try:
                await b.command("pair", NoParameters())
            except CommandFailed as refused:
                answers.append(refused.key)
            twin.pairing_mode = True
            answers.append(await b.command("pair", NoParameters()))

        await b.session(pair)
        faults = b.faults
        await b.session()
        return b, answers, faults

    b, answers, faults = play(scene(["program-key"]))
    assert answers == ["not-in-pairing-mode", {"paired": True}]
    assert faults == {"not-paired": 1}
    assert len(b.stored) == 4
    with pytest.raises(AssertionError, match="a forbidden word"):
        play(scene([]))


def test_what_changes_the_memory_or_the_key_is_refused():
    driver = BleOmron()
    for word in ("01c0", "0201", "0f01", "ffff", "01"):
        assert driver.violation(b"\x08" + bytes.fromhex(word) + b"\x02\xa4\x08\x00", WRITE[0]) == "write-memory"
    assert all(driver.violation(b"\x00", each) == "write-memory" for each in WRITE[1:])
    assert driver.violation(b"\x02" + bytes(16), UNLOCK) == "program-key"
    assert driver.violation(b"\x00" + bytes(16), UNLOCK) == "program-key"
    for data in (frames.OPEN, frames.CLOSE, frames.read_request(0x260, 8)):
        assert driver.violation(data, WRITE[0]) is None
    assert driver.violation(b"\x01" + bytes(16), UNLOCK) is None
    assert PAIR in driver.commands


def test_models_and_their_names():
    assert find_layout("HEM-7155T-EBK").rings[1].address == 0x458
    assert find_layout("hem-7155t_k4-ebk").rings[1].address == 0x6A8
    assert find_layout("HEM-7155T_ESL", channels=1) is None
    assert find_layout("Evolv").model == "HEM-7600T"
    assert find_layout("BP5465").spec.unlock == "token"
    assert find_layout("UA-651") is None
    with pytest.raises(WrongOptions, match="UA-651"):
        OmronOptions(model="UA-651")
    with pytest.raises(WrongOptions, match="every tool"):
        OmronOptions(key=PUBLIC_KEY)
    assert KEY not in repr(OmronOptions(key=KEY))


def test_layouts_are_sound():
    spec = book()
    models = [model for layout in spec.layouts for kind in layout.kinds for model in kind.models]
    assert len(models) == len(set(models))
    assert all(find_layout(model) is not None for model in spec.names.values())
    for layout in spec.layouts:
        for kind in layout.kinds:
            ends = 0
            for address, count in kind.users:
                assert int(address, 16) >= ends
                ends = int(address, 16) + count * RECORDS[layout.record][0]
    assert all(re.fullmatch(r"[0-9A-F]{4}", layout.settings or "0000") for layout in spec.layouts)


def test_a_model_that_is_not_known_is_told():
    async def scene(**options):
        twin = OmronTwin(model="HEM-7143T1")
        twin.find(0x2A24).value = b"HEM-9999T"
        return await Bench(BleOmron(OmronOptions(**options)), twin).session()

    assert isinstance(play(scene()), WrongDevice)
    assert isinstance(play(scene(model="M2 Intelli IT")), SessionOver)


@played
async def test_read_stored_asks_for_all_and_repeats_none():
    b = cuff("HEM-7143T1", records=False)
    answers = []

    async def ask():
        await asyncio.sleep(5)
        answers.append(await b.command("read_stored", ReadStored()))
        answers.append(await b.command("read_stored", ReadStored(all=True)))

    await b.session(ask)
    assert answers == [{"records": 3}, {"records": 0}]
    assert len(b.stored) == 3


@given(st.lists(st.tuples(st.integers(0, 4), st.binary(max_size=80)), max_size=30))
def test_any_octets_on_any_channel(values):
    decoder = BleOmron(OmronOptions(model="HEM-7322T")).decoder()
    channels = (*NOTIFY, UNLOCK)
    for channel, data in values:
        for item in decoder.feed(GattValue(channels[channel], data, 1, ClassicOmronProfile.service)):
            assert not isinstance(item, Reading) or item.bookmark is not None
