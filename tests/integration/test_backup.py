"""Backup and restore with the real agent: what was there is there again, and no id is given to two readings."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
import stat
import subprocess
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gatepost.agent.backup.restoration import _unused
from gatepost.agent.process import state_dir_lock
from tests.integration.rig import GATEPOST, Agent, Mosquitto, agent, lines, listening, settings_for, twin, until
from tests.uplink.broker import running


def gatepost(*words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [GATEPOST, *map(str, words)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env=os.environ | {"COLUMNS": "0"}
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


async def stored_to(one: Agent, number: int) -> None:
    """Until this line, or a later one, is stored."""
    async with asyncio.timeout(30):
        while max((each["n"] for each in (await one.client.data("probe", limit=1))["readings"]), default=0) < number:
            await asyncio.sleep(0.05)


@pytest.fixture
async def stopped(tmp_path: Path) -> AsyncIterator[Agent]:
    """An agent that has taken some readings for a broker which is not there, and has stopped."""
    async with twin(tmp_path / "tty") as (device, _):
        devices = {"probe": lines(tmp_path / "tty", token={"file": str(tmp_path / "secrets" / "probe")})}
        (tmp_path / "secrets").mkdir(mode=0o700)
        (tmp_path / "secrets" / "probe").write_text("opensesame\n")
        (tmp_path / "secrets" / "probe").chmod(0o600)
        async with agent(tmp_path, settings_for(tmp_path, "mqtt://127.0.0.1:9", devices)) as one:
            await stored_to(one, 20)
            device.quiet = True
            await stored_to(one, device.n)
            await one.stop()
            yield one


async def test_backup_wipe_restore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    file = tmp_path / "ward.tar.gz"
    async with running(Mosquitto(tmp_path / "m")) as broker, twin(tmp_path / "tty", 0.01) as (device, _):
        settings = settings_for(home, broker.url, {"probe": lines(tmp_path / "tty")})
        async with agent(home, settings) as one:
            await stored_to(one, 20)
            await one.client.disconnect_broker("a")
            await one.client.add_device(
                "second", {"driver": "lines", "port": str(tmp_path / "none"), "options": {"format": "json"}}
            )
            gatepost("token", "create", "--role", "viewer", "--name", "wall", "--socket", one.socket)
            owed_from = device.n
            await stored_to(one, owed_from + 30)
            gatepost("backup", file, "--config", one.config)
            await stored_to(one, device.n + 30)  # ids that the backup knows nothing of
            device.quiet = True
            await stored_to(one, device.n)
            before = await one.stored("probe")
            await one.stop()
            assert stat.S_IMODE(file.stat().st_mode) == 0o600

            for name in ("state", "conf.d"):
                shutil.rmtree(home / name)
            one.config.unlink()
            monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "usual"))  # not that of this machine
            shown = gatepost("restore", file, "--config", one.config)
            monkeypatch.undo()
            assert "gateway gw" in shown.stdout
            async with listening(broker.url) as there:
                await one.start()
                assert {each["id"] for each in (await one.client.devices())["devices"]} == {"probe", "second"}
                assert "found damaged" not in one.tail(100_000)
                assert "wall" in gatepost("token", "list", "--socket", one.socket).stdout
                kept = await one.stored("probe")
                assert kept.items() <= before.items()
                assert owed_from + 30 in kept
                await one.client.connect_broker("a")
                await one.delivered()
                device.quiet = False
                await stored_to(one, device.n + 20)
                await one.delivered()
                await until(lambda: owed_from + 30 in there.numbers("probe"))
                sent = {}
                for reading in there.readings("probe"):
                    sent.setdefault(reading["id"], set()).add(reading["n"])
                old = {ident: number for number, ids in before.items() for ident in ids}
                for ident, numbers in sent.items():
                    assert len(numbers) == 1
                    assert old.get(ident, min(numbers)) in numbers, "an id that another reading has"
                    number = min(numbers)
                    assert ident in before.get(number, {ident}), "a reading that was stored, with another id"
                assert [each for each in sent if each not in old]  # and new ones are taken


async def test_another_id_is_for_the_topics_and_not_for_readings_that_have_one(stopped: Agent, tmp_path: Path) -> None:
    file, new = tmp_path / "b.tar.gz", tmp_path / "new" / "gatepost.yaml"
    await stopped.start()
    before = await stopped.stored("probe")
    await stopped.stop()
    gatepost("backup", file, "--config", stopped.config)
    shown = gatepost("restore", file, "--config", stopped.config, "--gateway-id", "ward-8")
    assert "gateway ward-8" in shown.stdout
    assert "what was there before" in shown.stdout
    await stopped.start()
    assert (await stopped.client.status())["gateway"]["id"] == "ward-8"
    assert await stopped.stored("probe") == before
    assert not new.exists()


def test_what_is_there_stays_until_everything_was_checked(stopped: Agent, tmp_path: Path) -> None:
    file = tmp_path / "b.tar.gz"
    gatepost("backup", file, "--config", stopped.config)
    whole = file.read_bytes()
    database = (stopped.state / "gatepost.db").read_bytes()
    for name, content in (
        ("torn", whole[: len(whole) // 2]),
        ("changed", whole[:2000] + bytes([whole[2000] ^ 255]) + whole[2001:]),
        ("text", b"not a backup\n" * 100),
        ("nothing", b""),
    ):
        bad = tmp_path / name
        bad.write_bytes(content)
        refused = gatepost("restore", bad, "--config", stopped.config, code=1)
        assert str(bad) in refused.stderr
        assert (stopped.state / "gatepost.db").read_bytes() == database
        assert not list(stopped.state.glob(".restore*"))
    with state_dir_lock.take(stopped.state):
        refused = gatepost("restore", file, "--config", stopped.config, code=1)
        assert "systemctl stop gatepost" in refused.stderr
    assert (stopped.state / "gatepost.db").read_bytes() == database


def test_members_that_lead_elsewhere_are_refused(stopped: Agent, tmp_path: Path) -> None:
    for name in ("../evil", "/etc/evil", "settings/../../evil", "state/a/../b", "other/x"):
        file = tmp_path / "evil.tar.gz"
        with tarfile.open(file, "w:gz") as tar:
            info = tarfile.TarInfo(name)
            tar.addfile(info)
        assert "holds what no backup holds" in gatepost("restore", file, "--config", stopped.config, code=1).stderr


def test_secrets_come_back_with_their_modes_and_what_was_there_is_set_aside(stopped: Agent, tmp_path: Path) -> None:
    file, secret = tmp_path / "b.tar.gz", stopped.folder / "secrets" / "probe"
    gatepost("backup", file, "--config", stopped.config)
    secret.write_text("another")
    secret.chmod(0o644)
    gatepost("restore", file, "--config", stopped.config)
    assert secret.read_text() == "opensesame\n"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    (aside,) = stopped.folder.glob("before-restore-*")
    assert (aside / "secrets" / "probe").read_text() == "another"
    assert stat.S_IMODE(aside.stat().st_mode) == 0o700
    assert list(stopped.state.glob("before-restore-*/gatepost.db"))


def test_readings_from_after_the_backup_are_told_of(stopped: Agent, tmp_path: Path) -> None:
    file, database, later = tmp_path / "b.tar.gz", stopped.state / "gatepost.db", tmp_path / "later.db"
    shutil.copy(database, later)
    with contextlib.closing(sqlite3.connect(database)) as connection:
        newest = "SELECT seq FROM reading WHERE NOT bits & 4 ORDER BY seq DESC LIMIT 3"
        connection.execute(f"DELETE FROM reading WHERE seq IN ({newest})")
        connection.commit()
    gatepost("backup", file, "--config", stopped.config)
    assert "does not have" not in gatepost("restore", file, "--config", stopped.config).stdout
    shutil.rmtree(next(stopped.state.glob("before-restore-*")))
    shutil.copy(later, database)
    shown = gatepost("restore", file, "--config", stopped.config)
    assert "3 readings that the backup does not have: only in what was there before" in shown.stdout


def test_a_backup_is_a_new_file_and_says_what_it_leaves_out(stopped: Agent, tmp_path: Path) -> None:
    file = tmp_path / "b.tar.gz"
    file.write_text("mine")
    assert "already exists" in gatepost("backup", file, "--config", stopped.config, code=1).stderr
    assert file.read_text() == "mine"
    assert "No such file" in gatepost("backup", tmp_path / "none" / "b", "--config", stopped.config, code=1).stderr
    elsewhere = tmp_path.with_name(tmp_path.name + "-elsewhere")
    elsewhere.write_text("pw")
    (stopped.state / "led").symlink_to(elsewhere)  # nothing of the gateway: left out, and no reason to fail
    stopped.settings["brokers"]["a"]["password"] = {"file": str(elsewhere)}
    stopped.write()
    assert str(elsewhere) in gatepost("backup", tmp_path / "c.tar.gz", "--config", stopped.config).stderr
    around = str(tmp_path / ".." / elsewhere.name)  # a member of that name would keep the archive from being restored
    stopped.settings["brokers"]["a"]["password"] = {"file": around}
    stopped.write()
    assert around in gatepost("backup", tmp_path / "around.tar.gz", "--config", stopped.config).stderr
    elsewhere.unlink()
    if os.geteuid():
        (stopped.folder / "secrets" / "probe").chmod(0)
        assert "use sudo" in gatepost("backup", tmp_path / "d.tar.gz", "--config", stopped.config, code=1).stderr


def test_two_restorations_of_one_second_set_aside_in_two_folders(tmp_path: Path) -> None:
    state, config = tmp_path / "state", tmp_path / "config"
    assert _unused("before", (state, config)) == "before"
    (state / "before").mkdir(parents=True)
    assert _unused("before", (state, config)) == "before-2"
    (config / "before-2").mkdir(parents=True)
    assert _unused("before", (state, config)) == "before-3"


def test_data_of_a_gateway_that_this_box_does_not_name_are_not_replaced_unasked(stopped: Agent, tmp_path: Path) -> None:
    file, database = tmp_path / "b.tar.gz", stopped.state / "gatepost.db"
    gatepost("backup", file, "--config", stopped.config)
    before, other = database.read_bytes(), tmp_path / "other" / "gatepost.yaml"
    other.parent.mkdir()
    other.write_text(f"gateway: {{id: other, state_dir: {tmp_path / 'other-state'}}}\n", "utf-8")
    refused = gatepost("restore", file, "--config", other, code=1)
    assert f"{stopped.state} holds the data" in refused.stderr
    assert "--yes" in refused.stderr
    assert database.read_bytes() == before
    assert "other-state" in other.read_text()
    assert str(stopped.state) in gatepost("restore", file, "--config", other, "--yes").stdout
    assert list(stopped.state.glob("before-restore-*/gatepost.db"))
