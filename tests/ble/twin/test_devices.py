"""Each simulated device speaks what the decoder of its driver understands, though both were written apart."""

from __future__ import annotations

import itertools
from datetime import datetime

import pytest

from gatepost.drivers.ble.adverts.driver import AdvertOptions
from gatepost.drivers.ble.peripheral import GattError
from gatepost.drivers.ble.profiles.options import WeightScaleOptions
from gatepost.drivers.ble.twin.devices.catalogue import DEVICES, NAMES, make, secure, variant
from gatepost.drivers.ble.twin.devices.encode import crc, date_time, medfloat, sfloat
from gatepost.drivers.ble.twin.devices.polar import CONTROL
from gatepost.drivers.ble.twin.peripheral import TwinPeripheral
from gatepost.drivers.reading import BAD, Reading
from tests.ble.twin.hear import KINDS, Heard
from tests.support.failing import failing

MOMENT = datetime(2026, 11, 20, 10, 30)  # noqa: DTZ001
START_ECG, STOP_ECG = bytes.fromhex("02000001820001010e00"), b"\x03\x00"
START_ACC = bytes.fromhex("0202000132000101100002010800")


def test_numbers_as_the_specifications_show_them() -> None:
    assert sfloat("114") == bytes.fromhex("7200")
    assert sfloat("36.6") == bytes.fromhex("6ef1")
    assert sfloat("-0.5") == bytes.fromhex("fbff")
    assert sfloat("nan") == bytes.fromhex("ff07")
    assert medfloat("36.4") == bytes.fromhex("6c0100ff")
    assert medfloat("nan") == bytes.fromhex("ffff7f00")
    assert crc(b"123456789") == (0x6F91).to_bytes(2, "little")
    with pytest.raises(ValueError, match="no SFLOAT"):
        sfloat("4096")
    with pytest.raises(ValueError, match="no FLOAT"):
        medfloat("8388607")


@pytest.mark.parametrize("name", sorted(KINDS))
@pytest.mark.parametrize("seed", [0, 1, 7])
def test_ten_minutes_without_a_fault(name: str, seed: int) -> None:
    heard = Heard(name, seed)
    if hasattr(heard.twin, "access"):
        heard.twin.access.point.write(b"\x01\x01")
    heard.run(600)
    assert heard.decoder.faults.total == 0, heard.decoder.faults.last
    readings = [item for item in heard.items if isinstance(item, Reading)]
    assert len(readings) >= 10
    assert {reading.metric for reading in readings} <= set(KINDS[name].metrics)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_says_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TwinPeripheral, "clock", staticmethod(lambda: MOMENT))

    def said(seed: int) -> list[object]:
        out: list[object] = []
        twin = make(name, seed)
        twin.attach(lambda characteristic, data: out.append((characteristic.uuid, data)), lambda: None)
        for characteristic in twin:
            if characteristic.streams:
                twin.subscribe(characteristic, True)
        for _ in range(300):
            twin.tick()
        advert = twin.advertisement()
        return [out, advert.service_data, advert.manufacturer_data, twin.address]

    assert said(3) == said(3)
    assert said(3) != said(4)


def test_every_device_has_an_address_and_a_name_of_its_own() -> None:
    twins = [make(name, seed) for name in DEVICES for seed in range(3)]
    assert len({twin.address for twin in twins}) == len(twins)
    assert all(twin.advertisement().services for twin in twins)


# -- heart rate


def test_heart_rate() -> None:
    heard = Heard("ble-heart-rate", contact_losses=False).run(60)
    readings = heard.readings("heart_rate")
    assert len(readings) == 60
    beats = [each for reading in readings for each in reading.values.get("rr_intervals", [])]
    assert 50e3 < sum(beats) < 62e3  # ms: a minute of heart beats, none twice
    assert any("energy_expended" in reading.values for reading in readings)
    heard.twin.find(0x2A39).write(b"\x01")
    assert heard.twin.energy == 0
    with failing(GattError, code=0x80):
        heard.twin.find(0x2A39).write(b"\x02")


