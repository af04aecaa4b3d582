"""Aranet4: each measurement of its history once, whatever is interrupted; nothing in its settings is changed."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.drivers.ble.aranet.driver import CONTROL, NOW, AranetOptions, BleAranet, NewAranetProfile
from gatepost.drivers.ble.peripheral import GattValue
from gatepost.drivers.ble.twin.devices.aranet import AranetTwin
from gatepost.drivers.driver import SessionOver, WrongDevice
from tests.ble.profiles.bench import Bench, play, played

MOMENT = datetime(2026, 11, 20, 10, 30)  # noqa: DTZ001  # not one of those nights in which an hour comes twice


class Monitor(AranetTwin):
    clock = staticmethod(lambda: MOMENT)  # until it has a bench


def monitor(records: bool = True, **settings) -> Bench:
    bench = Bench(BleAranet(AranetOptions(records=records, poll=600)), Monitor(**settings))
    bench.now = MOMENT
    return bench


def apart(bench: Bench) -> set[float]:
    times = [datetime.fromisoformat(reading.device_time) for reading in bench.stored]
    return {(later - before).total_seconds() for before, later in pairwise(times)}


@played
async def test_each_measurement_once():
    b = monitor(measured=150)
    ends = [await b.session()]
    for minutes in (1, 3, 12, 60):
        b.now += timedelta(minutes=minutes)
        ends.append(await b.session())
    assert all(isinstance(end, SessionOver) and end.pause == 600 for end in ends)
    assert b.faults == {}
    assert len(b.stored) == 150 + 15
    assert apart(b) == {300.0}
    assert all("from-memory" in reading.flags for reading in b.stored)
    assert sum("co2:not-available" in reading.flags for reading in b.stored) == 165 // 7
    assert b.stored[0].values == {"temperature": 21.05, "humidity": 46, "pressure": 1015.1, "co2": 601}
    assert b.twin.forbidden == 0
    assert b.known["battery"] == 100


@pytest.mark.parametrize("kill", [1, 7, 150, 250, 251, 399])
@played
async def test_a_kill_at_any_moment(kill):
    b = monitor(measured=400)
    b.die_after = kill
    await b.session()
    b.die_after = None
    await b.session()
    assert len(b.stored) == 400
    assert apart(b) == {300.0}


@played
async def test_a_memory_that_went_round():
    b = monitor(measured=2500, interval_seconds=60)
    await b.session()
    b.now += timedelta(minutes=2)
    await b.session()
    assert len(b.stored) == 2018
    assert apart(b) == {60.0}


@played
async def test_a_measurement_while_the_history_is_read():
    b = monitor(measured=200)
    told = b.twin._told

    def measure(data: bytes) -> None:
        if b.twin.asked == 0 and data[1] == 2:
            b.now += timedelta(seconds=300)
            b.twin.asked = 1
        told(data)

    b.twin.find(CONTROL).on_write = measure
    await b.session()
    assert len(b.stored) == 201
    assert apart(b) == {300.0}


def test_without_its_history_the_current_values():
    async def scene(trusted, records):
        b = monitor(records)
        b.trusted = trusted
        await b.session()
        return b

    for b in (play(scene(False, True)), play(scene(True, False))):
        (reading,) = b.stored
        assert reading.values.keys() == {"temperature", "humidity", "pressure", "co2"}
        assert reading.bookmark is None


@played
async def test_a_history_that_does_not_come():
    b = monitor()
    b.twin.find(CONTROL).on_write = lambda data: None
    await b.session()
    assert len(b.stored) == 1
    assert b.faults == {"no-history": 1}


@played
async def test_another_aranet_is_told():
    twin = AranetTwin()
    for characteristic in twin:
        if characteristic.uuid == NOW:
            characteristic.uuid = NOW.replace("3001", "1504")
    assert isinstance(await Bench(BleAranet(), twin).session(), WrongDevice)


def test_its_settings_are_not_written():
    driver = BleAranet()
    for word in (b"\x90\x05", b"\x91\x01", b"\x00", b""):
        assert driver.violation(word, CONTROL) == "configure"
    assert driver.violation(bytes.fromhex("6104de01"), CONTROL) is None


@given(st.lists(st.binary(max_size=30), max_size=30))
def test_any_octets_are_decoded_or_refused(chunks):
    decoder = BleAranet().decoder()
    for data in chunks:
        for uuid in NewAranetProfile.streams:
            decoder.feed(GattValue(uuid, data, 1, NewAranetProfile.service))
    good = bytes.fromhex("a503b301b527305d012c012c00")
    found = decoder.feed(GattValue(NOW, good, 1, NewAranetProfile.service))
    assert found[0].values["co2"] == 933
