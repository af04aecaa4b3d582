"""philips-intellivue: sessions, values by code, demo data, polls in parts, waveforms with gaps, what is never sent."""

import json
import random
from pathlib import Path

import msgspec
import pytest

from gatepost.drivers.driver import SessionOver
from gatepost.drivers.network.datagram import Datagram
from gatepost.drivers.network.intellivue.attributes import NUMERIC
from gatepost.drivers.network.intellivue.driver import PhilipsIntellivue
from gatepost.drivers.network.intellivue.frames import FrameSplitter, encode_payload
from gatepost.drivers.network.intellivue.messages import POLL
from gatepost.drivers.network.intellivue.options import IntellivueOptions
from gatepost.drivers.network.intellivue.requests import event_result, poll_request, set_priorities
from gatepost.drivers.network.intellivue.twin import ABORTED, IntellivueTwin, SerialIntellivue, _attributes, _float, _n
from gatepost.drivers.options import WrongOptions
from gatepost.drivers.reading import Faults, Reading
from gatepost.drivers.testing import driver_kit
from gatepost.drivers.waveforms import LOST

FILE = Path(__file__).parents[2] / "vectors" / "bedside" / "intellivue.json"
VECTORS = {
    vector["id"]: bytes.fromhex(vector["input_hex"])
    for vector in json.loads(FILE.read_text("utf-8"))["vectors"]
    if "input_hex" in vector
}


def driver(**options):
    return PhilipsIntellivue(msgspec.convert(options, IntellivueOptions))


def read(*payloads, decoder=None, **options):
    decoder = decoder or driver(**options).decoder()
    found = [item for payload in payloads for item in decoder.feed(Datagram(payload))]
    return [item for item in found if isinstance(item, Reading)]


def polled(*values, number=1, extra=()):
    """A poll of numbers: pairs of physiological id, state, unit, mantissa, exponent."""
    twin = IntellivueTwin()
    objects = [
        _n(100 + i) + _attributes((NUMERIC, _n(physio, state, unit) + _float(mantissa, exponent)), *extra)
        for i, (physio, state, unit, mantissa, exponent) in enumerate(values)
    ]
    return twin._result(number, POLL, _n(number), 6, objects, 0, 0)


def test_a_poll_of_a_real_monitor_in_its_demo_mode():
    found = read(*(VECTORS[name] for name in ("iv-num-first", "iv-num-last", "iv-num-end")))
    assert all(reading.quality == "bad" and "demo" in reading.flags for reading in found)
    by_metric = {(reading.metric, reading.flags): reading for reading in found}
    pressure = by_metric["invasive_pressure", ("demo", "site-abp")]
    assert pressure.values == {"systolic": 120, "diastolic": 70, "mean": 91}
    assert pressure.units == dict.fromkeys(pressure.values, "mm[Hg]")
    cuff = by_metric["blood_pressure", ("demo",)]
    assert (cuff.values, cuff.device_time) == ({"systolic": 120, "diastolic": 80, "mean": 90}, "2017-11-04T14:45:00")
    oximetry = by_metric["pulse_oximetry", ("demo", "source-pleth")]
    assert oximetry.values == {"spo2": 95, "heart_rate": 60, "perfusion_index": 10.0}


def test_a_cuff_is_reported_once_for_each_measurement():
    decoder = driver().decoder()
    parts = [VECTORS[name] for name in ("iv-num-first", "iv-num-last", "iv-num-end")]
    assert sum(reading.metric == "blood_pressure" for reading in read(*parts, decoder=decoder)) == 2
    assert sum(reading.metric == "blood_pressure" for reading in read(*parts, decoder=decoder)) == 0


@pytest.mark.parametrize(
    ("state", "mantissa", "values", "flag", "quality"),
    [
        (0, 72, {"heart_rate": 72}, None, "good"),
        (0x4000, 72, {"heart_rate": 72}, "heart_rate:questionable", "uncertain"),
        (0x8000, 72, {}, "heart_rate:invalid", "bad"),
        (0x2000, 72, {}, "heart_rate:unavailable", "bad"),
        (0, 0x7FFFFF, {}, "heart_rate:not-measured", "bad"),
        (0, 0x7FFFFE, {}, "heart_rate:over-range", "bad"),
        (0, -1, {}, "heart_rate:invalid", "bad"),
        (0x0800, 72, {"heart_rate": 72}, "test-data", "bad"),
    ],
)
def test_states(state, mantissa, values, flag, quality):
    (reading,) = read(polled((16770, state, 2720, mantissa, 0)))
    assert (reading.values, reading.quality) == (values, quality)
    assert (flag in reading.flags) if flag else reading.flags == ("source-ecg",)