def test_lost_contact_is_no_heart_rate() -> None:
    heard = Heard("ble-heart-rate", 1).run(600)
    lost = [reading for reading in heard.readings("heart_rate") if "heart_rate" not in reading.values]
    assert lost
    assert all(reading.flags for reading in lost)


# -- blood pressure


def test_a_cuff_hands_over_its_memory_once_and_hangs_up() -> None:
    heard = Heard("ble-blood-pressure", stored=4, every_seconds=0)
    heard.run(5)
    assert len(heard.readings("blood_pressure")) == 4
    assert heard.hung_up == 1
    heard.connect()
    heard.run(1)
    assert len(heard.readings("blood_pressure")) == 4


def test_a_cuff_that_keeps_its_memory_sends_it_again() -> None:
    heard = Heard("ble-blood-pressure", stored=4, every_seconds=0, forgets=False).run(3.2)
    assert [data for _, data in heard.raw] == heard.twin.memory
    heard.raw.clear()
    heard.connect()
    heard.run(1)
    assert [data for _, data in heard.raw] == heard.twin.memory


def test_a_measurement_wakes_the_cuff_and_says_why_it_has_no_value() -> None:
    twin = make("ble-blood-pressure", stored=0, every_seconds=0)
    assert not twin.shown
    twin.measure(systolic="nan")
    assert twin.shown
    heard = Heard("ble-blood-pressure", stored=0, every_seconds=0)
    heard.twin.measure(systolic="nan")
    heard.run(1)
    (reading,) = heard.readings("blood_pressure")
    assert "systolic" not in reading.values
    assert "systolic:nan" in reading.flags


def test_clocks_are_set_in_both_ways() -> None:
    twin = make("ble-blood-pressure")
    twin.find(0x2A08).write(date_time(MOMENT))
    assert abs((twin.now() - MOMENT).total_seconds()) <= 1
    for wrong in (b"", bytes(7)):
        with pytest.raises(GattError):
            twin.find(0x2A08).write(wrong)
    twin.find(0x2A2B).write(date_time(MOMENT) + bytes((5, 0, 1)))
    assert twin.find(0x2A2B).read()[:6] == date_time(MOMENT)[:6]
    with pytest.raises(GattError):
        twin.find(0x2A2B).write(date_time(MOMENT))
    assert twin.clock_set == 2


# -- the others


def test_fahrenheit() -> None:
    heard = Heard("ble-thermometer", fahrenheit=True).run(20)
    measured = [reading for reading in heard.readings("body_temperature") if "intermediate" not in reading.flags]
    assert measured
    assert {reading.units.get("temperature") for reading in measured} <= {"[degF]", None}


def test_a_thermometer_takes_its_interval() -> None:
    twin = make("ble-thermometer")
    twin.find(0x2A21).write(b"\x0a\x00")
    assert twin.find(0x2A21).read() == b"\x0a\x00"
    with failing(GattError, code=0xFF):
        twin.find(0x2A21).write(b"\xff\xff")


def test_an_unsuccessful_weighing_has_no_weight() -> None:
    heard = Heard("ble-weight-scale", every_seconds=0)
    heard.twin.weigh(successful=False)
    heard.run(5)
    last = heard.readings("body_weight")[-1]
    assert "weight" not in last.values
    assert heard.hung_up


def test_two_temperatures_are_told_apart() -> None:
    heard = Heard("ble-environment").run(10)
    names = {name for reading in heard.readings("environment") for name in reading.values}
    assert {"temperature", "humidity", "pressure", "illuminance", "co2"} <= names
    assert sum(name.startswith("temperature") for name in names) == 2


def test_a_finger_that_is_out() -> None:
    heard = Heard("ble-pulse-oximeter", 2).run(600)
    assert any("spo2" not in reading.values and reading.quality == BAD for reading in heard.readings("pulse_oximetry"))


