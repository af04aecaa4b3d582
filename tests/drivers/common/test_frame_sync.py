import pytest

from gatepost.drivers.reading import Faults
from gatepost.drivers.serial.common.line_splitter import LineSplitter


def split(chunks, limit=10, ending=None):
    faults = Faults()
    splitter = LineSplitter(faults, limit, ending)
    lines = [line for chunk in chunks for line in splitter.feed(chunk)]
    return lines, faults.counts, splitter


@pytest.mark.parametrize("ending", [b"\n", b"\r", b"\r\n"])
def test_every_usual_ending(ending):
    text = b"one" + ending + b"two" + ending
    assert split([text])[0] == [b"one", b"two"]
    assert split([bytes([octet]) for octet in text])[0] == [b"one", b"two"]


def test_a_line_waits_for_its_ending():
    assert split([b"on", b"e"])[0] == []
    assert split([b"on", b"e\nt"])[0] == [b"one"]


def test_empty_lines_are_left_out():
    assert split([b"\n\r\n\none\n\n"])[0] == [b"one"]


def test_an_ending_of_ones_own_cut_in_two():
    assert split([b"a;", b";b\n;;"], ending=b";;")[0] == [b"a", b"b\n"]


def test_a_long_line_is_dropped_whole_and_counted_once():
    lines, counts, _ = split([b"x" * 8, b"x" * 8, b"x" * 8 + b"\ngood\n"])
    assert lines == [b"good"]
    assert counts == {"too-long": 1}
    assert split([b"x" * 24 + b"\ngood\n"])[:2] == (lines, counts)


def test_a_line_of_just_the_limit_is_kept():
    assert split([b"x" * 10 + b"\n"])[0] == [b"x" * 10]
    assert split([b"x" * 10, b"\n"])[0] == [b"x" * 10]
    assert split([b"x" * 11 + b"\n"])[0] == []


def test_memory_is_bounded_without_an_ending():
    _, _, splitter = split([b"y" * 100] * 100)
    assert len(splitter._tail) <= 10


def test_the_first_line_is_marked_as_possibly_cut_once():
    splitter = LineSplitter(Faults())
    assert splitter.feed(b"ne") == []
    assert not splitter.cut
    assert splitter.feed(b"1\ntwo\n") == [b"ne1", b"two"]
    assert splitter.cut
    splitter.feed(b"three\n")
    assert not splitter.cut


def test_an_empty_first_line_cuts_nothing():
    splitter = LineSplitter(Faults())
    assert splitter.feed(b"\r\none\n") == [b"one"]
    assert not splitter.cut
