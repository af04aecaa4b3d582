"""Body scales of makers: one weight for a weighing, the impedance as it is, no weight in a unit that nobody knows."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.drivers.ble.peripheral import GattValue
from gatepost.drivers.ble.scales.driver import PROFILES, BleScale, Fff0Profile, MakersScaleOptions
from gatepost.drivers.ble.twin.devices.makers_scale import DIALECTS, MakersScaleTwin
from gatepost.drivers.reading import Reading
from tests.ble.profiles.bench import Bench, play, values


def weighed(dialect: str, model: str = "dr-trust", again: bool = True) -> Bench:
    async def scene() -> Bench:
        b = Bench(BleScale(MakersScaleOptions(model=model)), MakersScaleTwin(dialect=dialect, every_seconds=0))

        async def step_on() -> None:
            await asyncio.sleep(40)
            if again:
                b.twin.weigh()
                await asyncio.sleep(20)

        await b.session(step_on)
        return b

    return play(scene())


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_weighing_once(dialect):
    b = weighed(dialect)
    assert b.faults == {}
    weights = values([one for one in b.stored if one.metric == "body_weight"], "weight")
    bodies = [one for one in b.stored if one.metric == "body_composition"]
    assert len(bodies) == 2
    assert len(weights) == (0 if dialect == "yunmai" else 2)
    assert bodies[1].values["weight"] == b.twin.kilograms
    assert bodies[1].values["impedance"] == 487
    assert bodies[1].units == {"weight": "kg", "impedance": "Ohm"} | ({"impedance_2": "Ohm"} if "qn" in dialect else {})
    assert (bodies[0].bookmark is not None) is (dialect == "yunmai")


def test_an_ac02_whose_unit_is_not_known_gives_no_weight():
    b = weighed("ac02", model="")
    assert [one.values for one in b.stored] == [{}, {}]
    assert b.stored[0].flags == ("weight:unknown-unit",)
    assert b.faults == {"unknown-unit": 2}
    pounds = weighed("ac02", model="fittrack-lb", again=False)
    assert pounds.stored[0].units == {"weight": "[lb_av]"}
    assert pounds.stored[0].values["weight"] == pytest.approx(pounds.twin.kilograms * 10)


def test_what_a_qn_scale_is_told():
    b = weighed("qn", again=False)
    assert [data[0] for data in b.twin.told] == [0x13, 0x20, 0xA0, 0x22]
    assert b.twin.told[0] == bytes.fromhex("130915011000000042")


def test_a_weight_of_a_layout_that_was_not_told_is_refused():
    decoder = BleScale().decoder()
    frame = bytes.fromhex("100b151eb80101f401e0dd")
    assert decoder.feed(GattValue(Fff0Profile.streams[0], frame, 1, Fff0Profile.service)) == []
    assert dict(decoder.faults) == {"unsupported": 1}


@given(st.lists(st.tuples(st.sampled_from(PROFILES), st.binary(max_size=24)), max_size=40))
def test_any_octets_are_decoded_or_refused(frames):
    decoder = BleScale().decoder()
    for kind, data in frames:
        for item in decoder.feed(GattValue(kind.streams[-1], data, 1, kind.service)):
            assert not isinstance(item, Reading) or item.metric.startswith("body_")
    found = []
    for text in ("5a0a26100200002121340aaa", "5a0b261100000000000189b4aa"):
        found += decoder.feed(GattValue(Fff0Profile.streams[0], bytes.fromhex(text), 1, Fff0Profile.service))
    assert found[-1].values["impedance"] == 393