def test_cgm_refuses_a_wrong_crc() -> None:
    twin = make("ble-cgm")
    twin.attach(lambda *_: None, lambda: None)
    point = twin.find(0x2AAC)
    with failing(GattError, code=0x81):
        point.write(b"\x02" + crc(b"\x02"))
    twin.subscribe(point, True)
    for wrong, code in ((b"\x02\0\0", 0x81), (b"\x02", 0x80)):
        with failing(GattError, code=code):
            point.write(wrong)


def test_nonin_searches_before_it_finds() -> None:
    heard = Heard("nonin-3230", driver="ble-pulse-oximeter").run(10)
    readings = heard.readings("pulse_oximetry")
    assert len(readings) == 10
    assert [("spo2" in reading.values) for reading in readings] == [False] * 4 + [True] * 6
    heard.twin.find("1447af80-0d60-11e2-88b6-0002a5d5c51b").write(b"bNMI")
    assert heard.hung_up == 1


def test_a_scale_with_users_waits_for_consent() -> None:
    heard = Heard("user-scale", driver="ble-weight-scale", every_seconds=0).run(3)
    point = heard.twin.find(0x2A9F)
    assert heard.readings("body_weight") == []
    for order, code in (
        (b"\x02\x01\x00\x00", 5),
        (b"\x02\x01", 3),
        (b"\x09", 2),
        (b"\x03", 5),
        (b"\x02\x01\xd2\x04", 1),
    ):
        point.write(order)
        heard.run(0.1)
        assert bytes((0x20, order[0], code)) in [data for _, data in heard.raw]
    heard.run(2)
    assert len(heard.readings("body_weight")) == 1
    assert heard.twin.deleted == 0


def test_options_make_the_device() -> None:
    assert variant("user-scale", 0, WeightScaleOptions(user_index=3, consent=7)).consent == 7
    assert variant("bthome", 0, AdvertOptions(key="00" * 16)).key == bytes(16)
    assert variant("ruuvi", 0, AdvertOptions()).name == "Ruuvi 0000"
    assert secure(make("ble-glucose"), 42).passkey == 42
    assert not secure(make("ble-glucose")).find(0x2A24).encrypted
    assert secure(make("ble-glucose")).find(0x2A52).encrypted


# -- Polar


def polar(**settings) -> Heard:
    heard = Heard("ble-polar-h10", **settings)
    heard.twin.find(CONTROL).write(START_ECG)
    heard.twin.find(CONTROL).write(START_ACC)
    return heard


@pytest.mark.parametrize("compressed", [True, False])
def test_waves_arrive_whole_and_in_order(compressed: bool) -> None:
    heard = polar(compressed=compressed).run(20)
    assert not heard.decoder.faults.total
    for metric, channels, rate in (("ecg", ("ecg",), 130), ("acceleration", ("x", "y", "z"), 50)):
        blocks = heard.readings(metric)
        assert not any("gap" in block.flags for block in blocks)
        for channel in channels:
            mine = [block.waveform for block in blocks if block.values["channel"] == channel]
            assert len(mine) >= 17
            assert mine[-1].rate_hz == pytest.approx(rate * 1.004, rel=0.001)
    gravity = [block.waveform.samples for block in heard.readings("acceleration") if block.values["channel"] == "z"]
    assert all(abs(sample - 990) <= 12 for sample in itertools.chain(*gravity))
    assert max(itertools.chain(*(block.waveform.samples for block in heard.readings("ecg")))) > 900


def test_lost_frames_are_a_gap() -> None:
    heard = polar().run(10)
    heard.twin.lose_frames = 2
    heard.run(10)
    assert any("gap" in block.flags for block in heard.readings("ecg") + heard.readings("acceleration"))


def test_a_stream_that_runs_answers_already() -> None:
    heard = polar().run(1)
    point = heard.twin.find(CONTROL)
    for order, code in (
        (START_ECG, 6),
        (STOP_ECG, 0),
        (STOP_ECG, 6),
        (b"\x02\x01", 2),
        (b"\x02\x00\x00\x01\x99\x00", 8),
    ):
        point.write(order)
        heard.run(0.1)
        assert heard.raw[-1][1][:4] == bytes((0xF0, order[0], order[1], code))
    assert point.read()[:2] == b"\x0f\x05"
