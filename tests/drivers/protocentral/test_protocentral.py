"""protocentral-ads1292r and healthypi: frames found again after anything, curves in blocks, why there is no value."""

import struct

import msgspec
import pytest

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import BAD, GOOD, Faults, Reading
from gatepost.drivers.serial.protocentral.driver import HealthyPi, ProtocentralAds1292r
from gatepost.drivers.serial.protocentral.frames import ProtocentralFrameReader, decode_frame, encode_frame
from gatepost.drivers.serial.protocentral.signals import ADS1292R, HEALTHYPI, ads1292r, encode_ads1292r, healthypi
from gatepost.drivers.serial.protocentral.twin import ProtocentralTwin


def ads(ecg=0, breath=0, pulse=72, breaths=16):
    return encode_frame(2, encode_ads1292r(ecg, breath, pulse, breaths))


def pi3(ecg=1, leads=0, spo2=97, temperature=3655, pulse=70, breaths=15, other=0):
    return encode_frame(
        2, struct.pack("<hhiiHBBBBBB", ecg, -ecg, 70000, -3, temperature, breaths, spo2, pulse, 80, other, leads)
    )


def pi5(ecg=-100000, breath=5, skip=0):
    return encode_frame(2, struct.pack("<iiBiihBBB", ecg, breath, skip, 11, 12, -5, 98, 61, 14))


PI5_ECG = encode_frame(3, struct.pack("<8i4iBB", *range(8), *range(100, 104), 62, 13))
PI5_PPG = encode_frame(4, struct.pack("<8hhB", *range(8), 3701, 96))


def decode(driver, data, **options):
    decoder = driver(msgspec.convert(options, driver.options_type)).decoder()
    return decoder, [item for item in decoder.feed(data) if isinstance(item, Reading)]


def curves(found):
    return {(r.metric, r.values["channel"]): r for r in found if r.waveform}


def numbers(found):
    return [(r.values, r.flags) for r in found if not r.waveform]


# -- frames


def test_both_endings_are_taken():
    whole = ads(-120, 345)
    assert whole.hex() == "0afa08000288ff590148001000000b"
    short = whole[:-2] + b"\x0b"
    assert decode_frame(whole) == decode_frame(short)
    reader = ProtocentralFrameReader(Faults(), ADS1292R)
    assert [ads1292r(frame).ecg for frame in reader.feed(whole + short + whole)] == [(-120,)] * 3


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (b"", "truncated"),
        (b"\x0a\xfa\x08", "truncated"),
        (ads()[:-2], "truncated"),
        (ads()[:-1], "truncated"),
        (b"\x0a\xfb" + ads()[2:], "bad_header"),
        (ads()[:-1] + b"\x0c", "bad_frame"),
        (ads()[:-2] + b"\x01", "bad_frame"),
        (ads() + b"\x00\x00", "bad_length"),
    ],
)
def test_what_is_no_frame_is_refused(frame, kind):
    with pytest.raises(FrameError, match=kind):
        decode_frame(frame)


def test_types_and_lengths_of_other_boards_are_refused():
    with pytest.raises(FrameError, match="unsupported"):
        ads1292r(decode_frame(encode_frame(3, bytes(8))))
    with pytest.raises(FrameError, match="bad_length"):
        healthypi(decode_frame(encode_frame(2, bytes(8))))
    with pytest.raises(FrameError, match="bad_length"):
        healthypi(decode_frame(encode_frame(4, bytes(20))))


def test_a_header_in_garbage_does_not_swallow_the_frames_after_it():
    reader = ProtocentralFrameReader(Faults(), HEALTHYPI)
    found = [frame for frame in reader.feed(b"\x0a\xfa\x32\x00\x03" + pi3() * 9) if frame]
    assert len(found) == 9


# -- readings


def test_ads1292r_curves_and_numbers():
    _, found = decode(ProtocentralAds1292r, b"".join(ads(i, -i) for i in range(125)))
    both = curves(found)
    assert both["ecg", "ecg"].waveform.samples == list(range(125))
    assert both["respiration", "respiration"].waveform.samples == [-i for i in range(125)]
    assert (both["ecg", "ecg"].waveform.rate_hz, both["ecg", "ecg"].waveform.unit) == (125.0, "{raw}")
    assert numbers(found) == [({"heart_rate": 72}, ()), ({"respiration_rate": 16}, ())]
    assert [r.metric for r in found if not r.waveform] == ["heart_rate", "respiration"]


def test_the_rate_of_the_board_and_the_curves_wanted():
    stream = b"".join(ads(i) for i in range(500))
    _, found = decode(ProtocentralAds1292r, stream, rate=500, waveforms=["ecg"])
    assert list(curves(found)) == [("ecg", "ecg")]
    assert [len(r.waveform.samples) for r in found if r.waveform] == [500]
    assert curves(found)["ecg", "ecg"].waveform.rate_hz == 500
    _, found = decode(ProtocentralAds1292r, stream, waveforms=[])
    assert not curves(found)


def test_numbers_come_when_they_change_and_once_a_second():
    _, found = decode(ProtocentralAds1292r, ads() * 250 + ads(pulse=73) + ads(pulse=0) * 2, waveforms=[])
    heart = [(r.values, r.flags, r.quality) for r in found if r.metric == "heart_rate"]
    assert heart == [
        ({"heart_rate": 72}, (), GOOD),
        ({"heart_rate": 72}, (), GOOD),
        ({"heart_rate": 73}, (), GOOD),
        ({}, ("heart_rate:no-signal",), BAD),
    ]


