"""Airthings monitors: simulated models, what has no value yet, and a CBOR decoder that survives anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.drivers.ble.airthings import cbor, values
from gatepost.drivers.ble.airthings.driver import AirthingsOptions, BleAirthings, EnhanceProfile, WavePlusProfile
from gatepost.drivers.ble.peripheral import GattValue
from gatepost.drivers.ble.twin.devices.airthings import AirthingsTwin
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.driver import SessionOver
from tests.ble.profiles.bench import Bench, played
from tests.ble.profiles.bench import values as values_of


@pytest.mark.parametrize(
    ("model", "names"),
    [
        ("plus", {"temperature", "humidity", "pressure", "co2", "tvoc", "radon_1day", "radon_longterm"}),
        ("radon", {"temperature", "humidity", "radon_1day", "radon_longterm"}),
        ("mini", {"temperature", "humidity", "pressure", "tvoc"}),
        ("enhance", {"temperature", "humidity", "pressure", "co2", "tvoc"}),
    ],
)
@played
async def test_each_model_is_read_and_left(model, names):
    twin = AirthingsTwin(model=model)
    bench = Bench(BleAirthings(AirthingsOptions(poll=600)), twin)
    bench, ended = bench, await bench.session()
    assert isinstance(ended, SessionOver)
    assert ended.pause == 600
    assert bench.faults == {}
    found = {name: value for reading in bench.stored for name, value in reading.values.items()}
    assert set(found) == names | {"battery_voltage"}
    assert found["temperature"] == pytest.approx(18.5)
    assert found["humidity"] == pytest.approx(55.0)
    assert found["battery_voltage"] == 2950
    assert found.get("pressure", 1004.2) == pytest.approx(1004.2)
    assert twin.asked == 1


@played
async def test_a_radon_average_that_is_not_there_yet_is_no_zero():
    twin = AirthingsTwin(model="plus")
    twin.radon = None
    bench = Bench(BleAirthings(), twin)
    await bench.session()
    assert values_of(bench.stored, "radon_1day") == []
    assert "radon_1day:not-available" in bench.stored[0].flags


def test_a_monitor_of_another_version_is_refused():
    decoder = BleAirthings().decoder()
    data = bytes.fromhex("02380d800b002200bd094cc31d036c0000007d05")
    assert decoder.feed(GattValue(WavePlusProfile.values_at, data, 1, WavePlusProfile.service)) == []
    assert dict(decoder.faults) == {"bad_version": 1}


@given(st.binary(max_size=200))
def test_any_octets_are_decoded_or_refused(data):
    readers = (values.decode_plus, values.decode_mini, values.decode_latest, cbor.decode)
    for decode in (*readers, lambda octets: values.decode_battery(octets, 8)):
        try:
            decode(data)
        except FrameError:
            continue
    head = b"\x10\x01\x00\x03\x45ab"
    decoder = BleAirthings().decoder()
    for chunk in (data, head + data, data):
        decoder.feed(GattValue(EnhanceProfile.streams[0], chunk, 1, EnhanceProfile.service))
    assert all(isinstance(kind, str) for kind, _ in decoder.faults)


@given(st.binary(max_size=60))
def test_cbor_is_never_deep_nor_long(data):
    with pytest.raises(FrameError):
        cbor.decode(b"\x81" * 20 + data)
