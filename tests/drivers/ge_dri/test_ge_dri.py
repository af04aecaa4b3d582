"""ge-dri: the basic class, what is no value, cuffs once, waveforms, options that the line can carry, requests."""

import json
import struct
from pathlib import Path

import msgspec
import pytest

from gatepost.drivers.options import WrongOptions
from gatepost.drivers.reading import Reading
from gatepost.drivers.serial.ge_dri.decoder import DriDecoder
from gatepost.drivers.serial.ge_dri.driver import DriOptions, GeDri
from gatepost.drivers.serial.ge_dri.frames import decode_frame, encode_frame
from gatepost.drivers.serial.ge_dri.records import BASIC, PLAIN, values_request, waveform_request
from gatepost.drivers.serial.ge_dri.twin import DriTwin
from gatepost.drivers.testing import driver_kit

FILE = Path(__file__).parents[2] / "vectors" / "bedside" / "ge-dri.json"
FRAME = bytes.fromhex(json.loads(FILE.read_text("utf-8"))["vectors"][2]["input_hex"])


def read(octets, decoder=None):
    return [item for item in (decoder or DriDecoder()).feed(octets) if isinstance(item, Reading)]


def values(**groups):
    """A frame with these groups: status, label, raw values; the others do not exist."""
    out = struct.pack("<I", 1_700_000_000)
    for name, scales in BASIC:
        status, label, *raws = groups.get(name, (0, 0, *(-32767 for _ in scales)))
        if name not in PLAIN:
            out += struct.pack("<IH", status, label)
        out += struct.pack(f"<{len(scales)}h", *raws)
    return DriTwin()._record(0, [(1, out.ljust(278, b"\0"))])


def test_the_basic_class():
    found = {(reading.metric, reading.values.get("channel", "")): reading for reading in read(FRAME)}
    assert found["heart_rate", ""].values == {"heart_rate": 72}
    assert found["invasive_pressure", "p1"].flags == ("site-art",)
    venous = found["invasive_pressure", "p2"]
    assert venous.values == {"channel": "p2", "mean": 6.5}
    assert "systolic:invalid" in venous.flags
    assert found["pulse_oximetry", ""].values == {"spo2": 97.5, "heart_rate": 72, "ir_amplitude": 2.5}
    assert found["capnography", ""].units["et_co2"] == "%"
    assert found["anaesthetic_gas", ""].values == {"o2_et": 16.5, "o2_fi": 21.0}
    assert found["body_temperature", "t1"].values["temperature"] == 36.71
    assert {reading.device_time for reading in found.values()} == {"2023-11-14T22:13:20"}


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (-32767, "invalid"), (-32766, "not-updated"), (-32765, "discontinuity"), (-32764, "under-range"),
        (-32763, "over-range"), (-32762, "not-calibrated"), (-32000, "invalid"),
    ],
)  # fmt: skip
def test_numbers_that_are_no_values(raw, why):
    (reading,) = read(values(t1=(3, 7, raw)))
    assert (reading.values, reading.quality) == ({"channel": "t1"}, "bad")
    assert reading.flags == ("site-skin", f"temperature:{why}")


def test_what_is_not_active_is_not_there():
    assert read(values(t1=(1, 7, 3600))) == []
    assert read(values(t1=(0, 7, 3600))) == []


def test_a_cuff_is_reported_once_and_after_each_measurement():
    decoder = DriDecoder()
    done, measuring = (3, 3, 12000, 8000, 9300, 70), (3, 3 | 1 << 5 | 1 << 3, 12000, 8000, 9300, 70)
    counts = [len(read(values(nibp=cuff), decoder)) for cuff in (done, done, measuring, measuring, done, done)]
    assert counts == [1, 0, 0, 0, 1, 0]
    (automatic,) = read(values(nibp=(3, 3 | 1 << 3, 12100, 8000, 9300, 70)), decoder)
    assert automatic.flags == ("source-nibp", "cuff-automatic")


def test_a_cuff_of_before_has_no_time():
    (found,) = read(values(nibp=(3, 3 | 1 << 8, 12000, 8000, 9300, 70)))
    assert (found.flags, found.device_time) == (("source-nibp", "older-than-60s"), None)


def test_a_part_that_tells_when_the_cuff_measured_is_no_values():
    whole = values(t1=(3, 7, 3670), nibp=(3, 0, 12000, 8000, 9300, 70))
    record = decode_frame(whole)
    found = read(DriTwin()._record(0, [(1, record[40:]), (4, bytes(116))]))
    assert {reading.metric for reading in found} == {"body_temperature", "blood_pressure"}
    assert read(DriTwin()._record(0, [(4, record[40:])])) == []


