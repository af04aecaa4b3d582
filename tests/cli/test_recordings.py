"""`gatepost record` and `gatepost replay`: what was heard is kept, and comes out of the driver again."""

from __future__ import annotations

import json
import signal
import time

import pytest

from gatepost.drivers.driver import Registry
from gatepost.drivers.recording import RecordedMoment, RecordingHeader, line, read
from tests.cli.conftest import spawn


def until(true, seconds=20):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def recorded(place):
    """A file with a minute of a simulated oximeter, in pieces of seven octets."""
    twin = Registry.installed().get("contec-cms50d-plus").twin(seed=1)
    said = b"".join(twin.tick() for _ in range(600))
    path = place / "oximeter.rec"
    moments = [
        RecordedMoment(0.0, note="opened"),
        *(RecordedMoment(at / 70, said[at : at + 7]) for at in range(0, len(said), 7)),
    ]
    path.write_bytes(RecordingHeader("contec-cms50d-plus", "oximeter-1").line() + b"".join(map(line, moments)))
    return path


def test_record_keeps_what_is_heard_and_said(agent, place):
    recording = spawn("record", "oximeter-1", place / "a.rec")
    until(lambda: agent.app.devices.taped)
    tape = agent.app.devices.tapes["oximeter-1"]
    for chunk in (b"\x01\x02", b"\x03"):
        agent.loop.call_soon_threadsafe(tape.received, chunk)
    agent.loop.call_soon_threadsafe(tape.sent, b"\x7d", "")
    until(lambda: (place / "a.rec").read_bytes().count(b"\n") == 4)
    recording.send_signal(signal.SIGINT)
    out, err = recording.communicate(timeout=20)
    assert recording.returncode == 0, err
    assert b"2 times heard (3 octets), 1 times said" in out
    header, moments = read((place / "a.rec").read_bytes().splitlines(keepends=True))
    assert header.device == "oximeter-1"
    assert header.gateway_version
    assert [(moment.heard, moment.said) for moment in moments] == [
        (b"\x01\x02", None),
        (b"\x03", None),
        (None, b"\x7d"),
    ]
    assert (place / "a.rec").stat().st_mode & 0o777 == 0o600
    until(lambda: not agent.app.devices.taped)


def test_record_ends_after_its_time_although_the_device_is_silent(agent, gatepost, place):
    shown = gatepost("record", "oximeter-1", place / "b.rec", "--for", "200ms", "--json")
    assert shown.code == 1
    assert (json.loads(shown.out)["heard"], json.loads(shown.out)["file"]) == (0, None)
    assert "said nothing" in shown.err
    assert not (place / "b.rec").exists()


def test_record_overwrites_nothing_and_knows_its_devices(agent, gatepost, place):
    (place / "c.rec").write_text("mine")
    assert "already exists" in gatepost("record", "oximeter-1", place / "c.rec").err
    assert (place / "c.rec").read_text() == "mine"
    assert "there is no device" in gatepost("record", "nope", place / "d.rec").err
    assert not (place / "d.rec").exists()
    assert gatepost("record", "oximeter-1", place / "d.rec", "--for", "soon").code == 2


def test_replay_gives_what_the_driver_makes_of_it(gatepost, recorded):
    lines = gatepost("replay", recorded, "--json").out.splitlines()
    summary = json.loads(lines[-1])["summary"]
    readings = [json.loads(text)["reading"] for text in lines[:-1]]
    assert summary["readings"] == len(readings) == 599  # two consistent frames before the first
    assert summary["faults"] == {}
    assert all(60 < reading["values"]["spo2"] <= 100 for reading in readings)
    shown = gatepost("replay", recorded)
    assert "pulse_oximetry" in shown.out
    assert "599 readings" in shown.out.splitlines()[-1]


def test_replay_with_options_and_raw(gatepost, recorded):
    shown = gatepost("replay", recorded, "-o", "waveform=true", "--raw")
    assert "60 samples at 60 Hz" in shown.out
    assert '"heard"' in shown.out


def test_what_a_device_says_of_itself_is_words(gatepost, place):
    twin = Registry.installed().get("nonin").twin(seed=0)
    path = place / "nonin.rec"
    moments = [RecordedMoment(0.0, note="opened"), *(RecordedMoment(at / 3, heard=twin.tick()) for at in range(9))]
    path.write_bytes(RecordingHeader("nonin", "ox").line() + b"".join(map(line, moments)))
    assert "(known) battery_low no" in gatepost("replay", path).out


def test_a_reader_of_a_replay_may_leave_early(recorded):
    playing = spawn("replay", recorded, "--raw")
    playing.stdout.read(20)
    playing.stdout.close()
    _, err = playing.communicate(timeout=60)
    assert (playing.returncode, err) == (0, b"")


def test_replay_of_what_is_no_recording(gatepost, place, recorded):
    (place / "x.rec").write_text("hello\n")
    shown = gatepost("replay", place / "x.rec")
    assert (shown.code, "line 1" in shown.err) == (1, True)
    assert gatepost("replay", place / "none.rec").code == 1
    assert "no-such" in gatepost("replay", recorded, "--driver", "no-such").err
    wrong = gatepost("replay", recorded, "-o", "waveform=7")
    assert (wrong.code, "waveform" in wrong.err) == (1, True)


def test_answers_that_mean_nothing_without_their_questions(gatepost, place):
    kind = Registry.installed().get("modbus-rtu")
    twin, question = kind.twin(seed=1), bytes.fromhex("01040000000271cb")
    moments = [
        RecordedMoment(0.0, note="opened"),
        RecordedMoment(0.1, said=question),
        RecordedMoment(0.2, heard=twin.hear(question)),
    ]
    path = place / "bus.rec"
    path.write_bytes(
        RecordingHeader("modbus-rtu", "bus", options=kind.example_options).line() + b"".join(map(line, moments))
    )
    reading = json.loads(gatepost("replay", path, "--json").out.splitlines()[-2])["reading"]
    assert reading["units"] == {"temperature": "Cel", "humidity": "%"}
