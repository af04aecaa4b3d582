"""The measurement of waveforms counts what it says: boards on PTYs, and a far end that sees every missing sample."""

import json
import os

import pytest

from gatepost.drivers.serial.protocentral.driver import ProtocentralAds1292r
from tools.harness import waves
from tools.harness.wave_collector import Curve
from tools.harness.wave_feeder import Board, WaveFeeder, counted


def test_samples_count_and_wrap():
    assert [counted(n) for n in (0, 1, 32767, 32768, 65535, 65536)] == [0, 1, 32767, -32768, -1, 0]


@pytest.fixture
def board(tmp_path):
    made = []

    def make(form):
        board = Board(tmp_path / f"tty-{len(made)}", 500, form)
        made.append(board)
        return board

    yield make
    for board in made:
        os.close(board.master)
        os.close(board.slave)


def test_a_board_sends_frames_that_the_driver_reads_whole(board):
    board = board("frames")
    options = ProtocentralAds1292r.options_type(rate=500.0, waveforms=["ecg"])
    decoder = ProtocentralAds1292r(options).decoder()
    found = []
    for _ in range(50):
        board.tick()
        found += decoder.feed(os.read(board.slave, 65536))
    samples = [sample for reading in found if reading.waveform for sample in reading.waveform.samples]
    assert samples == [counted(n) for n in range(1000)]
    assert board.samples == 1000
    assert decoder.faults.total == board.skipped == 0


def test_the_floor_gets_the_same_as_blocks(board):
    board = board("lines")
    heard = b""
    for _ in range(2):
        board.tick()
        while not heard.endswith(b"\n"):
            heard += os.read(board.slave, 65536)
        heard += b" "
    lines = [json.loads(line) for line in heard.splitlines() if line.strip()]
    assert [sample for line in lines for sample in line["samples"]] == [counted(n) for n in range(1000)]
    assert (board.samples, board.interval) == (1000, 1.0)


def test_a_board_whose_port_is_full_skips_and_loses_nothing(board):
    board = board("frames")
    for _ in range(2000):
        board.tick()
    assert board.skipped > 0
    heard = b""
    while len(heard) < board.samples * 15:
        heard += os.read(board.slave, 65536)
        board.push()
    assert len(heard) == board.samples * 15


def test_a_turn_of_the_feeder(tmp_path):
    feeder = WaveFeeder(str(tmp_path), 2, 500, "frames")
    feeder._running = True
    feeder._next = 0.0
    assert 0 <= feeder._feed() <= 0.04
    assert feeder._stats() == {"samples": [20, 20], "skipped": 0, "pending": 0}
    for board in feeder._boards:
        os.close(board.master)
        os.close(board.slave)


def test_the_far_end_sees_what_is_missing_and_what_is_marked():
    curve = Curve()
    curve.add({"samples": [0, 1, 2]})
    curve.add({"samples": [3, 5, 5], "flags": ["gap"]})
    assert (curve.samples, curve.blocks, curve.breaks, curve.gaps) == (6, 2, 1, 1)


def test_medians_hide_no_loss():
    one = waves.Waves(4000.0, 0, 0, 0, 0, 5.0, 12.0, 100.0, 4e7, 6e4, 4.8)
    other = one._replace(lost=3, cpu=7.0, broken=1)
    middle = waves.medians([one, other, one])
    assert (middle.lost, middle.broken, middle.cpu) == (3, 1, 5.0)
