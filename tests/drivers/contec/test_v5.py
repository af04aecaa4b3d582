import pytest

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import BAD, GOOD, UNCERTAIN, Faults
from gatepost.drivers.serial.contec import v5_frames
from gatepost.drivers.serial.contec.v5_driver import Contec5Options, ContecCms50dPlus
from gatepost.drivers.serial.contec.v5_frames import V5LiveData, decode_live, decode_stored, encode_live

GOOD_FRAME = bytes.fromhex("8632054861")  # 72/min, 97 %


def live(**changes):
    usual = {
        "signal_strength": 6,
        "search_timeout": False,
        "spo2_drop": False,
        "beep": False,
        "waveform": 50,
        "bar": 5,
        "probe_error": False,
        "searching": False,
        "pulse_rate": 72,
        "spo2": 97,
    }
    return V5LiveData(**(usual | changes))


def readings(data, **options):
    return ContecCms50dPlus(Contec5Options(**options)).decoder().feed(data)


def test_the_field_table():
    assert decode_live(GOOD_FRAME) == live()


@pytest.mark.parametrize("pulse", [1, 127, 128, 200, 255])
def test_bit_7_of_the_pulse_rate_is_in_the_bar_octet(pulse):
    assert decode_live(encode_live(live(pulse_rate=pulse))).pulse_rate == pulse


@pytest.mark.parametrize("flag", ["search_timeout", "spo2_drop", "beep", "probe_error", "searching"])
def test_each_flag_by_itself(flag):
    assert decode_live(encode_live(live(**{flag: True}))) == live(**{flag: True})


@pytest.mark.parametrize(
    ("frame", "kind"),
    [("", "truncated"), ("86320548", "truncated"), ("863205486100", "bad_length"), ("0632054861", "bad_sync"),
     ("8632058061", "bad_sync"), ("86b2054861", "bad_sync")],
)  # fmt: skip
def test_what_is_no_frame_is_refused(frame, kind):
    with pytest.raises(FrameError, match=kind):
        decode_live(bytes.fromhex(frame))


def test_stored_data():
    data = bytes.fromhex("f28000f28000f28000808005f0c861f1c960")
    assert decode_stored(data) == [{"pulse_rate": 72, "spo2": 97}, {"pulse_rate": 201, "spo2": 96}]
    assert decode_stored(bytes.fromhex("f28000f28000f28000808002f08000")) == [{"pulse_rate": None, "spo2": None}]


def test_a_long_stored_length_is_put_together_from_three_groups():
    record = bytes.fromhex("f0c861")
    count = 20000
    length = 3 * count - 1
    header = bytes.fromhex("f28000" * 3) + bytes((0x80 | length >> 14, 0x80 | length >> 7 & 0x7F, length & 0x7F))
    assert len(decode_stored(header + record * count)) == count


@pytest.mark.parametrize(
    ("data", "kind"),
    [("f28000f28000", "truncated"), ("f28000f28000f28000", "truncated"),
     ("f28000f28000f28000808005f0c861", "truncated"),
     ("f28000f28001f28000808005f0c861f0c960", "bad_header"), ("f28000f28000f28000008005f0c861f0c960", "bad_header"),
     ("f28000f28000f28000808004f0c861f0c9", "bad_length"), ("f28000f28000f28000808005e0c861f0c960", "bad_sync")],
)  # fmt: skip
def test_stored_data_that_is_not_whole_is_refused(data, kind):
    with pytest.raises(FrameError, match=kind):
        decode_stored(bytes.fromhex(data))


def test_the_first_reading_needs_two_consistent_frames():
    assert readings(GOOD_FRAME) == []
    (reading,) = readings(GOOD_FRAME * 2)
    assert reading.metric == "pulse_oximetry"
    assert reading.values == {"spo2": 97, "heart_rate": 72}
    assert reading.units == {"spo2": "%", "heart_rate": "/min"}
    assert (reading.flags, reading.quality) == ((), GOOD)


