"""Recordings: what is written is read again, and what is no recording says where."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.drivers.ble.peripheral import GattValue, ReceivedAdvert
from gatepost.drivers.recording import RecordedMoment, RecordingHeader, RecordingWrong, line, read

HEADER = RecordingHeader(
    "contec-cms50d-plus", "oximeter-1", "2026-11-20T10:30:00Z", "0.1.0", {"waveform": True}, {"a": [1, 2]}
)

chunks = st.one_of(
    st.binary(min_size=1),
    st.builds(GattValue, st.sampled_from(["2a37", "x"]), st.binary(), st.integers(0, 65535), st.text(max_size=5)),
    st.builds(
        ReceivedAdvert,
        st.just("AA:BB:CC:DD:EE:FF"),
        st.text(max_size=9),
        st.none() | st.integers(-127, 20),
        st.dictionaries(st.text(max_size=4), st.binary(), max_size=3),
        st.dictionaries(st.integers(0, 65535), st.binary(), max_size=3),
        st.lists(st.text(max_size=4), max_size=3).map(tuple),
    ),
)
moments = st.one_of(
    st.builds(lambda at, heard: RecordedMoment(float(at), heard), st.integers(0, 10**6), chunks),
    st.builds(
        lambda data, uuid: RecordedMoment(1.5, said=data, characteristic=uuid),
        st.binary(),
        st.sampled_from(["", "2a52"]),
    ),
    st.builds(lambda note: RecordedMoment(2.0, note=note), st.text(max_size=20)),
)


@given(st.lists(moments, max_size=20))
def test_what_is_written_is_read_again(told):
    header, found = read([HEADER.line(), *map(line, told)])
    assert header == HEADER
    assert list(found) == told


def test_a_line_that_was_cut_off_at_the_end_is_left_out():
    last = line(RecordedMoment(2.0, b"\x01\x02"))
    _, found = read([HEADER.line(), line(RecordedMoment(1.0, b"\x01")), last[:-4]])
    assert [moment.at for moment in found] == [1.0]


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ([], "line 1"),
        ([b"hello\n"], "line 1"),
        ([b"{}\n"], "no recording"),
        ([b"t;value\n"], "line 1: this is no recording"),
        ([b'{"format": "gatepost-recording", "version": 99, "driver": "x"}\n'], "version 99"),
        ([b'{"format": "gatepost-recording", "version": 1}\n'], "line 1"),
        ([HEADER.line(), b"[]\n"], "line 2"),
        ([HEADER.line(), b"\n", b'{"t": 1, "heard": "zz"}\n'], "line 3"),
        ([HEADER.line(), b'{"heard": "00"}\n'], "line 2 is none of a recording: 't' is missing"),
        ([HEADER.line(), b'{"t": 1, "advert": {}}\n'], "line 2"),
        ([HEADER.line(), b'{"t": 1, "advert": 5}\n'], "line 2"),
    ],
)
def test_what_is_no_recording_says_where(lines, what):
    with pytest.raises(RecordingWrong, match=what):
        list(read(lines)[1])


@given(st.lists(st.binary(max_size=60).map(lambda data: data + b"\n"), max_size=5))
def test_nothing_else_is_raised_for_any_bytes(lines):
    with contextlib.suppress(RecordingWrong):
        list(read([HEADER.line(), *lines])[1])
