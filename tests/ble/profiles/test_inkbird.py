"""The six-probe thermometer: a simulated one, and anything else that its notification may hold."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.drivers.ble.inkbird.driver import BleInkbird
from gatepost.drivers.ble.inkbird.values import decode_probes
from gatepost.drivers.ble.twin.devices.meat_thermometer import MeatThermometerTwin
from gatepost.drivers.checksums import FrameError
from tests.ble.profiles.bench import Bench, played


@played
async def test_each_probe_is_read_and_an_empty_socket_has_no_value():
    twin = MeatThermometerTwin()
    bench = Bench(BleInkbird(), twin)
    await bench.session(lambda: asyncio.sleep(30))
    assert bench.faults == {}
    last = bench.stored[-1]
    assert last.values == {
        "temperature_probe_1": pytest.approx(twin.probes[1], abs=1.5),
        "temperature_probe_4": pytest.approx(twin.probes[4], abs=1.5),
    }
    assert set(last.units.values()) == {"Cel"}
    assert sorted(last.flags) == [f"temperature_probe_{number}:sensor-unplugged" for number in (2, 3, 5, 6)]


@given(st.binary(max_size=30))
def test_any_notification_is_values_or_a_frame_error(data):
    try:
        found = decode_probes(data)
    except FrameError:
        assert len(data) != 13
    else:
        assert len(found) == 6
