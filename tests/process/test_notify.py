from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatepost.agent.process.notify import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5)
        yield listener


def heard(manager: socket.socket) -> list[str]:
    return manager.recv(4096).decode().split("\n")


def notifier(manager: socket.socket) -> Notifier:
    return Notifier.from_environment({"NOTIFY_SOCKET": manager.getsockname()})


def test_what_systemd_hears(manager: socket.socket) -> None:
    told = notifier(manager)
    assert told.ready("reads 8 devices")
    assert heard(manager) == ["READY=1", "STATUS=reads 8 devices"]
    assert told.status("hospital is away")
    assert heard(manager) == ["STATUS=hospital is away"]
    assert told.watchdog()
    assert heard(manager) == ["WATCHDOG=1"]
    assert told.stopping()
    assert heard(manager) == ["STOPPING=1"]


def test_reloading_carries_the_monotonic_time(manager: socket.socket) -> None:
    told = Notifier(manager.getsockname(), monotonic_ns=lambda: 12_345_678)
    assert told.reloading()
    assert heard(manager) == ["RELOADING=1", "MONOTONIC_USEC=12345"]


def test_a_newline_in_the_sentence_begins_no_other_assignment(manager: socket.socket) -> None:
    assert notifier(manager).status("one\nREADY=1")
    assert heard(manager) == ["STATUS=one READY=1"]


def test_abstract_socket() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("")  # the kernel picks an abstract name
        listener.settimeout(5)
        name = listener.getsockname()[1:].decode()
        assert Notifier(f"@{name}").ready()
        assert heard(listener) == ["READY=1"]


@pytest.mark.parametrize("address", [None, "", "vsock:2:1234", "relative", "/nowhere/at/all", "/" + "x" * 300])
def test_without_a_manager_nothing_happens(address: str | None) -> None:
    told = Notifier(address)
    assert not told.ready("x")
    assert not told.watchdog()


def test_a_manager_that_does_not_read_does_not_block(manager: socket.socket) -> None:
    told = notifier(manager)
    outcomes = {told.watchdog() for _ in range(10_000)}
    assert False in outcomes


def test_a_ready_that_met_a_full_queue_goes_with_the_next_message(manager: socket.socket) -> None:
    told = notifier(manager)
    waiting = 0
    while told.status("one of many devices"):
        waiting += 1
    assert not told.ready("started")
    for _ in range(waiting):
        assert heard(manager) == ["STATUS=one of many devices"]
    assert told.watchdog()
    assert heard(manager) == ["READY=1", "WATCHDOG=1"]
    assert told.watchdog()
    assert heard(manager) == ["WATCHDOG=1"]


@pytest.mark.parametrize("later", ["reloading", "stopping"])
def test_a_ready_that_no_longer_holds_is_not_said(manager: socket.socket, later: str) -> None:
    told = notifier(manager)
    waiting = 0
    while told.status("one of many devices"):
        waiting += 1
    assert not told.ready()
    for _ in range(waiting):
        heard(manager)
    assert getattr(told, later)()
    assert "READY=1" not in heard(manager)
