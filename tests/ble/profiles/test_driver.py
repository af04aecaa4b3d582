"""What all BLE drivers share: which profiles, in which order, clocks, wrong devices, forbidden words, rubbish."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatepost.drivers.ble.driver import AnyBleDevice, BleDriver
from gatepost.drivers.ble.gatt import nonin
from gatepost.drivers.ble.peripheral import GattError, GattValue, ReceivedAdvert
from gatepost.drivers.ble.profiles import BY_SERVICE, profile, profiles
from gatepost.drivers.ble.profiles.blood_pressure import BleBloodPressure
from gatepost.drivers.ble.profiles.forbidden_writes import FORBIDDEN
from gatepost.drivers.ble.profiles.glucose import BleGlucose
from gatepost.drivers.ble.profiles.heart_rate import BleHeartRate
from gatepost.drivers.ble.profiles.options import AllOptions, BleOptions
from gatepost.drivers.ble.profiles.polar import BlePolarH10
from gatepost.drivers.ble.profiles.pulse_oximeter import BlePulseOximeter
from gatepost.drivers.ble.profiles.thermometer import BleThermometer
from gatepost.drivers.ble.twin.devices.blood_pressure import BloodPressureTwin
from gatepost.drivers.ble.twin.devices.glucose import GlucoseTwin
from gatepost.drivers.ble.twin.devices.heart_rate import HeartRateTwin
from gatepost.drivers.ble.twin.devices.monitor import MonitorTwin
from gatepost.drivers.ble.twin.devices.thermometer import ThermometerTwin
from gatepost.drivers.ble.twin.peripheral import TwinCharacteristic, TwinPeripheral, TwinService
from gatepost.drivers.ble.uuids import uuid
from gatepost.drivers.driver import CommandFailed, Registry, SyncTime, WrongDevice
from gatepost.drivers.reading import Reading
from tests.ble.profiles.bench import Bench, play, played

QUICK = settings(max_examples=100, deadline=None)
NAMES = [name for name in Registry.installed().names if name.startswith("ble") and name != "ble-advertisement"]


@played
async def test_ble_takes_what_the_device_shows():
    b = Bench(AnyBleDevice(AllOptions()), MonitorTwin())
    await b.session(lambda: asyncio.sleep(12))
    assert {reading.metric for reading in b.stored} == {"heart_rate", "pulse_oximetry", "body_temperature"}
    assert b.faults == {}


@played
async def test_a_named_driver_takes_only_its_own():
    b = Bench(BleThermometer(), MonitorTwin())
    await b.session(lambda: asyncio.sleep(12))
    assert {reading.metric for reading in b.stored} == {"body_temperature"}


def test_another_device_is_named_with_the_driver_that_fits():
    async def scene(driver, twin):
        return await Bench(driver, twin).session()

    wrong = play(scene(BleGlucose(), HeartRateTwin()))
    assert isinstance(wrong, WrongDevice)
    assert str(wrong) == (
        "Twin Heart Rate shows heart rate sensor (180d), battery (180f), 1805, which is for the driver ble-heart-rate; "
        "ble-glucose needs glucose meter (1808)"
    )
    wrong = play(scene(AnyBleDevice(AllOptions()), TwinPeripheral("Lamp", "AA:00:00:00:00:09", [])))
    assert isinstance(wrong, WrongDevice)
    assert "Lamp shows no services" in str(wrong)


@played
async def test_nonin_tells_the_same_better():
    kinds = profiles([uuid(0x1822), nonin.SERVICE, uuid(0x180D)])
    assert [kind.service for kind in kinds] == [uuid(0x180D), nonin.SERVICE]
    stream = TwinCharacteristic(nonin.MEASUREMENT, "notify")
    other = TwinCharacteristic(0x2A5F, "notify")
    twin = TwinPeripheral(
        "N", "AA:00:00:00:00:0A", [TwinService(nonin.SERVICE, [stream]), TwinService(0x1822, [other])]
    )
    b = Bench(BlePulseOximeter(), twin)

    async def measure():
        await asyncio.sleep(1)
        twin.send(stream, bytes.fromhex("0a051e012c0010620048"))
        assert not other.subscribed
        await asyncio.sleep(1)

    await b.session(measure)
    (reading,) = b.stored
    assert reading.values["spo2"] == 98


@played
async def test_one_profile_that_fails_does_not_silence_the_others():
    meter = GlucoseTwin(every_seconds=0, stored=3)
    meter.access.fail_after = 0
    monitor = MonitorTwin()
    twin = MonitorTwin()
    twin.services = (meter.services[0], *monitor.services)
    both = TwinPeripheral("B", "AA:00:00:00:00:0C", twin.services)
    meter.send = both.send
    meter.access.send = both.send
    monitor.send = both.send
    both.interval = 0.1

    def tick():
        meter.access.tick()
        monitor.tick()

    both.tick = tick
    b = Bench(AnyBleDevice(AllOptions()), both)
    ended = await b.session(lambda: asyncio.sleep(60))
    assert ended is None
    assert b.faults["not-asked"] == 1
    assert "heart_rate" in {reading.metric for reading in b.stored}


# -- clocks


def cuff(ahead: timedelta, driver: BleDriver | None = None) -> Bench:
    bench = Bench(driver or BleBloodPressure(), BloodPressureTwin(every_seconds=0, stored=1))
    bench.twin.ahead = ahead
    return bench


@pytest.mark.parametrize(
    ("ahead", "option", "writes"),
    [
        (timedelta(minutes=2), None, 0),
        (timedelta(minutes=20), None, 1),
        (timedelta(minutes=-20), None, 1),
        (timedelta(minutes=2), True, 1),
        (timedelta(seconds=1), True, 0),
        (timedelta(days=900), False, 0),
    ],
)
@played
async def test_a_clock_is_set_where_it_is_wrong_and_wanted(ahead, option, writes):
    b = cuff(ahead, BleBloodPressure(BleOptions(set_clock=option)))
    await b.session()
    assert b.twin.clock_set == writes
    if writes:
        assert abs(b.twin.now() - b.now) <= timedelta(seconds=1)


@played
async def test_a_clock_is_not_set_by_one_that_is_not_trusted():
    b = cuff(timedelta(days=3))
    b.trusted = False
    await b.session()
    assert b.twin.clock_set == 0
    assert b.faults["clock-not-set"] == 1


def test_meters_are_left_with_their_clock_unless_it_is_asked_for():
    async def scene(option):
        b = Bench(BleGlucose(AllOptions(set_clock=option)), GlucoseTwin(every_seconds=0, stored=1))
        b.twin.ahead = timedelta(days=2)
        await b.session()
        return b.twin.clock_set

    assert play(scene(None)) == 0
    assert play(scene(True)) == 1


def test_current_time_is_written_with_its_weekday():
    async def scene():
        b = Bench(BleThermometer(BleOptions(set_clock=True)), ThermometerTwin())
        b.twin.ahead = timedelta(days=2)
        b.twin.services = tuple(each for each in b.twin.services)
        await b.session(lambda: asyncio.sleep(3))
        return b

    b = play(scene())
    written = [data for where, data in b.peripheral.said if where == uuid(0x2A2B)]
    date_times = [data for where, data in b.peripheral.said if where == uuid(0x2A08)]
    assert len(date_times) == 1  # which sets the other one too
    assert written == []

    async def alone():
        b = Bench(BleHeartRate(BleOptions(set_clock=True)), HeartRateTwin())
        b.twin.ahead = timedelta(days=2)
        await b.session(lambda: asyncio.sleep(3))
        return b

    b = play(alone())
    ((_, data),) = b.peripheral.said
    assert data[7] == b.now.isoweekday()
    assert len(data) == 10


@played
async def test_a_clock_that_was_refused_is_set_after_the_first_measurement():
    b = cuff(timedelta(days=3))
    clock = b.twin.find(0x2A08)
    original, refusals = clock.on_write, [GattError("not now", 0x80)]

    def write(data):
        if refusals:
            raise refusals.pop()
        original(data)

    clock.on_write = write
    b.twin.find(0x2A2B).properties = ("read",)
    await b.session()
    assert b.faults == {"clock-not-set": 1}
    assert b.twin.clock_set == 1


@played
async def test_the_clock_by_command():
    b = cuff(timedelta(days=3), BleBloodPressure(BleOptions(set_clock=False)))
    answers = []

    async def command():
        await asyncio.sleep(1.2)
        answers.append(await b.command("sync_time", SyncTime(datetime(2026, 11, 20, 10, 30))))  # noqa: DTZ001
        answers.append(b.twin.now())
        answers.append(await b.command("sync_time", SyncTime()))

    await b.session(command)
    assert answers[0] == {"time": "2026-11-20T10:30:00"}
    assert answers[1] == datetime(2026, 11, 20, 10, 30)  # noqa: DTZ001
    assert answers[2] == {"time": b.now.isoformat()}


@played
async def test_commands_that_a_device_cannot_do():
    b = Bench(AnyBleDevice(AllOptions()), TwinPeripheral("T", "AA:00:00:00:00:0B", MonitorTwin().services[:3]))
    found = []

    async def command():
        with pytest.raises(CommandFailed) as refused:
            await b.command("sync_time", SyncTime())
        found.append(refused.value.key)
        await asyncio.sleep(2)
        with pytest.raises(CommandFailed) as refused:
            await b.command("sync_time", SyncTime())
        found.append(refused.value.key)

    await b.session(command)
    assert found == ["busy", "unsupported"]


@played
async def test_a_device_that_does_not_answer_for_its_name_is_used_all_the_same():
    b = Bench(BleHeartRate(), HeartRateTwin())
    b.on_begin = lambda peripheral: peripheral.mute.add(uuid(0x2A24))
    await b.session(lambda: asyncio.sleep(12))
    assert b.faults == {"slow": 1}
    assert len(b.stored) > 3


def test_a_subscription_that_is_refused_is_counted_and_one_that_is_needed_ends_the_session():
    async def scene(*refused):
        b = cuff(timedelta(0))
        b.on_begin = lambda peripheral: peripheral.refuse.update({uuid(each): [5] for each in refused})
        return b, await b.session()

    b, ended = play(scene(0x2A36))
    assert b.faults == {"not-subscribed": 1}
    assert len(b.stored) == 1
    b, ended = play(scene(0x2A36, 0x2A35))
    assert isinstance(ended, GattError)


# -- what is never said


@pytest.mark.parametrize("name", NAMES)
def test_every_driver_has_the_deny_list(name):
    driver = Registry.installed().get(name)()
    assert driver.violation(b"\x02\x01", uuid(0x2A52)) == "delete-records"
    assert driver.violation(b"\x02\x03\x01\x00\x00", uuid(0x2A52)) == "delete-records"
    assert driver.violation(b"\x01\x01", uuid(0x2A52)) is None
    for op, word in ((0x1A, "start-session"), (0x1B, "stop-session"), (0x04, "calibrate"), (0x01, "set-interval")):
        assert driver.violation(bytes((op, 0)), uuid(0x2AAC)) == word
    for op in (0x07, 0x0A, 0x0D, 0x10, 0x13, 0x16):
        assert driver.violation(bytes((op, 0, 0)), uuid(0x2AAC)) == "set-alert"
    for op in (0x02, 0x08, 0x0B):
        assert driver.violation(bytes((op,)), uuid(0x2AAC)) is None
    assert driver.violation(b"\x03", uuid(0x2A9F)) == "delete-user"
    assert driver.violation(b"\x05\x01", uuid(0x2A9F)) == "delete-user"
    assert driver.violation(b"\x02\x01\xd2\x04", uuid(0x2A9F)) is None
    assert driver.violation(b"\x01", uuid(0x2A39)) == "reset-energy"
    assert driver.violation(b"\x03", uuid(0x2AA4)) == "delete-bond"


def test_a_word_is_permitted_by_its_name():
    driver = BleGlucose(AllOptions(permit=["delete-records"]))
    assert driver.violation(b"\x02\x01", uuid(0x2A52)) is None
    assert driver.violation(b"\x01", uuid(0x2A39)) == "reset-energy"


def test_every_rule_is_for_a_characteristic_and_the_beginning_of_what_is_written():
    for rule in FORBIDDEN:
        assert re.fullmatch(r"0000[0-9a-f]{4}-0000-1000-8000-00805f9b34fb", rule.characteristic)
        assert rule.pattern.pattern.startswith(rb"\A")


# -- the decoder by itself, as a recording is played


# Say nothing by themselves: they are asked.
ASKED = {"ble-airthings", "ble-aranet", "ble-microlife", "ble-omron", "ble-viatom-bp2", "ble-viatom-o2"}
MODELS = {"ble-oximeter": 0, "ble-scale": 0}  # the seed of one that streams without being asked


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ASKED])
def test_a_recording_needs_no_connection(name):
    kind = Registry.installed().get(name)
    twin = kind.twin(seed=MODELS.get(name, 3))
    decoder = kind().decoder()
    found = []

    def sink(characteristic, data):
        found.extend(decoder.feed(GattValue(characteristic.uuid, data, characteristic.handle, characteristic.service)))

    twin.attach(sink, lambda: None)
    for characteristic in twin:
        if characteristic.streams:
            twin.subscribe(characteristic, True)
    point = next((each for each in twin if each.uuid == uuid(0x2A52)), None)
    control = next((each for each in twin if each.uuid.startswith("fb005c81")), None)
    if point is not None:
        point.write(b"\x01\x01")
    if control is not None:
        control.write(bytes.fromhex("02000001820001010e00"))
    for _ in range(200):
        twin.tick()
    assert sum(isinstance(item, Reading) for item in found) >= 2
    assert dict(decoder.faults) in ({}, {"unknown-characteristic": decoder.faults.total})


def test_values_of_a_service_that_is_not_its_own():
    decoder = BleHeartRate().decoder()
    assert decoder.feed(GattValue(uuid(0x2A35), b"\x00" * 7, 1, uuid(0x1810))) == []
    assert decoder.feed(GattValue("nonsense", b"", 1)) == []
    assert decoder.feed(ReceivedAdvert("AA")) == []
    assert decoder.feed(b"bytes") == []
    assert dict(decoder.faults) == {"unknown-characteristic": 2, "not-a-value": 2}
    assert decoder.feed(GattValue(uuid(0x2A37), b"\x00\x46", 1))[0].values == {"heart_rate": 70}


CHARACTERISTICS = [(service, each) for service in BY_SERVICE for each in profile(service).streams]


@QUICK
@given(st.lists(st.tuples(st.sampled_from(CHARACTERISTICS), st.binary(max_size=40), st.booleans()), max_size=40))
def test_any_octets_in_any_characteristic(values):
    decoder = AnyBleDevice().decoder()
    for (service, characteristic), data, named in values:
        for item in decoder.feed(GattValue(characteristic, data, 7, service if named else "")):
            if isinstance(item, Reading):
                assert all(isinstance(name, str) for name in item.values)
    good = GattValue(uuid(0x2A37), b"\x00\x46", 1, uuid(0x180D))
    assert decoder.feed(good)[0].values["heart_rate"] == 70


def test_characteristics_that_are_made_up_take_no_memory():
    decoder = AnyBleDevice().decoder()
    for number in range(5000):
        decoder.feed(GattValue(f"{number:08x}-aaaa", b"", number, "made-up"))
    assert len(decoder._routes) <= 257


def test_a_polar_strap_is_not_asked_for_waveforms_as_a_heart_rate_sensor():
    assert BlePolarH10.silence is not None
    kinds = BleHeartRate()._wanted([uuid(0x180D), "fb005c80-02e7-f387-1cad-8acd2d8df0c8", uuid(0x180F)])
    assert kinds == [uuid(0x180D), uuid(0x180F)]
