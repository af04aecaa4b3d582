"""An agent that started with broken files and the settings of an earlier run: every view says so."""

from __future__ import annotations

import json
import os
import signal
import socket

import pytest

from gatepost.agent.settings import load
from gatepost.agent.settings.last_good import LastGood
from gatepost.client import GatewayClient
from gatepost.drivers.driver import Registry
from tests.cli.conftest import spawn


@pytest.fixture
def with_last_good(place, settings):
    """A real agent on broken settings; its socket, and what systemd was told."""
    state, path = place / "state", place / "api.sock"
    good = f"gateway: {{id: ward-7, state_dir: {state}}}\napi: {{socket: {path}}}\nlogging: {{level: warning}}\n"
    loaded = load(settings(good), {}, Registry.installed())
    LastGood(state).save(loaded.settings, loaded.origins)
    config = settings(good + "devices: {a: {drivr: lines}}\n")
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(str(place / "notify"))
    notify.settimeout(20)
    with spawn("run", "--config", config, env={**os.environ, "NOTIFY_SOCKET": str(place / "notify")}) as agent:
        told = ""
        while "devices online" not in told:
            told = notify.recv(4096).decode()
        yield config, path, told
        agent.send_signal(signal.SIGTERM)
        agent.communicate(timeout=20)
    notify.close()


def test_the_last_good_settings_are_never_hidden(gatepost, with_last_good):
    config, path, told = with_last_good
    assert "last good" in told
    status = GatewayClient(path).status()
    assert status["settings"]["last_good"] is True
    assert any("devices.a.drivr" in problem for problem in status["settings"]["problems"])
    count = len(status["settings"]["problems"])
    shown = gatepost("status", "--socket", path).out
    assert f"settings  LAST GOOD ONES: {count} problem{'s'[: count > 1]} in the files (gatepost check)" in shown
    for verb in (("doctor", "--socket", path), ("doctor", "--config", config)):
        shown = gatepost(*verb)
        assert shown.code == 1
        assert "last good" in shown.out
        assert "devices.a.drivr" in shown.out
    lines = json.loads(gatepost("config", "--running", "--socket", path, "--json").out)["settings"]
    assert {line["origin"] for line in lines} == {"last good settings"}


def test_mended_files_end_it(gatepost, with_last_good):
    config, path, _ = with_last_good
    config.write_text(config.read_text().replace("devices: {a: {drivr: lines}}\n", ""))
    assert gatepost("reload", "--socket", path).code == 0
    assert "LAST GOOD" not in gatepost("status", "--socket", path).out
    status = GatewayClient(path).status()["settings"]
    assert (status["last_good"], status["problems"]) == (False, [])
