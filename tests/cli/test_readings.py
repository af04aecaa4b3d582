from __future__ import annotations

import json
import signal
from datetime import UTC, datetime

import pytest
import typer

from gatepost.agent.cli.verbs.readings import moment, row
from tests.cli.conftest import spawn


def test_the_newest_stand_last(gatepost, agent):
    for number in (91, 92, 93):
        agent.take(spo2=number)
    shown = gatepost("readings", "--limit", 2).out.splitlines()
    assert shown[0].split() == ["TIME", "DEVICE", "VALUES", "FLAGS"]
    assert ["spo2 92 %" in shown[1], "spo2 93 %" in shown[2]] == [True, True]
    assert "patient P-001" in shown[1]


def test_a_reading_is_a_line_of_time_device_values_with_units_and_flags():
    reading = {"timestamp": "2026-11-20T10:30:00Z", "device_id": "cuff-3", "metric_type": "blood_pressure"}
    reading |= {"units": {"systolic": "mm[Hg]", "temperature": "Cel"}, "clock": "synchronised", "quality": "good"}
    told = row({**reading, "systolic": 120, "temperature": 36.5, "moving": False, "flags": ["mean:nan"]})
    assert told == ("2026-11-20 10:30:00Z", "cuff-3", "systolic 120 mmHg, temperature 36.5 °C, moving no", "mean:nan")
    assert row({**reading, "samples": [1, 2], "rate_hz": 250})[2] == "blood_pressure 2 samples at 250 Hz"
    told = row({**reading, "clock": "rectified", "quality": "poor", "urgent": True, "patient_id": "P-1"})
    assert told[2:] == ("blood_pressure", "urgent, quality poor, clock rectified, patient P-1")


def test_more_than_a_page(gatepost, agent, monkeypatch):
    monkeypatch.setattr("gatepost.agent.cli.verbs.readings.PAGE", 2)
    taken = [agent.take(spo2=number) for number in range(5)]
    told = json.loads(gatepost("readings", "--json", "-n", 4).out)["readings"]
    assert [reading["id"] for reading in told] == taken[1:]


def test_readings_are_filtered(gatepost, agent):
    agent.take(metric="heart_rate")
    agent.take(device="cuff-3", metric="blood_pressure", urgent=True)
    assert "urgent" in gatepost("readings", "-d", "cuff-3").out
    assert "cuff-3" not in gatepost("readings", "-m", "heart_rate").out
    assert json.loads(gatepost("readings", "--since", "2099-01-01T00:00:00Z", "--json").out) == {"readings": []}
    assert gatepost("readings", "--since", "yesterday").code == 2
    assert json.loads(gatepost("readings", "--until", "2020-01-01T00:00:00Z", "--json").out) == {"readings": []}
    assert "cuff-3" in gatepost("readings", "--until", "2099-01-01T00:00:00Z").out
    assert gatepost("readings", "--until", "1h", "--follow").code == 2


def test_readings_of_a_device_that_there_is_not(gatepost, agent):
    for more in ((), ("--json",), ("--follow",)):
        shown = gatepost("readings", "-d", "nope", *more)
        assert shown.code == 1
        assert "there is no device 'nope'" in shown.err
    assert "did you mean oximeter-1?" in gatepost("devices", "oximetr-1").err


def test_since_is_a_time_or_a_duration():
    now = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
    assert moment("10m", now) == datetime(2026, 11, 20, 11, 50, tzinfo=UTC)
    assert moment("2026-11-20T10:30:00Z") == datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
    with pytest.raises(typer.BadParameter):
        moment("soon")


def test_follow_goes_on_until_ctrl_c(agent):
    first = agent.take(spo2=91)
    following = spawn("readings", "--follow", "--json", "-n", 1)
    assert json.loads(following.stdout.readline())["id"] == first
    second = agent.take(spo2=92)
    assert json.loads(following.stdout.readline())["id"] == second
    following.send_signal(signal.SIGINT)
    out, err = following.communicate(timeout=20)
    assert (out, err, following.returncode) == (b"", b"", 130)


def test_a_reader_that_leaves_ends_it_quietly(agent):
    agent.take(spo2=91)
    following = spawn("readings", "--follow", "-n", 1)
    assert b"spo2 91" in following.stdout.readline()
    following.stdout.close()
    agent.take(spo2=92)
    assert following.wait(20) == 0
    assert following.stderr.read() == b""
    following.stderr.close()


def test_a_closed_pipe_at_the_end_is_quiet(agent):
    with spawn("status") as done:
        done.stdout.close()
        assert done.wait(20) == 0
        assert done.stderr.read() == b""


def test_follow_says_that_the_agent_stopped(place):
    from tests.cli.conftest import Served

    served = Served(place)
    served.take(spo2=91)
    following = spawn("readings", "--follow", "-n", 1, "--socket", served.socket)
    assert b"spo2 91" in following.stdout.readline()
    served.close()
    _, err = following.communicate(timeout=20)
    assert following.returncode == 1
    assert b"the agent stopped" in err
