"""Frames and records of meters that have no driver yet."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.drivers.checksums import FrameError, sum8
from gatepost.drivers.testing.vectors import judge
from gatepost.drivers.testing.vectors.undriven import beurer_record, freestyle_lines, lifescan_frames, taidoc_frames
from gatepost.drivers.testing.vectors.undriven.lifescan_frames import LifescanFrame
from gatepost.drivers.testing.vectors.undriven.taidoc_frames import TaidocMessage

BIT = st.integers(0, 1)


@given(st.builds(LifescanFrame, st.binary(max_size=30), BIT, BIT, st.booleans(), st.booleans(), st.booleans()))
def test_lifescan_frames_there_and_back(frame):
    octets = lifescan_frames.encode_frame(frame)
    assert lifescan_frames.decode_frame(octets) == frame
    for cut in range(len(octets)):
        with pytest.raises(FrameError, match="truncated"):
            lifescan_frames.decode_frame(octets[:cut])


@pytest.mark.parametrize(
    ("octets", "kind"),
    [("02060803c263", "bad_crc"), ("03060803c262", "bad_sync"), ("02060803c26200", "bad_length"),
     ("02060804c262", "bad_frame")],
)  # fmt: skip
def test_what_is_no_lifescan_frame(octets, kind):
    with pytest.raises(FrameError, match=kind):
        lifescan_frames.decode_frame(bytes.fromhex(octets))


@given(st.builds(TaidocMessage, st.integers(0, 255), st.binary(min_size=4, max_size=4), st.booleans()))
def test_taidoc_messages_there_and_back(message):
    octets = taidoc_frames.encode_message(message)
    assert taidoc_frames.decode_message(octets) == message
    with pytest.raises(FrameError):
        taidoc_frames.decode_message(octets[:-1] + bytes((octets[-1] ^ 1,)))


def test_what_is_no_taidoc_message():
    good = taidoc_frames.encode_message(TaidocMessage(0x22, bytes(4), True))
    strange = b"\x51\x22\0\0\0\0\xa4"
    for octets, kind in ((good[:7], "truncated"), (good + b"\0", "bad_length"), (b"\x52" + good[1:], "bad_sync"),
                         (strange + bytes((sum8(strange),)), "bad_frame")):  # fmt: skip
        with pytest.raises(FrameError, match=kind):
            taidoc_frames.decode_message(octets)


def test_taidoc_times():
    assert taidoc_frames.decode_time(bytes.fromhex("21240e15")) == [2018, 1, 1, 21, 14]
    for octets in ("00240e15", "21240e18", "21243c15", "a1270e15"):
        with pytest.raises(FrameError, match="out_of_range"):
            taidoc_frames.decode_time(bytes.fromhex(octets))


def test_freestyle_lines():
    stored = freestyle_lines.decode_stored("113  Sep  22 2013 17:55 G 0x00\r\n")
    assert stored == (113, "glucose", datetime(2013, 9, 22, 17, 55))  # noqa: DTZ001
    high = freestyle_lines.decode_stored("HI   July  05 2014 00:06 K 0x00")
    assert (high.value, high.kind, high.time.month) == (None, "ketone", 7)
    assert freestyle_lines.decode_clock("Clock:\tJune  22 2014\t02:14:37").month == 6
    for line in (
        "",
        "113  Sep  31 2013 17:55 G 0x00",
        "113  Xyz  22 2013 17:55 G 0x00",
        "113  Sep  22 2013 17:55 X 0x00",
    ):
        with pytest.raises(FrameError, match="bad_format"):
            freestyle_lines.decode_stored(line)
    with pytest.raises(FrameError, match="bad_format"):
        freestyle_lines.decode_clock("Clock:\tApr  22 2014\t25:14:37")


@pytest.mark.parametrize("octets", ["", "ac5f3648060f081e", "ac5f3648060f081e1800"])
def test_what_is_no_beurer_record(octets):
    refused = {"kind": "serial-frame", "protocol": "beurer-bm", "input_hex": octets, "expect_error": "?"}
    assert judge(refused) == ""
    assert beurer_record.decode_record(bytes.fromhex("ac5f3648060f081e18")).systolic == 120


@given(st.binary(max_size=12), st.text(max_size=40))
def test_anything_is_read_or_refused(octets, text):
    for decode, given_ in (
        (lifescan_frames.decode_frame, octets), (taidoc_frames.decode_message, octets),
        (taidoc_frames.decode_time, octets), (beurer_record.decode_record, octets),
        (freestyle_lines.decode_clock, text), (freestyle_lines.decode_stored, text),
    ):  # fmt: skip
        try:
            decode(given_)
        except FrameError:
            continue
