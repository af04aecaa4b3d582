from __future__ import annotations

import io
import json
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatepost.agent.process.logs import BURST, LONGEST_NAME, REMEMBERED, WINDOW, AgentLogs, goes_to_journal

LOG = logging.getLogger("agent.test")


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def logs(stream: io.StringIO, time: Time) -> Iterator[AgentLogs]:
    made = AgentLogs(stream, {}, monotonic=time)
    yield made
    made.close()


def lines(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def test_text(logs: AgentLogs, stream: io.StringIO) -> None:
    LOG.warning("%s is away", "hospital")
    (line,) = lines(stream)
    stamp, level, rest = line.split(" ", 2)
    assert stamp.endswith("Z")
    assert (level, rest) == ("warning", "agent.test: hospital is away")


def test_the_level_changes_while_it_runs(logs: AgentLogs, stream: io.StringIO) -> None:
    LOG.debug("unheard")
    logs.set_level("debug")
    LOG.debug("heard")
    logs.set_level("error")
    LOG.warning("unheard")
    assert [line.rsplit(" ", 1)[1] for line in lines(stream)] == ["heard"]
    with pytest.raises(KeyError):
        logs.set_level("loud")
    assert logs.level == "error"


def test_json_carries_extras_and_traceback(logs: AgentLogs, stream: io.StringIO) -> None:
    logs.apply("info", "json")
    try:
        raise OSError("no")
    except OSError:
        LOG.exception("device failed", extra={"device": "scale-1"})
    entry = json.loads(stream.getvalue())
    assert entry.pop("time").endswith("Z")
    assert entry.pop("traceback").endswith("OSError: no")
    assert entry == {"level": "error", "logger": "agent.test", "message": "device failed", "device": "scale-1"}


def test_the_journal_gets_priorities_on_every_line_where_it_takes_no_entries(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile("w", buffering=1) as stream:
        stat = os.fstat(ours.fileno())
        env = {"JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"}
        logs = AgentLogs(stream, env, journal=tmp_path / "none")
        try:
            LOG.info("quiet")
            LOG.warning("hm")
            try:
                raise OSError("no")
            except OSError:
                LOG.exception("bad")
            logs.apply("info", "json")
            LOG.info("as data")
        finally:
            logs.close()
        heard = theirs.recv(65536).decode().splitlines()
    assert heard[:3] == ["<6>agent.test: quiet", "<4>agent.test: hm", "<3>agent.test: bad"]
    assert all(line.startswith("<3>") for line in heard[3:-1])
    assert heard[-2] == "<3>OSError: no"
    assert json.loads(heard[-1].removeprefix("<6>"))["message"] == "as data"


def test_the_journal_gets_entries_with_fields(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with journal, ours, theirs, ours.makefile("w", buffering=1) as stream:
        journal.bind(str(tmp_path / "socket"))
        journal.settimeout(10)
        theirs.setblocking(False)
        stat = os.fstat(ours.fileno())
        env = {"JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"}
        logs = AgentLogs(stream, env, journal=tmp_path / "socket")
        try:
            logging.getLogger("gatepost.agent.uplink").warning("%s: refused", "hospital")
        finally:
            logs.close()
        heard = journal.recv(65536).decode().splitlines()
        assert {"MESSAGE=gatepost.agent.uplink: hospital: refused", "PRIORITY=4", "BROKER=hospital"} <= set(heard)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)


def test_another_stream_is_not_the_journal(stream: io.StringIO) -> None:
    with open(os.devnull, "w") as null:
        assert not goes_to_journal(null, {"JOURNAL_STREAM": "1:2"})
        assert not goes_to_journal(null, {})
    assert not goes_to_journal(stream, {"JOURNAL_STREAM": "1:2"})


def test_repeats_are_held_back_and_counted(logs: AgentLogs, stream: io.StringIO, time: Time) -> None:
    for number in range(100):
        LOG.warning("%s: %d bad lines", "probe-2", number)
    LOG.warning("%s: %d bad lines", "probe-3", 1)  # another name is another line
    assert len(lines(stream)) == BURST + 1
    time.now = WINDOW
    LOG.warning("%s: %d bad lines", "probe-2", 100)
    assert lines(stream)[-1].endswith(f"probe-2: 100 bad lines ({100 - BURST} more like this were held back)")


def test_debug_is_never_held_back(logs: AgentLogs, stream: io.StringIO) -> None:
    logs.set_level("debug")
    for _ in range(50):
        LOG.debug("tick")
    assert len(lines(stream)) == 50


def test_memory_of_repeats_is_bounded(logs: AgentLogs) -> None:
    for number in range(REMEMBERED * 2):
        LOG.info("device %s", f"d{number}{'x' * 1000}")
    (repeats,) = logs._handler.filters
    assert len(repeats._seen) == REMEMBERED  # type: ignore[union-attr]
    assert all(len(name) <= LONGEST_NAME for *_, names in repeats._seen for name in names)  # type: ignore[union-attr]


def test_libraries_are_quiet_even_at_debug(logs: AgentLogs, stream: io.StringIO) -> None:
    logs.set_level("debug")
    for name in ("gmqtt", "gmqtt.mqtt.protocol", "aiosqlite", "asyncio", "pymodbus.logging", "zeroconf"):
        logging.getLogger(name).debug("payload")
    logging.getLogger("gmqtt").error("payload")
    assert lines(stream) == []


def test_a_log_that_cannot_be_written_harms_nobody() -> None:
    stream = io.StringIO()
    logs = AgentLogs(stream, {})
    try:
        stream.close()
        LOG.error("nobody hears this")
        assert logs.lost == 1
    finally:
        logs.close()


def test_close_leaves_nothing_behind(stream: io.StringIO) -> None:
    handlers, level = list(logging.getLogger().handlers), logging.getLogger().level
    AgentLogs(stream, {}, level="debug").close()
    assert logging.getLogger().handlers == handlers
    assert logging.getLogger().level == level


@pytest.mark.parametrize("style", ["text", "json"])
def test_what_others_named_neither_fakes_a_line_nor_moves_a_cursor(stream: io.StringIO, style: str) -> None:
    logs = AgentLogs(stream, {}, style=style)
    LOG.warning("there is %s", "\x1b[2J\n<3>owned\u202e")
    logs.close()
    (line,) = stream.getvalue().splitlines()
    assert line.isprintable()
    assert "u202e" in line