def test_lost_octets_end_the_block_and_mark_the_next():
    decoder, found = decode(ProtocentralAds1292r, ads(1) * 10 + b"\xff\xff" + ads(2) * 125, waveforms=["ecg"])
    first, second = (r for r in found if r.waveform)
    assert (len(first.waveform.samples), first.flags) == (10, ())
    assert (len(second.waveform.samples), second.flags, second.values) == (125, ("gap",), {"channel": "ecg"})
    assert decoder.faults.counts == {"resync": 1}


def test_healthypi_v3():
    everything = ["ecg", "respiration", "infrared", "red"]
    _, found = decode(HealthyPi, pi3(5) * 125, waveforms=everything)
    firsts = {channel: r.waveform.samples[0] for (_, channel), r in curves(found).items()}
    assert firsts == {"ecg": 5, "respiration": -5, "infrared": 70000, "red": -3}
    assert {r.metric for r in found} == {"ecg", "respiration", "pulse_oximetry", "heart_rate", "body_temperature"}
    assert numbers(found) == [
        ({"heart_rate": 70}, ()),
        ({"respiration_rate": 15}, ()),
        ({"spo2": 97}, ()),
        ({"temperature": 36.55}, ()),
    ]


def test_leads_off_are_no_values():
    _, found = decode(HealthyPi, pi3() * 5 + pi3(0, leads=1, pulse=0, breaths=0) * 3 + pi3(9) * 120)
    ecg = [(r.values, r.waveform and len(r.waveform.samples), r.flags) for r in found if r.metric == "ecg"]
    assert ecg[:2] == [({"channel": "ecg"}, 5, ()), ({"channel": "ecg"}, None, ("ecg:lead-off",))]
    assert ecg[2] == ({"channel": "ecg", "lost_samples": 3}, 117, ("gap",))
    flags = {flag for r in found for flag in r.flags}
    assert flags == {"ecg:lead-off", "respiration:lead-off", "heart_rate:lead-off", "respiration_rate:lead-off", "gap"}


def test_no_finger_no_reading_and_no_sensor():
    _, found = decode(HealthyPi, pi3(leads=2, spo2=25, temperature=0), waveforms=["red"])
    assert {flag for r in found for flag in r.flags} == {"spo2:no-finger", "red:no-finger", "temperature:no-signal"}
    for spo2, why in ((25, "no-signal"), (0, "no-signal"), (101, "over-range")):
        _, found = decode(HealthyPi, pi3(spo2=spo2), waveforms=[])
        assert ({}, (f"spo2:{why}",)) in numbers(found)


@pytest.mark.parametrize("leads", [1, 2, 8, 31])
def test_healthypi_v4_has_a_bit_for_each_electrode(leads):
    found = healthypi(decode_frame(pi3(leads=leads, other=120)))
    assert (found.ecg_off, found.probe_off) == (True, False)
    assert not healthypi(decode_frame(pi3(other=120))).ecg_off


def test_healthypi_5_with_one_sample_a_frame():
    _, found = decode(HealthyPi, b"".join(pi5(i, i, i % 2) for i in range(125)), waveforms=["ecg", "respiration"])
    ecg = curves(found)["ecg", "ecg"].waveform
    assert (ecg.samples, ecg.rate_hz) == (list(range(125)), 125)
    breath = curves(found)["respiration", "respiration"].waveform
    assert (breath.samples, breath.rate_hz) == (list(range(0, 124, 2)), 62.5)
    assert ({"temperature": -0.05}, ()) in numbers(found)


def test_healthypi_5_in_batches():
    _, found = decode(HealthyPi, PI5_ECG * 16 + PI5_PPG * 13, waveforms=["ecg", "respiration", "red", "infrared"])
    got = curves(found)
    assert got["ecg", "ecg"].waveform.samples == [i % 8 for i in range(125)]
    assert got["respiration", "respiration"].waveform.samples[:5] == [100, 101, 102, 103, 100]
    red = got["pulse_oximetry", "red"].waveform
    assert (red.rate_hz, len(red.samples)) == (100.0, 100)
    assert ("pulse_oximetry", "infrared") not in got
    assert numbers(found)[0] == ({"heart_rate": 62}, ())
    assert ({"spo2": 96}, ()) in numbers(found)
    assert ({"temperature": 37.01}, ()) in numbers(found)


@pytest.mark.parametrize("given", [{"rate": 0}, {"rate": 9999}, {"waveforms": ["pleth"]}])
def test_options_that_cannot_work(given):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(given, HealthyPi.options_type)


def test_a_twin_at_500_hz_loses_nothing():
    twin = ProtocentralTwin(1, rate=500, ramp=True)
    decoder = ProtocentralAds1292r(msgspec.convert({"rate": 500}, ProtocentralAds1292r.options_type)).decoder()
    found = [item for _ in range(250) for item in decoder.feed(twin.tick())]
    samples = [s for r in found if r.metric == "ecg" for s in r.waveform.samples]
    assert samples == list(range(5000))
    assert decoder.faults.total == 0


def test_a_twin_whose_leads_and_finger_come_off():
    twin = HealthyPi.twin(seed=1)
    decoder = HealthyPi().decoder()
    for _ in range(30):
        decoder.feed(twin.tick())
    twin.leads = twin.finger = False
    flags = {flag for _ in range(30) for item in decoder.feed(twin.tick()) for flag in item.flags}
    assert flags == {
        "ecg:lead-off",
        "respiration:lead-off",
        "heart_rate:lead-off",
        "respiration_rate:lead-off",
        "spo2:no-finger",
    }
