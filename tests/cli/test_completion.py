from __future__ import annotations

import shutil
import socket
import subprocess

import pytest

from gatepost.agent.cli.support.agent_access import broker_names, device_names


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_every_shell(gatepost, shell):
    printed = gatepost("completion", shell)
    assert printed.code == 0
    assert "_GATEPOST_COMPLETE" in printed.out
    if found := shutil.which(shell):
        subprocess.run([found, "-n", "/dev/stdin"], input=printed.out.encode(), check=True)
    assert gatepost("completion", "tcsh").code == 2


def asked(gatepost, monkeypatch, line):
    monkeypatch.setenv("_GATEPOST_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
    return gatepost().out.split()


def test_verbs_and_names_of_the_running_agent(gatepost, agent, monkeypatch):
    monkeypatch.setattr("gatepost.agent.cli.support.agent_access.COMPLETION_TIME", 20.0)
    assert asked(gatepost, monkeypatch, "gatepost publ") == ["publish"]
    assert asked(gatepost, monkeypatch, "gatepost publish ") == ["hospital", "lab"]
    assert asked(gatepost, monkeypatch, "gatepost readings --device ox") == ["oximeter-1"]
    assert asked(gatepost, monkeypatch, "gatepost send c") == ["cuff-3"]


def test_without_an_agent_there_are_no_names(place, monkeypatch):
    monkeypatch.setenv("GATEPOST_SOCKET", str(place / "none.sock"))
    assert device_names("") == broker_names("") == []


def test_an_agent_that_does_not_answer_is_not_waited_for(place, monkeypatch):
    path = place / "deaf.sock"
    monkeypatch.setenv("GATEPOST_SOCKET", str(path))
    monkeypatch.setattr("gatepost.agent.cli.support.agent_access.COMPLETION_TIME", 0.05)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as deaf:
        deaf.bind(str(path))
        deaf.listen()
        assert device_names("") == []
