"""Measurements that a device keeps and sends again: cuffs, scales, spot checks. Each is reported once."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from gatepost.drivers.ble.profiles.blood_pressure import BleBloodPressure
from gatepost.drivers.ble.profiles.commands import ReadStored
from gatepost.drivers.ble.profiles.options import RecordOptions, WeightScaleOptions
from gatepost.drivers.ble.profiles.pulse_oximeter import BlePulseOximeter
from gatepost.drivers.ble.profiles.weight_scale import BleWeightScale
from gatepost.drivers.ble.twin.devices.blood_pressure import BloodPressureTwin
from gatepost.drivers.ble.twin.devices.oximeter import PulseOximeterTwin
from gatepost.drivers.ble.twin.devices.scale import WeightScaleTwin
from gatepost.drivers.ble.twin.peripheral import TwinCharacteristic, TwinPeripheral, TwinService
from gatepost.drivers.driver import CommandFailed
from gatepost.drivers.record_digests import MAX_DIGESTS, RecordDigests
from tests.ble.profiles.bench import Bench, play, played, values


def cuff(**settings) -> Bench:
    return Bench(BleBloodPressure(), BloodPressureTwin(every_seconds=0, **settings))


def pressures(bench: Bench) -> list:
    return [reading for reading in bench.stored if reading.metric == "blood_pressure"]


@played
async def test_a_cuff_that_sends_its_whole_memory_each_time():
    b = cuff(stored=5, forgets=False)
    for _ in range(3):
        await b.session()
    b.now += timedelta(hours=1)
    b.twin.measure()
    await b.session()
    found = pressures(b)
    assert len(found) == 6
    assert len({reading.device_time for reading in found}) == 6
    assert all(reading.bookmark is not None for reading in found)
    assert [reading for reading in found if "from-memory" in reading.flags] == found[:5]


@pytest.mark.parametrize("kill", range(1, 8))
@played
async def test_a_kill_at_any_moment(kill):
    b = cuff(stored=8, forgets=False)
    b.die_after = kill
    await b.session()
    b.die_after = None
    await b.session()
    assert len(pressures(b)) == 8


@played
async def test_the_same_values_at_another_time_are_another_measurement():
    stream = TwinCharacteristic(0x2A35, "indicate")
    twin = TwinPeripheral("C", "AA:00:00:00:00:03", [TwinService(0x1810, [stream])])
    b = Bench(BleBloodPressure(), twin)

    async def measure():
        await asyncio.sleep(1)
        for second in (1, 2, 1, 2):
            twin.send(stream, bytes.fromhex(f"06780050005d00e907010207080{second}4800"))
        for _ in range(2):  # without a time nobody can tell them apart
            twin.send(stream, bytes.fromhex("04780050005d004800"))
        await asyncio.sleep(1)

    await b.session(measure)
    stored = b.stored
    assert [reading.device_time for reading in stored] == ["2025-01-02T07:08:01", "2025-01-02T07:08:02", None, None]
    assert [reading.bookmark is None for reading in stored] == [False, False, True, True]


@played
async def test_each_user_has_a_mark():
    stream = TwinCharacteristic(0x2A35, "indicate")
    twin = TwinPeripheral("C", "AA:00:00:00:00:03", [TwinService(0x1810, [stream])])
    b = Bench(BleBloodPressure(), twin)

    async def measure():
        await asyncio.sleep(1)
        for user in (1, 2, 1):
            twin.send(stream, bytes.fromhex(f"0a780050005d00e907010207080{1}0{user}"))
        await asyncio.sleep(1)

    await b.session(measure)
    assert len(b.stored) == 2
    assert sorted(b.marks) == ["blood-pressure-1/AA:00:00:00:00:03", "blood-pressure-2/AA:00:00:00:00:03"]


@played
async def test_cuff_pressure_while_it_measures_is_no_measurement():
    b = Bench(BleBloodPressure(), BloodPressureTwin(stored=0, every_seconds=1))
    await b.session()
    stored = b.stored
    cuffs = [reading for reading in stored if reading.metric == "cuff_pressure"]
    assert len(cuffs) > 5
    assert all(reading.bookmark is None for reading in cuffs)


@played
async def test_a_cuff_with_both_forms_tells_each_value_once():
    plain = TwinCharacteristic(0x2A35, "indicate")
    enhanced = TwinCharacteristic(0x2B34, "indicate")
    only = TwinCharacteristic(0x2B35, "notify")
    twin = TwinPeripheral("C", "AA:00:00:00:00:04", [TwinService(0x1810, [plain, enhanced, only])])
    b = Bench(BleBloodPressure(), twin)
    subscribed = []

    async def look():
        await asyncio.sleep(1)
        subscribed.extend(each.uuid[4:8] for each in twin if each.subscribed)

    await b.session(look)
    assert subscribed == ["2a35", "2b35"]


@played
async def test_weight_and_composition_are_two_readings_of_one_weighing():
    b = Bench(BleWeightScale(WeightScaleOptions()), WeightScaleTwin(every_seconds=0))
    b.now += timedelta(minutes=1)
    b.twin.weigh()  # the second one comes in two packets
    b.now += timedelta(minutes=1)
    b.twin.weigh(successful=False)
    await b.session(lambda: asyncio.sleep(10))
    weights = [reading for reading in b.stored if reading.metric == "body_weight"]
    bodies = [reading for reading in b.stored if reading.metric == "body_composition"]
    assert (len(weights), len(bodies)) == (3, 3)
    assert bodies[1].values.keys() >= {"body_fat", "basal_metabolism", "muscle_mass", "body_water_mass", "impedance"}
    assert "weight:unsuccessful" in weights[2].flags
    assert all(reading.bookmark is not None for reading in b.stored)


@played
async def test_a_packet_whose_second_one_does_not_come_waits_no_longer_than_it_should():
    b = Bench(BleWeightScale(WeightScaleOptions()), WeightScaleTwin(every_seconds=0))
    b.twin._waiting.clear()
    found = []

    async def half():
        await asyncio.sleep(1)
        b.twin.weigh()
        *_, first, _second = b.twin._waiting.pop()
        b.twin.send(b.twin._body, first)
        await asyncio.sleep(0.5)
        found.append(len(b.stored))
        await asyncio.sleep(0.4)
        b.twin._quiet = 0
        await asyncio.sleep(1.5)
        found.append(len(b.stored))

    await b.session(half)
    assert found == [0, 1]


class Users(TwinPeripheral):
    """A scale that tells nothing before a user has given consent."""

    def __init__(self, code: int = 0x04D2) -> None:
        self.control = TwinCharacteristic(0x2A9F, "write indicate", on_write=self._told)
        self.weight = TwinCharacteristic(0x2A9D, "indicate")
        self.code = code
        super().__init__(
            "S", "AA:00:00:00:00:05", [TwinService(0x181D, [self.weight]), TwinService(0x181C, [self.control])]
        )

    def _told(self, data: bytes) -> None:
        good = data == b"\x02\x01" + self.code.to_bytes(2, "little")
        self.send(self.control, bytes((0x20, 0x02, 1 if good else 5)))
        if good:
            self.send(self.weight, bytes.fromhex("00b036"))


def test_a_scale_is_given_the_consent_of_its_user():
    async def scene(options):
        b = Bench(BleWeightScale(options), Users())
        ended = await b.session(lambda: asyncio.sleep(5))
        return b, ended

    b, ended = play(scene(WeightScaleOptions(user_index=1, consent="1234")))
    assert values(b.stored, "weight") == [70]
    assert ended is None
    b, ended = play(scene(WeightScaleOptions(user_index=1, consent="1111")))
    assert isinstance(ended, CommandFailed)
    assert "user-not-authorised" in str(ended)
    assert "1111" not in str(ended)
    b, ended = play(scene(WeightScaleOptions()))
    assert ended is None
    assert b.faults == {"no-consent": 1}


def spot(**settings) -> Bench:
    return Bench(BlePulseOximeter(RecordOptions()), PulseOximeterTwin(finger_losses=False, **settings))


def spots(bench: Bench) -> list:
    return [reading for reading in bench.stored if reading.bookmark is not None]


@played
async def test_stored_spot_checks_once():
    b = spot(stored=6)
    await b.session(lambda: asyncio.sleep(8))
    await b.session(lambda: asyncio.sleep(8))
    b.now += timedelta(minutes=5)
    answers = []

    async def check():
        await asyncio.sleep(5)
        b.twin.spot_check()
        answers.append(await b.command("read_stored", ReadStored()))

    await b.session(check)
    assert len(spots(b)) == 7
    assert answers == [{"records": 0}]
    assert all("from-memory" in reading.flags for reading in spots(b))


@played
async def test_stored_spot_checks_without_a_time_are_counted():
    b = spot(stored=0)
    from gatepost.drivers.ble.twin.devices.records import TwinRecord

    def store(text: str) -> None:
        value = ((b.twin._spot, bytes.fromhex(text)),)
        b.twin.records.append(TwinRecord(len(b.twin.records), b.now, value))

    for text in ("0061004b00", "0061004b00", "0062004b00"):
        store(text)
    await b.session(lambda: asyncio.sleep(5))
    assert len(spots(b)) == 3
    store("0061004b00")
    await b.session(lambda: asyncio.sleep(5))
    await b.session(lambda: asyncio.sleep(5))
    assert values(spots(b), "spo2") == [97, 97, 98, 97]


def test_the_memory_of_digests_is_bounded_and_survives_nonsense():
    seen = RecordDigests()
    for number in range(MAX_DIGESTS + 10):
        assert seen.take("glucose", number)
    assert not seen.take("glucose", MAX_DIGESTS)
    assert seen.take("glucose", 0)
    assert len(seen.dump()) <= MAX_DIGESTS * 8
    assert not RecordDigests(seen.dump()).take("glucose", MAX_DIGESTS)
    for nonsense in (None, 7, [], "???", "QUJD", {"to": 1}):
        assert RecordDigests(nonsense).take("x")
