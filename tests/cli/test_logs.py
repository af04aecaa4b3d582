"""`gatepost logs`."""

from __future__ import annotations

import json
import logging

from tests.cli.conftest import spawn


def write(agent, message, *args, level=logging.WARNING, name="gatepost.agent.devices.session"):
    agent.app.log_ring.add(logging.LogRecord(name, level, "", 0, message, args, None))


def test_kept_lines_are_printed_and_chosen(gatepost, agent):
    write(agent, "%s: it is silent", "cuff-3")
    write(agent, "the clock is in step", level=logging.INFO, name="gatepost")
    told = gatepost("logs", "--level", "warning")
    assert told.out.rstrip().endswith("warning gatepost.agent.devices.session: cuff-3: it is silent")
    found = json.loads(gatepost("logs", "--json", "--grep", "CLOCK").out)["logs"]
    assert [line["message"] for line in found] == ["the clock is in step"]


def test_follow_goes_on_with_new_lines(agent):
    write(agent, "%s: it is silent", "cuff-3")
    with spawn("logs", "--follow", "--device", "cuff-3", "--socket", str(agent.socket)) as process:
        assert b"it is silent" in process.stdout.readline()
        write(agent, "%s: it speaks", "cuff-3")
        assert b"it speaks" in process.stdout.readline()
        process.kill()
