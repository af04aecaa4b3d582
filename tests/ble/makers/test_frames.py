"""Frames and records of single makers: noise, and what is never made up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.drivers.ble.airthings.values import decode_radon
from gatepost.drivers.ble.microlife.frames import MicrolifeFrames, decode_records
from gatepost.drivers.ble.omron import frames as omron
from gatepost.drivers.ble.omron.records import CLOCKS, RECORDS, decode_clock
from gatepost.drivers.ble.oximeters.driver import reading_of
from gatepost.drivers.ble.oximeters.frames import BciFrames, Fs20fFrames
from gatepost.drivers.ble.scales import frames as scales
from gatepost.drivers.ble.viatom import cuff_values, ring_values
from gatepost.drivers.ble.viatom.frames import LepuFrames, ViatomFrames, crc8, lepu_request
from gatepost.drivers.checksums import FrameError

CHANNELS = ["2e810002602600010203040506070809", "0a0b0c0d0e0f10111213141516171819", "1a1b1c1d1e1f20212223242500ea0000"]
PARTS = [(channel, bytes.fromhex(text)) for channel, text in enumerate(CHANNELS)]


@given(order=st.permutations(PARTS))
def test_channels_come_in_any_order(order):
    wrong: list[str] = []
    frames = omron.ChannelFrames(lambda error: wrong.append(error.kind))
    (frame,) = [frame for channel, data in order for frame in frames.feed(channel, data)]
    assert frame.data == bytes(range(0x26))
    assert wrong == []
    assert not frames.holding


def test_a_lost_channel_spoils_one_answer_alone():
    wrong: list[str] = []
    frames = omron.ChannelFrames(lambda error: wrong.append(error.kind))
    lost = [frame for channel, data in PARTS[:2] for frame in frames.feed(channel, data)]
    found = [frame for channel, data in PARTS for frame in frames.feed(channel, data)]
    assert lost == []
    assert len(found) == 1
    assert wrong == ["truncated"]


def test_a_short_answer_is_not_filled_up():
    frame = bytearray.fromhex("0a8100026008000100")
    frame.append(omron.xor_all(bytes(frame)))
    with pytest.raises(FrameError, match="truncated"):
        omron.decode_frame(bytes(frame))


@given(data=st.binary(max_size=80))
def test_any_octets_are_a_record_or_refused(data):
    decoders = [decode for _, decode in RECORDS.values()]
    decoders += [lambda octets, form=form: decode_clock(octets, form) for form in CLOCKS]
    decoders += [omron.decode_frame, scales.decode_ac02, scales.decode_vitafit, scales.decode_qn, scales.decode_yunmai]
    decoders += [lambda octets: scales.decode_qn(octets, long=True, divisor=10)]
    decoders += [cuff_values.decode_info, cuff_values.decode_state, cuff_values.decode_live, cuff_values.decode_list]
    decoders += [cuff_values.decode_file, cuff_values.decode_battery, ring_values.decode_new_live, decode_records]
    decoders += [ring_values.decode_list, lambda octets: ring_values.decode_live(0, octets), ring_values.decode_info]
    decoders += [lambda octets: list(ring_values.read_file(b"\3\0" + octets).records())]
    decoders += [lambda octets: list(ring_values.read_new_file(b"\1\3" + octets).records())]
    for decode in decoders:
        try:
            decode(data)
        except FrameError:
            continue


GOOD = {
    ViatomFrames: bytes.fromhex("5500ff00000d00624200000000006100920a01002f"),
    LepuFrames: bytes.fromhex("a530cf01030400ce0a830e8a"),
    MicrolifeFrames: bytes.fromhex("4d3a00030102") + bytes((0x4D + 0x3A + 3 + 1 + 2 & 0xFF,)),
}


@pytest.mark.parametrize("kind", GOOD, ids=lambda kind: kind.__name__)
@given(noise=st.lists(st.binary(max_size=60), max_size=20))
def test_noise_is_survived_and_the_next_frame_is_found(kind, noise):
    frames = kind(lambda error: None)
    for chunk in noise:
        frames.feed(chunk)
    assert any(frames.feed(GOOD[kind]) for _ in range(1500))
    assert len(frames._held) <= 4200


def test_a_beat_mark_is_no_sample():
    data = bytes((97, 72, 0, 85, 0, 6, 1, 0, 0, 0, 5, 0, 10, 156, 20, 156, 156))
    assert ring_values.decode_live(0, data)["pleth"] == [10, 15, 20, 20, 20]


def test_the_octets_of_a_request_are_checked():
    assert crc8(b"123456789") == 0xF4
    whole = lepu_request(0xE1, b"\1\2", 7)
    assert [frame[:3] for frame in LepuFrames(lambda error: None).feed(whole)] == [(0xE1, 7, b"\1\2")]


def test_a_scale_tells_its_layout():
    info = bytearray(18)
    info[:3], info[10] = b"\x12\x12\xff", 7
    info[-1] = sum(info) & 0xFF
    assert scales.decode_qn(bytes(info)) == {"kind": "info", "protocol": 255, "long": True, "divisor": 100}


def test_a_frame_without_a_sum_that_lost_its_end_is_no_value():
    wrong: list[str] = []
    frames = Fs20fFrames(lambda error: wrong.append(error.kind))
    found = frames.feed(bytes.fromhex("fe0a55004f" + "fe08561b0004209d" + "fe0a55004f6314bf391d"))
    assert [each["kind"] for each in found] == ["wave", "values"]
    assert (found[1]["spo2"], wrong) == (99, ["truncated"])


@pytest.mark.parametrize(
    ("octets", "flags", "quality"),
    [
        ("c53107585f", (), "good"),
        ("c53117585f", ("no-finger",), "uncertain"),
        ("d53107585f", ("no-signal",), "uncertain"),
        ("c53127587f", ("spo2:searching",), "uncertain"),
    ],
)
def test_values_that_stand_there_without_a_finger_are_doubtful(octets, flags, quality):
    (found,) = BciFrames(lambda error: None).feed(bytes.fromhex(octets))
    reading = reading_of(found)
    assert (reading.flags, reading.quality) == (flags, quality)
    assert reading.values["heart_rate"] == 88


def test_a_monitor_without_humidity():
    found = decode_radon(bytes.fromhex("01ff60f009001100a709ffffffffffff0000ffff"))
    assert (found["humidity"], found["radon_1day"], found["temperature"]) == (None, 9, 24.71)
