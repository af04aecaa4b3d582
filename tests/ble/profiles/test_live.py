"""Devices that speak by themselves: heart rate, thermometer, oximeter, environment."""

from __future__ import annotations

import asyncio

from gatepost.drivers.ble.peripheral import GattValue
from gatepost.drivers.ble.profiles.environment import BleEnvironment
from gatepost.drivers.ble.profiles.heart_rate import BleHeartRate
from gatepost.drivers.ble.profiles.options import BleOptions, EnvironmentOptions, RecordOptions
from gatepost.drivers.ble.profiles.pulse_oximeter import BlePulseOximeter
from gatepost.drivers.ble.profiles.thermometer import BleThermometer
from gatepost.drivers.ble.twin.devices.environment import EnvironmentTwin
from gatepost.drivers.ble.twin.devices.heart_rate import HeartRateTwin
from gatepost.drivers.ble.twin.devices.oximeter import PulseOximeterTwin
from gatepost.drivers.ble.twin.devices.thermometer import ThermometerTwin
from gatepost.drivers.ble.twin.peripheral import TwinCharacteristic, TwinPeripheral, TwinService
from gatepost.drivers.ble.uuids import uuid
from gatepost.drivers.driver import NoParameters
from tests.ble.profiles.bench import Bench, play, played, values


async def seconds(count: float) -> None:
    await asyncio.sleep(count)


@played
async def test_heart_rate_with_its_site_and_contact():
    b = Bench(BleHeartRate(), HeartRateTwin(contact_losses=False))
    await b.session(lambda: seconds(12))
    assert len(b.stored) >= 10
    assert all(48 <= rate <= 165 for rate in values(b.stored, "heart_rate"))
    assert all("location-chest" in reading.flags for reading in b.stored)
    assert any("rr_intervals" in reading.values for reading in b.stored)
    assert all(reading.bookmark is None for reading in b.stored)


@played
async def test_the_battery_goes_into_the_status_and_a_drop_of_it_too():
    twin = HeartRateTwin()
    b = Bench(BleHeartRate(), twin)
    heard = []

    async def drop():
        await asyncio.sleep(3)
        heard.append(dict(b.known))
        heard.append(b._decoder.feed(GattValue(uuid(0x2A19), b"\x11", 1, uuid(0x180F))))
        heard.append(b._decoder.feed(GattValue(uuid(0x2A19), b"\xff", 1, uuid(0x180F))))

    await b.session(drop)
    heard, faults = heard, b.faults
    assert heard[0]["battery"] == 100
    assert heard[0]["manufacturer"] == "Gatepost"
    assert heard[0]["model"] == "Heart Rate"
    assert heard[1][0].fields == {"battery": 17}
    assert heard[2] == []
    assert faults == {"out_of_range": 1}


@played
async def test_temperatures_final_and_intermediate():
    b = Bench(BleThermometer(), ThermometerTwin())
    await b.session(lambda: seconds(22))
    final = [reading for reading in b.stored if "intermediate" not in reading.flags]
    between = [reading for reading in b.stored if "intermediate" in reading.flags]
    assert len(final) >= 3
    assert len(between) > len(final)
    assert all("site-ear" in reading.flags for reading in b.stored)
    assert all(reading.bookmark is not None for reading in final if reading.device_time)
    assert all(reading.quality == "uncertain" and reading.bookmark is None for reading in between)


@played
async def test_a_thermometer_that_measures_at_one_place_tells_it_once():
    stream = TwinCharacteristic(0x2A1C, "indicate")
    twin = TwinPeripheral(
        "T", "AA:00:00:00:00:01", [TwinService(0x1809, [stream, TwinCharacteristic(0x2A1D, "read", b"\x09")])]
    )
    b = Bench(BleThermometer(), twin)

    async def measure():
        await asyncio.sleep(1)
        twin.send(stream, bytes.fromhex("00a00a00fe"))
        await asyncio.sleep(1)

    await b.session(measure)
    (reading,) = b.stored
    assert reading.flags == ("site-tympanum",)
    assert reading.values == {"temperature": 27.2}


@played
async def test_continuous_oximetry_has_no_marks():
    b = Bench(BlePulseOximeter(RecordOptions(records=False)), PulseOximeterTwin(finger_losses=False))
    await b.session(lambda: seconds(8))
    stored = b.stored
    assert len(stored) >= 6
    assert all(reading.bookmark is None and "spo2" in reading.values for reading in stored)


@played
async def test_two_sensors_of_a_kind_have_names_of_their_own():
    twin = EnvironmentTwin()
    twin.plugged = False
    b = Bench(BleEnvironment(EnvironmentOptions()), twin)
    await b.session(lambda: seconds(1.5))
    stored = b.stored
    assert values(stored, "temperature")[0] == 21.5
    assert ("temperature_probe:not-available",) in [reading.flags for reading in stored]
    assert {name for reading in stored for name in reading.values} >= {"humidity", "pressure", "co2", "pm25"}


def test_sensors_without_a_name_have_numbers():
    async def scene(*names: bytes):
        sensors = [
            TwinCharacteristic(0x2A6E, "read", bytes((number, 0)), descriptors={0x2901: name} if name else {})
            for number, name in enumerate(names)
        ]
        twin = TwinPeripheral("T", "AA:00:00:00:00:06", [TwinService(0x181A, sensors)])
        b = Bench(BleEnvironment(EnvironmentOptions()), twin)
        await b.session(lambda: seconds(2))
        return [next(iter(reading.values)) for reading in b.stored]

    assert play(scene(b"", b"", b"")) == ["temperature", "temperature_2", "temperature_3"]
    assert play(scene(b"Out", b"In", b"In", b"  Water (deep)!\0")) == [
        "temperature",
        "temperature_in",
        "temperature_3",
        "temperature_water_deep",
    ]


def silent_sensor() -> TwinPeripheral:
    level = iter(range(2000, 3000, 10))
    sensor = TwinCharacteristic(0x2A6E, "read", lambda: next(level).to_bytes(2, "little"))
    return TwinPeripheral("Logger", "AA:00:00:00:00:02", [TwinService(0x181A, [sensor])])


@played
async def test_what_does_not_speak_is_asked_every_so_often():
    b = Bench(BleEnvironment(EnvironmentOptions(poll=5.0)), silent_sensor())
    await b.session(lambda: seconds(21))
    assert values(b.stored, "temperature") == [20.0, 20.1, 20.2, 20.3, 20.4]


@played
async def test_a_sensor_is_read_now():
    b = Bench(BleEnvironment(EnvironmentOptions(poll=500.0)), silent_sensor())
    answers = []

    async def ask():
        await asyncio.sleep(2)
        answers.append(await b.command("read_now", NoParameters()))

    await b.session(ask)
    answers, stored = answers, b.stored
    assert answers == [{"temperature": 20.1, "units": {"temperature": "Cel"}, "flags": []}]
    assert len(stored) == 2


def test_options_are_checked():
    import msgspec
    import pytest

    from gatepost.drivers.ble.profiles.options import AllOptions, WeightScaleOptions

    for wrong in ({"passkey": "12345"}, {"passkey": 123456}, {"permit": ["everything"]}, {"pair": "maybe"}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, BleOptions)
    for kind in (WeightScaleOptions, AllOptions):
        with pytest.raises(msgspec.ValidationError, match="consent"):
            msgspec.convert({"user_index": 1}, kind)
        assert msgspec.convert({"user_index": 1, "consent": "0007"}, kind).problems() == []
    (useless,) = BleOptions(pair="never", passkey="123456").problems()
    assert useless.warning
    assert "123456" not in useless.message
