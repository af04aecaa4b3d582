"""Microlife's cuff: each measurement once, and nothing but the question for them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.drivers.ble.microlife.driver import CONTROL, BleMicrolife, MicrolifeProfile
from gatepost.drivers.ble.microlife.frames import WORDS, request
from gatepost.drivers.ble.peripheral import GattValue
from gatepost.drivers.ble.profiles.options import RecordOptions
from gatepost.drivers.ble.twin.devices.microlife import MicrolifeTwin
from gatepost.drivers.driver import SessionOver
from tests.ble.profiles.bench import Bench, play, played, values


@played
async def test_each_measurement_once():
    b = Bench(BleMicrolife(RecordOptions()), MicrolifeTwin(stored=5))
    ends = [await b.session(), await b.session()]
    b.now += timedelta(hours=1)
    b.twin.measure()
    ends.append(await b.session())
    assert all(isinstance(end, SessionOver) for end in ends)
    assert len(b.stored) == 6
    assert len({reading.device_time for reading in b.stored}) == 6
    assert all(62 <= value <= 92 for value in values(b.stored, "diastolic"))
    assert b.faults == {}
    assert (b.twin.forbidden, b.twin.goodbyes) == (0, 3)


@pytest.mark.parametrize("kill", range(1, 7))
def test_a_kill_at_any_moment(kill):
    async def scene():
        b = Bench(BleMicrolife(RecordOptions()), MicrolifeTwin(stored=6))
        b.die_after = kill
        await b.session()
        b.die_after = None
        await b.session()
        return b.stored

    assert len({reading.device_time for reading in play(scene())}) == len(play(scene())) == 6


def test_nothing_is_written_to_it():
    driver = BleMicrolife()
    for data in (b"\x06\x01\x02", bytes.fromhex("0d1a0b1d0a1e00"), b"\x00"):
        assert driver.violation(request(data), CONTROL) == "configure"
    for word in WORDS.values():
        assert driver.violation(request(word), CONTROL) is None
        assert driver.violation(request(word) + b"\x00", CONTROL) == "configure"


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_any_octets_are_survived(chunks):
    decoder = BleMicrolife().decoder()
    for data in chunks:
        decoder.feed(GattValue(MicrolifeProfile.streams[0], data, 1, MicrolifeProfile.service))
    assert len(decoder.profile(MicrolifeProfile)._frames._held) <= 4200
