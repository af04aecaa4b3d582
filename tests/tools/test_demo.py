"""The demo as a person starts it, without a terminal: it ends by itself and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from agent.demo.board import Board, values

pytestmark = pytest.mark.skipif(find_spec("amqtt") is None, reason="the extra `demo` is not installed")


def start(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "agent.cli", "demo", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ)


def left(tmp_path: Path) -> list[str]:
    """Files of the demo, and processes that still know of them."""
    found = [path.name for path in tmp_path.iterdir()]
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(tmp_path).encode() in process.read_bytes():
                found.append(process.read_text("utf-8"))
        except OSError:
            continue
    return found


def test_it_shows_readings_taken_stored_and_delivered_and_ends_by_itself(tmp_path):
    demo = start(tmp_path, "--seconds", "9", "--away", "2")
    try:
        said, complained = demo.communicate(timeout=60)
    finally:
        demo.kill()
    assert demo.returncode == 0, complained
    last = dict(re.findall(r"([a-z]+-\d): online, (taken \d+, stored \d+, delivered \d+)", said))
    assert sorted(last) == ["oximeter-1", "oximeter-2", "probe-4", "scale-3"]
    for counts in last.values():
        assert all(int(count) > 0 for count in re.findall(r"\d+", counts)), said
    assert "the broker is away" in said
    assert "the broker is back" in said
    assert left(tmp_path) == []


def test_ctrl_c_ends_it_cleanly(tmp_path):
    demo = start(tmp_path, "--away", "0")
    try:
        assert demo.stdout is not None
        while "online" not in demo.stdout.readline():
            assert demo.poll() is None
        demo.send_signal(signal.SIGINT)
        _, complained = demo.communicate(timeout=30)
    finally:
        demo.kill()
    assert (demo.returncode, complained) == (0, "")
    assert left(tmp_path) == []


def test_the_board_counts_a_reading_once():
    board = Board({"a": "lines"}, lambda: 0.0)
    for _ in range(2):
        board.stored({"device_id": "a", "id": "g:e:1", "t": 3, "units": {"t": "Cel"}})
        board.delivered({"device_id": "a", "id": "g:e:1", "replayed": True})
    board.delivered({"device_id": "stranger", "id": "g:e:2"})
    device = board.devices["a"]
    assert (len(device.stored), len(device.delivered), device.replayed) == (1, 1, 1)
    assert device.values == "t 3 Cel"


def test_values_of_a_waveform_are_told_by_their_number():
    assert values({"id": "x", "samples": [1, 2, 3], "rate_hz": 60, "urgent": True}) == "3 samples URGENT"