def test_unknown_codes_and_units_pass_and_may_be_named():
    (reading,) = read(polled((61927, 0, 9999, 12, -1)))
    assert (reading.metric, reading.values, reading.units) == (
        "reading", {"mdc_192999": 1.2}, {"mdc_192999": "{mdc_272143}"}
    )  # fmt: skip
    (named,) = read(polled((61927, 0, 512, 12, 0)), names={"192999": "own"})
    assert (named.values, named.units) == ({"own": 12}, {})


def test_the_same_thing_twice_has_a_channel_that_stays():
    decoder = driver().decoder()
    for number in (1, 2):
        first, second = read(
            polled((19272, 0, 6048, 367, -1), (19272, 0, 6048, 371, -1), number=number), decoder=decoder
        )
        assert (first.values, second.values) == ({"temperature": 36.7}, {"temperature": 37.1, "channel": "1.101"})


def test_a_poll_whose_end_was_lost_is_given_with_the_next():
    decoder = driver().decoder()
    assert read(VECTORS["iv-num-first"], decoder=decoder) == []
    found = read(polled((16770, 0, 2720, 72, 0)), decoder=decoder)
    assert {reading.metric for reading in found} >= {"invasive_pressure", "heart_rate"}
    assert decoder.faults.counts == {"incomplete": 1}


def waves(lose=(), **options):
    """Readings of 40 blocks of one waveform, without those that were lost."""
    twin = IntellivueTwin()
    decoder = driver(waveforms=["ii"], **options).decoder()
    twin.hear(b"\x0d")
    twin.hear(event_result(1, 0x0D06))
    twin.hear(set_priorities(1, (131330,)))
    twin.hear(poll_request(2, 2, 9, 0, 60_000))
    blocks = [twin.tick()[-1] for _ in range(40)]
    return read(*(block for i, block in enumerate(blocks) if i not in lose), decoder=decoder), decoder


def test_waveforms_are_blocks_of_a_second():
    found, decoder = waves()
    assert {(reading.metric, reading.values["channel"], len(reading.waveform.samples)) for reading in found} == {
        ("ecg", "II", 512)
    }
    wave = found[0].waveform
    assert (wave.rate_hz, wave.unit, round(wave.scale, 6), round(wave.offset, 2)) == (500.0, "mV", 0.005, -40.96)
    assert len(found) == 10
    assert decoder.faults.counts == {}


def test_lost_blocks_are_a_gap_with_its_number():
    found, decoder = waves(lose=(5, 6, 20))
    gaps = [reading for reading in found if "gap" in reading.flags]
    assert [reading.values[LOST] for reading in gaps] == [256, 128]
    assert decoder.faults.counts == {"lost-polls": 3}
    assert sum(len(reading.waveform.samples) for reading in found) >= (40 - 3 - 4) * 128


def test_samples_whose_scale_was_lost_are_none_until_it_comes_again():
    found, decoder = waves(lose=(0,))
    assert found == []
    assert decoder.waves.unscaled


def test_what_comes_too_late_is_dropped():
    twin = IntellivueTwin()
    decoder = driver().decoder()
    for request in (b"\x0d", event_result(1, 0x0D06), set_priorities(1, (131330,)), poll_request(2, 2, 9, 0, 60_000)):
        twin.hear(request)
    one, two, three = (twin.tick()[-1] for _ in range(3))
    read(one, three, two, decoder=decoder)
    assert decoder.faults.counts == {"lost-polls": 1, "out-of-order": 1}