def test_frames_that_contradict_each_other_give_nothing():
    other = encode_live(live(pulse_rate=140, spo2=60))
    assert readings(GOOD_FRAME + other + GOOD_FRAME + other) == []


def test_after_a_stray_octet_trust_is_earned_again():
    decoder = ContecCms50dPlus().decoder()
    assert len(decoder.feed(GOOD_FRAME * 3)) == 2
    assert decoder.feed(b"\x05" + GOOD_FRAME) == []
    assert len(decoder.feed(GOOD_FRAME)) == 1
    assert decoder.faults.counts == {"resync": 1}


def test_a_lost_octet_costs_one_frame_and_never_a_wrong_value():
    broken = GOOD_FRAME * 2 + GOOD_FRAME[:3] + GOOD_FRAME[4:] + GOOD_FRAME * 3
    assert {tuple(reading.values.values()) for reading in readings(broken)} == {(97, 72)}


def test_beginning_in_mid_frame_is_no_fault():
    decoder = ContecCms50dPlus().decoder()
    assert len(decoder.feed(GOOD_FRAME[2:] + GOOD_FRAME * 2)) == 1
    assert decoder.faults.total == 0


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"search_timeout": True}, "no-finger"), ({"searching": True}, "searching"),
     ({"probe_error": True}, "sensor-fault"),
     ({}, "no-signal")],
)  # fmt: skip
def test_zero_is_no_value_and_the_flag_says_why(changes, why):
    (reading,) = readings(encode_live(live(pulse_rate=None, spo2=None, **changes)) * 2)
    assert reading.values == {}
    assert reading.units == {}
    assert reading.flags == (f"spo2:{why}", f"heart_rate:{why}")
    assert reading.quality == BAD


def test_one_value_missing():
    (reading,) = readings(encode_live(live(pulse_rate=None, searching=True)) * 2)
    assert (reading.values, reading.flags, reading.quality) == ({"spo2": 97}, ("heart_rate:searching",), UNCERTAIN)


def test_values_while_it_searches_are_uncertain():
    (reading,) = readings(encode_live(live(searching=True)) * 2)
    assert (reading.quality, reading.flags) == (UNCERTAIN, ("searching",))


def test_falling_saturation_is_told():
    (reading,) = readings(encode_live(live(spo2_drop=True)) * 2)
    assert reading.flags == ("spo2-falling",)


def test_waveform_blocks_of_one_second():
    frames = b"".join(encode_live(live(waveform=i % 100)) for i in range(122))
    blocks = [reading.waveform for reading in readings(frames, waveform=True) if reading.waveform]
    assert [block.samples for block in blocks] == [[i % 100 for i in range(1, 61)], [i % 100 for i in range(61, 121)]]
    assert blocks[0].rate_hz == 60


def test_lost_octets_end_a_waveform_block():
    data = GOOD_FRAME * 11 + b"\x01" + GOOD_FRAME * 62
    blocks = [reading.waveform for reading in readings(data, waveform=True) if reading.waveform]
    assert [len(block.samples) for block in blocks] == [10, 60]


def test_no_waveform_by_default():
    assert all(reading.waveform is None for reading in readings(GOOD_FRAME * 200))


def test_memory_is_bounded():
    frames = v5_frames.LiveFrames(Faults())
    frames.feed(b"\x80\x01\x01" * 10000)
    assert len(frames._rest) < 5


def test_the_twin_wanders_and_can_lose_its_finger():
    twin, decoder = ContecCms50dPlus.twin(seed=2), ContecCms50dPlus().decoder()
    found = [reading for _ in range(600) for reading in decoder.feed(twin.tick())]
    assert len(found) == 599
    assert len({reading.values["heart_rate"] for reading in found}) > 1
    twin.finger = False
    assert decoder.feed(twin.tick())[0].flags == ("spo2:no-finger", "heart_rate:no-finger")
