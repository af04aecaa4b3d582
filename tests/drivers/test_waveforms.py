"""Blocks of samples: complete, in order, never across a gap, and bounded."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatepost.drivers.reading import BAD, GOOD, UNCERTAIN
from gatepost.drivers.waveforms import MAX_SAMPLES, WaveformBlocks, WaveformChannel

ECG = WaveformChannel("ecg", "uV", 0.5, 1.0)
RESP = WaveformChannel("respiration", "{raw}")


def add_all(blocks, rows):
    return [reading for row in rows for reading in blocks.add(row)]


def test_blocks_of_a_second_for_each_channel():
    blocks = WaveformBlocks("ecg", 4, (ECG, RESP))
    found = add_all(blocks, [(i, -i) for i in range(9)])
    assert [(r.values, r.waveform.samples) for r in found] == [
        ({"channel": "ecg"}, [0, 1, 2, 3]),
        ({"channel": "respiration"}, [0, -1, -2, -3]),
        ({"channel": "ecg"}, [4, 5, 6, 7]),
        ({"channel": "respiration"}, [-4, -5, -6, -7]),
    ]
    wave = found[0].waveform
    assert (wave.rate_hz, wave.scale, wave.offset, wave.unit) == (4, 0.5, 1.0, "uV")
    assert all(r.metric == "ecg" and r.quality == GOOD and r.flags == () for r in found)
    assert [r.waveform.samples for r in blocks.cut()] == [[8], [-8]]
    assert blocks.cut() == []


@pytest.mark.parametrize(
    ("rate", "seconds", "size"), [(125, 1, 125), (130.4, 1, 130), (0.5, 1, 1), (10**9, 1, MAX_SAMPLES)]
)
def test_the_size_of_a_block(rate, seconds, size):
    blocks = WaveformBlocks("ecg", rate, (ECG,), seconds)
    found = add_all(blocks, [(1,)] * size)
    assert [len(r.waveform.samples) for r in found] == [size]


def test_a_gap_ends_the_block_and_marks_the_next():
    blocks = WaveformBlocks("ecg", 4, (ECG,))
    add_all(blocks, [(1,), (2,)])
    (before,) = blocks.gap(7)
    assert (before.waveform.samples, before.flags) == ([1, 2], ())
    (after,) = add_all(blocks, [(3,)] * 4)
    assert (after.values, after.flags, after.quality) == ({"channel": "ecg", "lost_samples": 7}, ("gap",), GOOD)
    (later,) = add_all(blocks, [(4,)] * 4)
    assert (later.values, later.flags) == ({"channel": "ecg"}, ())


def test_gaps_add_up_and_an_unknown_one_makes_the_number_unknown():
    blocks = WaveformBlocks("ecg", 2, (ECG,))
    add_all(blocks, [(1,)] * 2)
    assert blocks.gap(2) + blocks.gap(3) == []
    (block,) = add_all(blocks, [(1,)] * 2)
    assert block.values["lost_samples"] == 5
    blocks.gap(2)
    blocks.gap(None)
    blocks.gap(2)
    (block,) = add_all(blocks, [(1,)] * 2)
    assert block.flags == ("gap",)
    assert "lost_samples" not in block.values


def test_before_the_first_sample_nothing_is_missed():
    blocks = WaveformBlocks("ecg", 2, (ECG,))
    assert blocks.gap(9) == []
    (block,) = add_all(blocks, [(1,)] * 2)
    assert block.flags == ()


def test_a_channel_without_samples_says_why_once_a_block():
    blocks = WaveformBlocks("ecg", 4, (ECG, RESP))
    found = add_all(blocks, [(1, 1), ("lead-off", 2), ("lead-off", 3), ("lead-off", 4)])
    assert [(r.values["channel"], r.waveform and r.waveform.samples, r.flags, r.quality) for r in found] == [
        ("ecg", [1], (), GOOD),
        ("ecg", None, ("ecg:lead-off",), BAD),
        ("respiration", [1, 2, 3, 4], (), GOOD),
    ]
    found = add_all(blocks, [("lead-off", 5), ("lead-off", 6), (7, 7), (8, 8)])
    assert [(r.values, r.waveform and r.waveform.samples, r.flags) for r in found] == [
        ({"channel": "ecg"}, None, ("ecg:lead-off",)),
        ({"channel": "ecg", "lost_samples": 5}, [7, 8], ("gap",)),
        ({"channel": "respiration"}, [5, 6, 7, 8], ()),
    ]


def test_remarks_make_a_block_uncertain_and_end_with_it():
    blocks = WaveformBlocks("ecg", 2, (ECG, RESP))
    blocks.note("ecg:over-range", 0)
    blocks.note("ecg:over-range", 0)
    first, second = add_all(blocks, [(1, 1)] * 2)
    assert (first.flags, first.quality) == (("ecg:over-range",), UNCERTAIN)
    assert (second.flags, second.quality) == ((), GOOD)
    assert all(r.flags == () for r in add_all(blocks, [(1, 1)] * 2))
    blocks.note("moved")
    assert [r.flags for r in add_all(blocks, [(1, 1)] * 2)] == [("moved",)] * 2


def test_a_block_has_the_device_time_of_its_first_row():
    blocks = WaveformBlocks("ecg", 2, (ECG,))
    found = [r for i in range(4) for r in blocks.add((i,), f"2026-11-20T10:00:0{i}")]
    assert [r.device_time for r in found] == ["2026-11-20T10:00:00", "2026-11-20T10:00:02"]


def test_a_value_told_goes_with_the_block_of_the_next_row():
    blocks = WaveformBlocks("ecg", 2, (ECG, RESP))
    blocks.tell("board_time", 100, "ms")
    blocks.add((1, 1))
    blocks.tell("board_time", 104, "ms")
    found = blocks.add((1, 1))
    assert [(r.values["board_time"], r.units) for r in found] == [(100, {"board_time": "ms"})] * 2
    assert all(r.values.keys() == {"channel"} and r.units == {} for r in add_all(blocks, [(1, 1)] * 2))


def test_a_row_has_a_sample_for_each_channel():
    with pytest.raises(ValueError, match="argument"):
        WaveformBlocks("ecg", 2, (ECG, RESP)).add((1,))


EVENTS = st.lists(st.one_of(st.integers(-5, 5), st.just("off"), st.tuples(st.integers(1, 9))), max_size=80)


@settings(max_examples=100, deadline=None)
@given(events=EVENTS)
def test_every_sample_comes_out_once_and_every_loss_is_counted(events):
    blocks = WaveformBlocks("ecg", 5, (ECG,))
    found, lost, began = [], 0, False
    for event in events:
        if isinstance(event, tuple):
            found += blocks.gap(event[0])
            lost += event[0] * began
        else:
            found += blocks.add((event,))
            began |= isinstance(event, int)
            lost += isinstance(event, str) * began
    tail = blocks.gap(0) + add_all(blocks, [(99,)]) + blocks.cut() if began else []
    samples = [sample for r in found + tail if r.waveform for sample in r.waveform.samples]
    assert samples == [event for event in events if isinstance(event, int)] + [99] * began
    assert sum(r.values.get("lost_samples", 0) for r in found + tail) == lost
    assert all(len(r.waveform.samples) <= 5 for r in found if r.waveform)
