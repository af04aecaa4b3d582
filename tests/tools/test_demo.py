"""The demo as a person starts it, without a terminal: it ends by itself and leaves nothing behind."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import pytest
from rich.console import Console

from gatepost.agent.demo.layout import lines
from gatepost.agent.demo.statistics import DemoStatistics, ReadingCounts, values
from gatepost.agent.demo.view import FittedTable

pytestmark = pytest.mark.skipif(find_spec("amqtt") is None, reason="the extra `demo` is not installed")


def start(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    environ.pop("PYTHONUNBUFFERED", None)  # its lines must come at once without it
    command = [sys.executable, "-m", "gatepost.agent.cli", "demo", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ)


def left(tmp_path: Path) -> list[str]:
    """Files of the demo, and processes that still know of them."""
    return [path.name for path in tmp_path.iterdir()] + processes(tmp_path)


def processes(tmp_path: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = (process / "cmdline").read_bytes()
            if str(tmp_path).encode() in told + (process / "environ").read_bytes():
                found.append(told.decode("utf-8"))
        except OSError:
            continue
    return found


COUNTS = re.compile(r"taken (\d+), stored (\d+), delivered (\d+)")


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
    for taken, stored, delivered in COUNTS.findall(said):
        assert int(delivered) <= int(stored) <= int(taken), said
    # The account at the end is whole: every reading that was taken has arrived, also over the broker's absence.
    account = said.splitlines()[-1]
    (whole,) = COUNTS.findall(account)
    assert len(set(whole)) == 1, said
    assert ", lost 0 (" in account
    assert sum(int(COUNTS.findall(counts)[0][0]) for counts in last.values()) == int(whole[0])


def test_ctrl_c_ends_it_cleanly_with_the_account(tmp_path):
    demo = start(tmp_path, "--away", "0")
    try:
        assert demo.stdout is not None
        while "page: " not in (line := demo.stdout.readline()):
            assert demo.poll() is None
        address, token = line.split()[-1].split("#/sign-in/")
        seen = urllib.request.Request(f"{address}api/v1/devices", headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(seen, timeout=10) as answer:
            assert {device["id"] for device in json.load(answer)["devices"]} >= {"oximeter-1", "scale-3"}
        changes = urllib.request.Request(f"{address}api/v1/reload", b"{}", dict(seen.header_items()), method="POST")
        with pytest.raises(urllib.error.HTTPError, match="403") as refused:
            urllib.request.urlopen(changes, timeout=10)
        refused.value.close()
        while "online, taken 0" in (line := demo.stdout.readline()) or "online" not in line:
            assert demo.poll() is None
        demo.send_signal(signal.SIGINT)
        said, complained = demo.communicate(timeout=30)
    finally:
        demo.kill()
    assert (demo.returncode, complained) == (0, "")
    (whole,) = COUNTS.findall(said.splitlines()[-1])
    assert len(set(whole)) == 1, said
    assert left(tmp_path) == []


def test_killed_it_takes_its_processes_along(tmp_path):
    demo = start(tmp_path, "--away", "0")
    try:
        assert demo.stdout is not None
        while "online" not in demo.stdout.readline():
            assert demo.poll() is None
    finally:
        demo.kill()
        demo.wait()
        demo.stdout.close()
        demo.stderr.close()
    until = time.monotonic() + 15
    while (alive := processes(tmp_path)) and time.monotonic() < until:
        time.sleep(0.1)
    assert alive == []


def statistics() -> DemoStatistics:
    return DemoStatistics({"a": "lines"}, lambda: 0.0)


def test_the_statistics_count_a_reading_once():
    seen = statistics()
    for _ in range(2):
        seen.stored({"device_id": "a", "id": "g:e:1", "t": 3, "units": {"t": "Cel"}})
        seen.delivered({"device_id": "a", "id": "g:e:1", "replayed": True})
    seen.delivered({"device_id": "stranger", "id": "g:e:2"})
    assert seen.freeze() == {"a": ReadingCounts(stored=1, delivered=1, replayed=1, repeated=1)}
    assert seen.devices["a"].values == "t 3 Cel"


def test_a_frame_never_contradicts_itself():
    seen = statistics()
    seen.delivered({"device_id": "a", "id": "g:e:1"})  # the broker was quicker than the agent's own stream
    seen.stored({"device_id": "a", "id": "g:e:2"})
    frozen = seen.freeze()
    for number in range(3, 6):  # what comes while the agent is asked
        seen.stored({"device_id": "a", "id": f"g:e:{number}"})
        seen.delivered({"device_id": "a", "id": f"g:e:{number}"})
    assert seen.total == ReadingCounts()
    seen.show(frozen, [{"id": "a", "readings": 3, "status": "online"}], lost=0)
    assert seen.total == ReadingCounts(taken=3, stored=2, delivered=1)
    assert seen.total.backlog == 1
    assert seen.summary() == [
        "taken 3, stored 2, delivered 1, lost 0 (from the backlog 0, repeated 0)",
        "1 were stored and still wait for the broker",
        "1 were taken and not stored yet",
    ]


@pytest.mark.parametrize("width", [38, 40, 56, 60, 76, 80, 100, 120, 160, 200])
def test_counters_and_the_last_reading_are_there_at_every_width(width):
    seen = DemoStatistics({"oximeter-1": "contec-cms50d-plus", "scale-3": "and-scale"}, lambda: 0.0)
    seen.stored({"device_id": "oximeter-1", "id": "1", "spo2": 97, "heart_rate": 72, "units": {"spo2": "%"}})
    readings = [{"id": name, "readings": 1234567, "status": "online"} for name in ("oximeter-1", "scale-3")]
    seen.show({name: ReadingCounts(0, 123456, 98765) for name in seen.devices}, readings, lost=0)
    drawn = [line.text for line in lines(seen, width)]
    assert max(map(len, drawn)) <= width, drawn
    whole = "\n".join(drawn)
    for wanted in ("1234567", "123456", "98765", "spo2 97 %, heart_rate 72", "online", "oximeter-1"):
        assert wanted in whole, drawn
    assert ("last reading" in drawn[0]) == (len(drawn) == 3)


@pytest.mark.parametrize("width", [60, 80])
def test_the_picture_keeps_to_its_width(width):
    seen = statistics()
    seen.stored({"device_id": "a", "id": "1", "temperature": 21.5, "units": {"temperature": "Cel"}})
    seen.show(seen.freeze(), [{"id": "a", "readings": 1, "status": "online"}], lost=0)
    seen.note("agent runs: gatepost run --config /tmp/" + "x" * 100)
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(FittedTable(seen))
    drawn = capture.get().splitlines()
    assert max(map(len, drawn)) <= width
    assert "temperature 21.5 Cel" in capture.get()
    assert len(drawn) == 8  # a long note stays on its line, or the picture would outgrow the terminal


def test_values_of_a_waveform_are_told_by_their_number():
    assert values({"id": "x", "samples": [1, 2, 3], "rate_hz": 60, "urgent": True}) == "3 samples URGENT"
