"""Starting: settings, the state directory, damaged files; each with its own clear word, and the rest goes on."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sqlite3
import stat
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.uplink.broker import running

from .rig import Agent, Mosquitto, agent, lines, listening, settings_for, twin

BAD = "devices:\n  probe:\n    driver: nonsense\n"


async def test_settings_without_hope_end_with_78(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, "mqtt://127.0.0.1:1", {"probe": {"driver": "nonsense", "port": "/dev/null"}})
    async with agent(tmp_path, settings, start=False) as one:
        await one.spawn()
        assert await one.ended() == 78
        assert "gatepost.yaml:" in one.tail()
        assert "nonsense" in one.tail()


async def test_no_settings_at_all_end_with_78(tmp_path: Path) -> None:
    async with agent(tmp_path, settings_for(tmp_path, None, {}), start=False) as one:
        one.config.unlink()
        await one.spawn()
        assert await one.ended() == 78


async def test_a_log_of_a_newer_agent_ends_with_78_and_is_left_as_it_is(tmp_path: Path) -> None:
    async with agent(tmp_path, settings_for(tmp_path, None, {})) as one:
        await one.stop()
        with closing(sqlite3.connect(one.state / "gatepost.db")) as log:
            log.execute("PRAGMA user_version = 99")
        before = (one.state / "gatepost.db").read_bytes()
        await one.spawn()
        assert await one.ended() == 78
        assert re.search(r"this agent knows \d+; a newer gatepost", one.tail())
        found = await one.cli("doctor", "--config", str(one.config), code=1)
        assert "database-newer" in [finding["id"] for finding in found["findings"]]
        assert (one.state / "gatepost.db").read_bytes() == before


async def test_a_broken_drop_at_the_start_leaves_the_last_good_settings(tmp_path: Path) -> None:
    async with running(Mosquitto(tmp_path / "m")) as broker, twin(tmp_path / "tty"), listening(broker.url) as there:
        settings = settings_for(tmp_path, broker.url, {"probe": lines(tmp_path / "tty")})
        async with agent(tmp_path, settings) as one:
            await one.device("probe", "online")
            await one.stop()
            one.drop("10-bad.yaml", BAD)
            await one.start()
            await one.device("probe", "online")
            status = await one.cli("status")
            assert status["settings"]["last_good"] is True
            assert any("10-bad.yaml:3" in problem for problem in status["settings"]["problems"])
            events = "gateways/gw/events"
            await one.until(lambda: any(event["event"] == "settings-refused" for event in there.on(events)))
            (one.drops / "10-bad.yaml").unlink()
            await one.client.reload()
            assert (await one.client.status())["settings"]["last_good"] is False


async def test_a_device_whose_driver_is_gone_is_left_out(tmp_path: Path) -> None:
    async with twin(tmp_path / "tty"):
        devices = {"probe": lines(tmp_path / "tty"), "old": lines(tmp_path / "nowhere")}
        async with agent(tmp_path, settings_for(tmp_path, None, devices)) as one:
            await one.stop()
            kept = one.state / "last-good.json"
            snapshot = json.loads(kept.read_text("utf-8"))
            snapshot["settings"]["devices"]["old"]["driver"] = "uninstalled"
            kept.write_text(json.dumps(snapshot), "utf-8")
            one.drop("10-bad.yaml", BAD)
            await one.start()
            await one.device("probe", "online")
            assert "old is left out" in one.tail()


@pytest.mark.parametrize(("where", "why"), [("file/state", "Not a directory"), ("/proc/gatepost", "No such file")])
async def test_a_state_directory_that_cannot_be_made(tmp_path: Path, where: str, why: str) -> None:
    (tmp_path / "file").write_text("no directory", "utf-8")
    state = str(tmp_path / where)
    async with agent(tmp_path, settings_for(tmp_path, None, {}, gateway={"state_dir": state}), start=False) as one:
        await one.spawn()
        assert await one.ended() == 1
        assert f"state directory {state}: {why}" in one.tail()


async def test_a_database_that_is_no_file(tmp_path: Path) -> None:
    async with agent(tmp_path, settings_for(tmp_path, None, {}), start=False) as one:
        (one.state / "gatepost.db").mkdir(parents=True)
        await one.spawn()
        assert await one.ended() == 1
        assert "gatepost.db cannot be opened" in one.tail()


async def test_a_second_agent_is_refused(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, None, {})
    async with agent(tmp_path, settings) as one:
        second = settings_for(tmp_path, None, {}, api={"socket": str(tmp_path / "other.sock")})
        async with agent(tmp_path / "second", second, start=False) as two:
            await two.spawn()
            assert await two.ended() == 1
            assert f"Another agent uses the state directory {one.state} (process {one.process.pid})" in two.tail()
        assert (await one.client.health())["status"]


@pytest.mark.parametrize("what", ["header", "middle"])
async def test_flipped_bytes_in_the_database(tmp_path: Path, what: str) -> None:
    async with running(Mosquitto(tmp_path / "m")) as broker, twin(tmp_path / "tty", 0.002):
        settings = settings_for(tmp_path, broker.url, {"probe": lines(tmp_path / "tty")})
        async with listening(broker.url) as there, agent(tmp_path, settings) as one:
            await one.until(lambda: len(there.readings("probe")) > 500)
            await one.stop()
            database = one.state / "gatepost.db"
            data = bytearray(database.read_bytes())
            spots = range(16) if what == "header" else range(len(data) // 3, len(data) // 3 * 2, 61)
            for at in spots:
                data[at] ^= 0xFF
            database.write_bytes(bytes(data))
            seen = len(there.readings("probe"))
            await one.start()
            await one.until(lambda: len(there.readings("probe")) > seen + 20)  # it goes on
            events = "gateways/gw/events"
            await one.until(lambda: any(event["event"] == "store-repaired" for event in there.on(events)))
            told = next(event for event in there.on(events) if event["event"] == "store-repaired")
            assert (one.state / told["file"]).exists()
            ids: dict[str, int] = {}
            for reading in there.readings("probe"):
                assert ids.setdefault(reading["id"], reading["n"]) == reading["n"]


async def test_sighup_and_sigterm_right_after_the_start(tmp_path: Path) -> None:
    import signal

    async with twin(tmp_path / "tty"):
        settings = settings_for(tmp_path, None, {"probe": lines(tmp_path / "tty")})
        async with agent(tmp_path, settings) as one:
            assert one.process is not None
            one.process.send_signal(signal.SIGHUP)
            await asyncio.sleep(0)
            await one.stop()


async def test_a_start_that_fails_late_ends_with_its_exit_code(tmp_path: Path) -> None:
    """The database is open by then, with threads of its own."""
    settings = settings_for(tmp_path, None, {})
    async with agent(tmp_path, settings, start=False) as one:
        one.state.mkdir(parents=True, exist_ok=True)
        (one.state / "audit.log").mkdir()
        await one.spawn()
        assert await one.ended() == 1
        assert "not a regular file" in one.tail() or "Is a directory" in one.tail()


async def test_a_fifo_in_the_place_of_a_file_stops_nothing(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    async with running(Mosquitto(tmp_path / "m")) as broker, twin(tmp_path / "tty"):
        devices = {"probe": lines(tmp_path / "tty", token={"file": str(fifo)})}
        settings = settings_for(tmp_path, broker.url, devices)
        settings["brokers"]["fifo"] = {"url": "mqtts://127.0.0.1:10", "tls": {"ca": str(fifo)}}
        settings["brokers"]["word"] = {"url": "mqtt://127.0.0.1:9", "password": {"file": str(fifo)}}
        async with listening(broker.url) as there, agent(tmp_path, settings) as one:
            await one.device("probe", "online")
            await one.until(lambda: there.on("devices/probe/status"))
            there.publish("devices/probe/commands", json.dumps({"id": "x", "command": "status", "token": "y"}).encode())
            await one.until(lambda: there.on("devices/probe/responses"))
            assert there.on("devices/probe/responses")[0]["error"]["key"] == "unauthenticated"
            os.mkfifo(one.drops / "20-fifo.yaml")
            assert (await one.client.reload())["applied"] is False
            states = {view["name"]: view["reason"] for view in (await one.client.brokers())["brokers"]}
            assert "not a regular file" in states["fifo"]
            assert "not a regular file" in states["word"]
            (one.drops / "20-fifo.yaml").unlink()
            await one.stop()


async def test_the_log_begins_with_what_starts(tmp_path: Path) -> None:
    async with agent(tmp_path, settings_for(tmp_path, None, {})) as one:
        assert f"settings {one.config}, data {one.state}" in one.tail()


async def test_fifos_in_the_place_of_the_agents_own_files_do_not_stop_the_start(tmp_path: Path) -> None:
    beside = ("gatepost.db.mark", "gatepost.db.revoked", "gatepost.db.wal-tail")
    async with twin(tmp_path / "tty"):
        settings = settings_for(tmp_path, None, {"probe": lines(tmp_path / "tty")})
        async with agent(tmp_path, settings, start=False) as one:
            one.state.mkdir()
            for name in ("last-good.json", "trial.json", "trial-ended.json", *beside):
                os.mkfifo(one.state / name)
            await one.start()
            await one.device("probe", "online")
            await one.stop()
            assert stat.S_ISREG((one.state / "last-good.json").stat().st_mode)
            (one.state / "gatepost.lock").unlink()
            os.mkfifo(one.state / "gatepost.lock")
            await one.spawn()
            assert await one.ended() == 1
            assert "not a regular file" in one.tail()


async def caught(one: Agent, number: int) -> None:
    """Until the process has a handler for it (proc(5), SigCgt): the first moment in which one can be sent."""
    assert one.process is not None

    def has() -> bool:
        status = Path(f"/proc/{one.process.pid}/status").read_text("ascii")
        return bool(int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16) >> (number - 1) & 1)

    await one.until(has)


@pytest.mark.parametrize(
    ("number", "wait"), [(signal.SIGTERM, 0), (signal.SIGTERM, 0.3), (signal.SIGTERM, 0.6), (signal.SIGINT, 0)]
)
async def test_a_signal_in_the_middle_of_the_start_ends_it_with_success(
    tmp_path: Path, number: signal.Signals, wait: float
) -> None:
    async with agent(tmp_path, settings_for(tmp_path, None, {}), start=False) as one:
        await one.spawn()
        await caught(one, signal.SIGHUP)  # the last of them that is set
        await asyncio.sleep(wait)  # wherever it is then
        one.process.send_signal(number)
        assert await one.ended() == 0
        assert "Traceback" not in one.tail()


async def test_a_hangup_before_the_settings_were_read_is_heard_once_the_agent_has_started(tmp_path: Path) -> None:
    async with agent(tmp_path, settings_for(tmp_path, None, {}), start=False) as one:
        await one.spawn()
        await caught(one, signal.SIGHUP)
        one.process.send_signal(signal.SIGHUP)
        await one.until(lambda: "READY=1" in one.heard())
        await one.until(lambda: any(line.startswith("RELOADING=1") for line in one.heard()))
        await one.stop()


async def test_signals_while_it_stops_change_nothing(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, None, {"probe": lines(tmp_path / "tty")})
    async with twin(tmp_path / "tty"), agent(tmp_path, settings) as one:
        one.process.send_signal(signal.SIGTERM)
        await one.until(lambda: "STOPPING=1" in one.heard())
        while one.process.returncode is None:
            for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
                with suppress(ProcessLookupError):
                    one.process.send_signal(number)
            await asyncio.sleep(0.01)
        assert one.process.returncode == 0
        assert "Traceback" not in one.tail()
        assert "RELOADING" not in "".join(one.heard())
