from __future__ import annotations

import os

import pytest

from gatepost.agent.cli.entry import run_config
from gatepost.agent.cli.support.agent_access import find_socket


def test_no_agent_is_said_with_what_to_do(gatepost, place, monkeypatch):
    monkeypatch.setenv("GATEPOST_SOCKET", str(place / "nothing.sock"))
    for verb in ("status", "devices", "brokers", "backlog", "readings", "reload"):
        shown = gatepost(verb)
        assert shown.code == 1
        assert f"no agent answers at {place}/nothing.sock" in shown.err
        assert "systemctl status gatepost" in shown.err
        assert "`gatepost run`" in shown.err
        assert "--socket" in shown.err


def test_the_socket_option(gatepost, agent, monkeypatch):
    monkeypatch.delenv("GATEPOST_SOCKET")
    assert gatepost("status", "--socket", agent.socket).code == 0


def test_the_settings_name_the_socket(gatepost, agent, settings, monkeypatch):
    monkeypatch.delenv("GATEPOST_SOCKET")
    path = settings(f"gateway: {{id: x}}\napi: {{socket: {agent.socket}}}\n")
    assert gatepost("status", "--config", path).code == 0


def test_settings_that_do_not_hold_still_lead_to_the_agent(gatepost, agent, settings, monkeypatch):
    monkeypatch.delenv("GATEPOST_SOCKET")
    path = settings(f"api: {{socket: {agent.socket}}}\ndevices: {{a: {{drivr: lines}}}}\n")
    shown = gatepost("status", "--config", path)
    assert shown.code == 0
    assert "are invalid" in shown.err
    shown = gatepost("doctor", "--config", path)  # which explains it itself
    assert (shown.err, "drivr" in shown.out) == ("", True)


def test_settings_that_do_not_hold_are_asked_with_their_drops(gatepost, agent, settings, place, monkeypatch):
    monkeypatch.delenv("GATEPOST_SOCKET")
    path = settings("api: {socket: /nowhere/api.sock}\ndevices: {a: {drivr: lines}}\n")
    (place / "conf.d").mkdir()
    settings(f"api: {{socket: {agent.socket}}}\n", "conf.d/10-api.yaml")
    settings("a: [", "conf.d/20-broken.yaml")
    shown = gatepost("status", "--config", path)
    assert (shown.code, f"{path}:2:11 and " in shown.err) == (0, True), shown.err
    settings(f"api: {{socket: {agent.socket}}}\n")
    shown = gatepost("status", "--config", path)
    assert f"invalid ({place}/conf.d/20-broken.yaml:1:" in shown.err
    settings("api: {socket: /nowhere/api.sock}\n")
    settings("api: {socket: /nowhere/api.sock}\n", "conf.d/30-other.yaml")
    assert gatepost("status", "--config", path).code == 1
    monkeypatch.setenv("GATEPOST_API__SOCKET", str(agent.socket))
    assert gatepost("status", "--config", path).code == 0


def test_the_environment_names_the_settings(gatepost, agent, settings, place, monkeypatch):
    monkeypatch.delenv("GATEPOST_SOCKET")
    path = settings(f"gateway: {{id: x, state_dir: {place}/none}}\napi: {{socket: {agent.socket}}}\n")
    monkeypatch.setenv("GATEPOST_CONFIG", str(path))
    assert gatepost("status").code == 0
    assert "1 file, 0 errors" in gatepost("check").out
    assert str(agent.socket) in gatepost("config").out
    assert f"{place}/none" in gatepost("store", "check").err
    assert "no agent answers" not in gatepost("doctor").out
    assert run_config(["run"]) == path
    monkeypatch.setenv("GATEPOST_CONFIG", "/nowhere/gatepost.yaml")
    assert gatepost("check").code == 78
    assert gatepost("status", "--config", path).code == 0
    monkeypatch.setenv("GATEPOST_SOCKET", str(agent.socket))
    assert gatepost("status").code == 0


def test_an_option_outranks_the_environment(gatepost, agent, settings, monkeypatch):
    monkeypatch.setenv("GATEPOST_SOCKET", "/nowhere/api.sock")
    path = settings(f"api: {{socket: {agent.socket}}}\n")
    assert gatepost("status").code == 1
    assert gatepost("status", "--config", path).code == 0
    assert gatepost("status", "--socket", agent.socket).code == 0


def test_without_any_hint_it_is_the_installed_place(monkeypatch, capfd):
    monkeypatch.delenv("GATEPOST_SOCKET", raising=False)
    monkeypatch.setattr("gatepost.agent.cli.DEFAULT_CONFIG", os.devnull + "/none")
    monkeypatch.delenv("GATEPOST_CONFIG", raising=False)
    assert str(find_socket(None, None)) == "/run/gatepost/api.sock"
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may use every socket")
def test_a_socket_that_is_not_ours(gatepost, agent):
    agent.socket.chmod(0)
    shown = gatepost("status")
    assert shown.code == 1
    assert "group gatepost" in shown.err