def test_samples_that_the_monitor_doubts_are_told_so():
    good, doubted = (_n(258, state, 256) for state in (0, 0x5000))
    twin = IntellivueTwin()
    decoder = driver(waveforms=["ii"]).decoder()
    for request in (b"\x0d", event_result(1, 0x0D06), set_priorities(1, (131330,)), poll_request(2, 2, 9, 0, 60_000)):
        twin.hear(request)
    blocks = [twin.tick()[-1] for _ in range(12)]
    assert all(good in block for block in blocks)
    blocks[4:8] = [block.replace(good, doubted) for block in blocks[4:8]]
    found = read(*blocks, decoder=decoder)
    assert [reading.flags for reading in found] == [(), ("II:questionable", "II:calibrating"), ()]
    assert [reading.quality for reading in found] == ["good", "uncertain", "good"]
    assert [len(reading.waveform.samples) for reading in found] == [512, 512, 512]


def test_the_samples_of_a_real_monitor():
    decoder = driver().decoder()
    read(VECTORS["iv-wave-ecg"], decoder=decoder)
    again = VECTORS["iv-wave-ecg"]
    at = again.index(bytes.fromhex("f13b")) + 6  # its sequence number
    found = []
    for sequence in range(2, 12):
        found += read(again[:at] + _n(sequence) + again[at + 2 :], decoder=decoder)
    assert {reading.values["channel"] for reading in found} == {"II", "V", "aVR"}
    assert all(reading.flags == ("demo",) and reading.quality == "bad" for reading in found)


def test_a_monitor_that_refuses_or_ends_is_left_alone_for_a_while():
    class Refusing(IntellivueTwin):
        def hear(self, data):
            return [b"\x0c\x00"] if data[:1] == b"\x0d" else []

    class Ending(IntellivueTwin):
        def tick(self):
            out = super().tick()
            return [*out, ABORTED] if self.answered and self._rng.random() < 0.2 else out

    for twin in (Refusing(), Ending()):
        done = driver_kit.session(driver(), SerialIntellivue(twin), seconds=60)
        assert isinstance(done.outcome, SessionOver)
        assert done.outcome.pause >= 10


def test_the_event_is_answered_again_when_the_answer_was_lost():
    class Deaf(IntellivueTwin):
        missed = 0

        def hear(self, data):
            if data[:6] == b"\xe1\x00\x00\x02\x00\x02" and self.missed < 2:
                self.missed += 1
                return []
            return super().hear(data)

    done = driver_kit.session(driver(), SerialIntellivue(Deaf()), seconds=30)
    assert done.readings


def test_alarms_are_told_when_they_appear():
    done = driver_kit.session(driver(), driver().twin(None, 1), seconds=120)
    alarms = [reading for reading in done.readings if reading.metric == "device_alarm"]
    assert 1 <= len(alarms) <= 12
    assert alarms[0].values == {"alarm_priority": 1024}
    assert alarms[0].flags == ("device-alarm:mdc-147842-10",)
    assert not alarms[0].urgent
    assert not any(
        reading.metric == "device_alarm"
        for reading in driver_kit.session(driver(alarms=False), driver().twin(None, 1), seconds=60).readings
    )


def test_the_alarms_of_a_demonstration_are_one():
    twin = IntellivueTwin(1)
    twin._rng.random = lambda: 0.0
    alerts = twin._result(2, POLL, _n(2), 54, [twin._alerts()], 0, 0)
    (_, alarm) = read(polled((18466, 0x0400, 2720, 60, 0)), alerts)
    assert (alarm.flags, alarm.quality) == (("demo", "device-alarm:mdc-147842-10"), "bad")


def test_options():
    assert IntellivueOptions(waveforms=["II", "150036"]).labels == (131330, 150036)
    for wrong in (["xii"], ["-1"], ["i"] * 9):
        with pytest.raises(WrongOptions):
            IntellivueOptions(waveforms=wrong)


def test_serial_frames_in_any_pieces():
    payload = VECTORS["iv-num-last"] + b"\xc0\xc1\x7d"
    octets = b"noise" + encode_payload(payload) + b"\xc0\x11" + encode_payload(payload)
    rng = random.Random(1)
    splitter = FrameSplitter(Faults())
    found = []
    while octets:
        size = rng.randint(1, 9)
        found += splitter.feed(octets[:size])
        octets = octets[size:]
    assert found == [payload, payload]
