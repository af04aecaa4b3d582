"""Fingertip oximeters: five dialects, read from simulated devices, from damaged streams, and what is never said."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.drivers.ble.oximeters.driver import BleOximeter
from gatepost.drivers.ble.oximeters.frames import DIALECTS, contec_request
from gatepost.drivers.ble.twin.devices.fingertip import FingertipTwin
from gatepost.drivers.ble.uuids import uuid
from tests.ble.profiles.bench import Bench, played, values


@pytest.mark.parametrize("dialect", [each.name for each in DIALECTS])
@played
async def test_a_simulated_one_is_read_for_minutes(dialect):
    twin = FingertipTwin(dialect=dialect)
    bench = Bench(BleOximeter(), twin)
    await bench.session(lambda: asyncio.sleep(180))
    assert bench.faults == {}
    assert 150 < len(bench.stored) < 200
    assert bench.stored[0].values == {}
    assert bench.stored[0].quality == "bad"
    assert {flag.split(":")[0] for flag in bench.stored[0].flags} == {"spo2", "heart_rate"}
    assert all(90 <= value <= 100 for value in values(bench.stored, "spo2"))
    assert bench.stored[-1].values["heart_rate"] == pytest.approx(twin.rate, abs=1.5)
    assert bench.stored[-1].units["spo2"] == "%"
    assert bench.known["battery"] == 100


@played
async def test_a_contec_is_asked_kept_awake_and_stopped():
    bench = Bench(BleOximeter(), FingertipTwin(dialect="contec-ble"))
    await bench.session(lambda: asyncio.sleep(12))
    said = [data for _, data in bench.peripheral.said]
    assert said[0] == contec_request("start", 1)
    assert said.count(contec_request("keep-alive")) == 2
    assert said[-1] == contec_request("stop")


def test_what_erases_records_is_refused():
    driver = BleOximeter()
    for word in (b"\x9d\x7f\x00", b"\xa1\x01"):
        assert driver.violation(word, uuid(0xFF01)) is not None
    for command in ("start", "stop", "keep-alive"):
        assert driver.violation(contec_request(command), uuid(0xFF01)) is None


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@given(noise=st.lists(st.binary(max_size=60), max_size=20))
def test_noise_is_survived_and_the_next_frame_is_found(dialect, noise):
    good = {
        "pc60fw": "aa550f0801603e005000c008",
        "fs20f": "fe0a55004f6314bf391d",
        "jumper": "81386344",
        "contec-ble": "eb010440637f0012",
        "bci": "c53107585f",
    }[dialect.name]
    wrong: list[str] = []
    frames = dialect(lambda error: wrong.append(error.kind))
    for chunk in noise:
        frames.feed(chunk)
    found = [one for _ in range(80) for one in frames.feed(bytes.fromhex(good))]
    assert found[-1]["spo2"] in (95, 96, 99)
    assert len(frames._held) <= frames.LONGEST