@pytest.mark.parametrize(
    ("source", "flags"),
    [(0, ()), (1, ("source-ecg",)), (2, ("source-invasive",)), (5, ("source-invasive",)), (6, ("source-pleth",)),
     (8, ("source-invasive",)), (9, ("source-ecg",)), (12, ("source-pleth",)), (13, ())],
)  # fmt: skip
def test_the_source_of_a_heart_rate(source, flags):
    (found,) = read(values(ecg=(3 | source << 3, 0, 72, *[-32767] * 4)))
    assert (found.metric, found.flags, found.quality) == ("heart_rate", flags, "good")


@pytest.mark.parametrize(
    ("group", "told", "flags", "quality"),
    [
        ("ecg", (3 | 1 << 3 | 1 << 7, 0, 72, *[-32767] * 4), ("source-ecg", "noise"), "uncertain"),
        ("ecg", (3 | 6 << 3 | 1 << 7, 0, 72, *[-32767] * 4), ("source-pleth",), "good"),
        ("p1", (3 | 1 << 2, 1, 100, 50, 80, 72), ("site-art", "zeroing"), "uncertain"),
        ("co2", (3 | 1 << 3, 0, 512, 4, 14, 7600), ("calibrating",), "uncertain"),
        ("co2", (3 | 1 << 2, 2, 512, 4, 14, 7600), ("source-impedance", "apnea"), "good"),
        ("flow_vol", (3 | 1 << 6, 0, *range(1, 9)), ("leak",), "uncertain"),
        ("o2", (3 | 1 << 2, 0, 1650, 2100), ("calibrating",), "uncertain"),
        ("co_wedge", (3, 1, 5000, 3700, 40, 1200), ("cardiac_output:older-than-60s",), "uncertain"),
        ("co_wedge", (3, 2, 5000, 3700, 40, 1200), ("wedge_pressure:older-than-60s",), "uncertain"),
    ],
)
def test_what_the_monitor_says_of_a_measurement(group, told, flags, quality):
    (found,) = read(values(**{group: told}))
    assert (found.flags, found.quality) == (flags, quality)


def test_agents():
    (reading,) = read(values(aa=(3, 6, 180, 210, 90)))
    assert (reading.flags, reading.units) == (("agent-sevoflurane",), {"agent_et": "%", "agent_fi": "%"})


def test_waveforms_with_gaps_and_leads_off():
    twin = DriTwin()

    def wave(status, *samples):
        block = struct.pack(f"<hHH{len(samples)}h", len(samples), status, 0, *samples)
        return twin._record(1, [(1, block)])

    decoder = DriDecoder()
    found = read(wave(0, *range(300)) + wave(1, *range(300)) + wave(8, *[-32767] * 300) + wave(0, *range(300)), decoder)
    assert [reading.values["channel"] for reading in found] == ["ecg1"] * 4
    assert "gap" in found[1].flags
    assert found[2].flags == ("ecg1:lead-off",)
    assert (found[3].values["lost_samples"], found[3].waveform.rate_hz) == (300, 300)


def test_samples_of_a_lead_that_is_off_are_doubted():
    twin = DriTwin()
    block = struct.pack("<hHH200h", 200, 8, 0, *range(200))
    found = read(twin._record(1, [(1, block)]) * 3)
    assert [(reading.flags, reading.quality) for reading in found] == [(("ecg1:lead-off",), "uncertain")] * 2


def test_a_flag_that_ends_a_frame_may_begin_the_next():
    assert len(read(FRAME + FRAME[1:] + FRAME[1:])) == 3 * len(read(FRAME)) - 2  # the cuff is reported once


def test_requests():
    for record in (values_request(10), values_request(0, 0), waveform_request((1, 8)), waveform_request((), stop=True)):
        assert decode_frame(encode_frame(record)) == record
        assert GeDri().violation(encode_frame(record)) is None
    driver = GeDri(msgspec.convert({"waveforms": ["ecg1"]}, DriOptions))
    stops = (values_request(0, 0), waveform_request((), stop=True))
    assert driver.on_close_bytes() == tuple(map(encode_frame, stops))


def test_a_silent_monitor_is_asked_again():
    class Deaf(DriTwin):
        asked = 0

        def hear(self, data):
            self.asked += 1
            return super().hear(data) if self.asked > 2 else b""

    done = driver_kit.session(GeDri(), Deaf(), seconds=90)
    assert done.readings


@pytest.mark.parametrize("waveforms", [["ecg1", "ecg2", "pleth"], ["nothing"]])
def test_options_that_cannot_work(waveforms):
    with pytest.raises(WrongOptions):
        DriOptions(waveforms=waveforms)
