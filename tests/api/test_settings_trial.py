"""Changes of settings as a whole, through the API of a real agent: previewed, applied, on trial, confirmed, undone."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sqlite3
import tempfile
import threading
from contextlib import closing
from pathlib import Path

import pytest

from gatepost.agent.cli.entry import main
from gatepost.agent.main import _undo_unconfirmed
from gatepost.agent.settings import load
from gatepost.agent.settings.trial import changes, trial
from gatepost.agent.settings.trial.changes import settings_of_yaml
from gatepost.agent.settings.trial.record import PENDING, TrialRecord, put_back, revert_at_start, write_record
from gatepost.drivers.driver import Registry
from tests.api.real import running, written
from tests.api.test_tcp import write_certificate
from tests.support.ports import free_port
from tests.support.waiting import until

NOWHERE = "mqtt://127.0.0.1:9"
QUIET = {"settings": {"logging": {"level": "error"}}}


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="gp-") as directory:
        yield Path(directory)


def drop(folder):
    path = folder / "state" / "conf.d" / "60-api.yaml"
    return path.read_text() if path.exists() else None


def level(config):
    return load(config, {}, Registry.installed()).settings.logging.level


async def test_a_change_on_trial_is_kept_once_it_is_confirmed(folder):
    config = written(folder)
    async with running(config) as (app, http):
        done = (await http.post("settings/apply", json={**QUIET, "confirm": "2m"})).json()
        assert (done["changed"], done["trial"]["state"]) == (["logging.level"], "trying")
        assert app.current.settings.logging.level == "error"
        assert (folder / "state" / PENDING).exists()
        shown = (await http.get("settings/trial")).json()
        assert 0 < shown["trial"]["left"] <= 120
        assert (await http.get("status")).json()["settings"]["trial"]["id"] == shown["trial"]["id"]
        assert (await http.post("settings/confirm", json={})).json()["trial"]["state"] == "confirmed"
        assert not (folder / "state" / PENDING).exists()
        assert (await http.post("settings/confirm", json={})).json()["error"]["key"] == "no-trial"
        assert (await http.get("settings/trial")).json()["last"]["state"] == "confirmed"
    assert level(config) == "error"


async def test_a_change_that_nobody_confirms_is_undone(folder):
    config = written(folder)
    async with running(config) as (app, http):
        await http.post("settings/apply", json={"settings": {"gateway": {"labels": {"site": "north"}}}})
        before = drop(folder)
        await http.post("settings/apply", json={**QUIET, "confirm": "1h"})
        app.trial._timer.cancel()
        app.trial._expired()  # the hour is over
        await until(lambda: app.current.settings.logging.level == "info" and app.trial.pending is None)
        last = (await http.get("settings/trial")).json()["last"]
        assert (last["state"], last["reason"]) == ("reverted", "not-confirmed")
        settings = (await http.get("status")).json()["settings"]
        assert (settings["trial"], settings["last_trial"]) == (None, last)
        assert last["ended"] >= settings["reload"]["at"]
        assert drop(folder) == before
        assert "error" in (folder / "state" / "rejected-60-api.yaml").read_text()


async def test_a_trial_whose_end_cannot_be_written_is_undone_once_it_can(folder, monkeypatch):
    usual, full = trial.end_record, [True]

    def end_record(*given):
        if full[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        usual(*given)

    monkeypatch.setattr(trial, "end_record", end_record)
    monkeypatch.setattr(trial, "RETRY", 0.01)
    async with running(written(folder)) as (app, http):
        await http.post("settings/apply", json={**QUIET, "confirm": "1h"})
        assert (await http.post("settings/confirm", json={})).status_code >= 500
        assert app.trial.pending is not None
        assert app.trial._timer.when() - asyncio.get_running_loop().time() > 3000  # it may still be confirmed
        app.trial._timer.cancel()
        app.trial._expired()  # the hour is over
        await until(lambda: app.current.settings.logging.level == "info")
        full[0] = False
        await until(lambda: app.trial.pending is None)
        assert app.trial.last.reason == "not-confirmed"


async def test_a_change_is_undone_when_somebody_asks(folder):
    config = written(folder)
    async with running(config) as (app, http):
        await http.post("settings/apply", json={**QUIET, "confirm": "2m"})
        done = (await http.post("settings/revert", json={})).json()["trial"]
        assert (done["state"], done["reason"]) == ("reverted", "asked")
        assert app.current.settings.logging.level == "info"
        assert drop(folder) is None


async def test_an_agent_that_ended_in_a_trial_starts_with_what_was_before(folder):
    config = written(folder)
    async with running(config) as (_, http):
        await http.post("settings/apply", json={**QUIET, "confirm": "1h"})
    loaded = load(config, {}, Registry.installed())
    assert loaded.settings.logging.level == "error"
    assert _undo_unconfirmed(loaded)
    assert level(config) == "info"
    assert not _undo_unconfirmed(loaded)
    async with running(config) as (_, http):
        last = (await http.get("settings/trial")).json()["last"]
        assert (last["state"], last["reason"]) == ("reverted", "restarted")


def test_a_state_directory_of_another_user_is_for_the_start_to_tell(folder, monkeypatch):
    """`gatepost run` by hand beside the service: no traceback. As without rights; the tests may run as root."""
    plain = Path.stat

    def denied(path, **options):
        if path.name == PENDING:
            raise PermissionError(13, "Permission denied", str(path))
        return plain(path, **options)

    loaded = load(written(folder), {}, Registry.installed())
    monkeypatch.setattr(Path, "stat", denied)
    assert not _undo_unconfirmed(loaded)


async def test_a_running_agent_keeps_its_trial_from_a_second_one(folder):
    config = written(folder)
    async with running(config) as (_, http):
        await http.post("settings/apply", json={**QUIET, "confirm": "1h"})
        assert not _undo_unconfirmed(load(config, {}, Registry.installed()))
        assert (folder / "state" / PENDING).exists()


async def test_other_changes_wait_for_the_end_of_a_trial(folder):
    config = written(folder)
    async with running(config) as (_, http):
        await http.post("settings/apply", json={**QUIET, "confirm": "2m"})
        for answer in (
            await http.post("brokers", json={"name": "lab", "url": NOWHERE}),
            await http.post("settings/apply", json=QUIET),
        ):
            assert (answer.status_code, answer.json()["error"]["key"]) == (409, "trial-pending")
        await http.post("settings/revert", json={})
        assert (await http.post("brokers", json={"name": "lab", "url": NOWHERE, "active": False})).status_code == 201


async def test_brokers_and_devices_go_into_force_and_their_secrets_follow_the_trial(folder):
    config = written(folder)
    body = {"settings": {"brokers": {"lab": {"url": NOWHERE, "username": "u", "password": "s3cret", "active": False}}}}
    async with running(config) as (app, http):
        secrets = folder / "state" / "secrets"
        await http.post("settings/apply", json={**body, "confirm": "2m"})
        assert [file.read_text() for file in secrets.iterdir()] == ["s3cret"]
        assert "s3cret" not in (folder / "state" / PENDING).read_text() + drop(folder)
        await http.post("settings/revert", json={})
        assert list(secrets.iterdir()) == []
        assert app.current.settings.brokers == {}
        await http.post("settings/apply", json=body)
        assert app.current.settings.brokers["lab"].username == "u"
        shown = (await http.post("settings/preview", json={"settings": {"brokers": {"lab": None}}})).json()
        assert shown["changed"] == ["brokers.lab removed"]
        await http.post("settings/apply", json={"settings": {"brokers": {"lab": None}}})
        assert app.current.settings.brokers == {}


async def test_a_preview_changes_nothing_and_says_what_is_wrong_where(folder):
    config = written(folder)
    async with running(config) as (_, http):
        shown = (await http.post("settings/preview", json={"settings": {"store": {"keep": "3d"}}})).json()
        assert (shown["ok"], shown["changed"], shown["before"]) == (True, ["store.keep"], "")
        assert "keep:" in shown["after"]
        wrong = {"settings": {"store": {"keep": "soon"}, "devices": {"x": {"driver": "lines", "port": 5}}}}
        shown = (await http.post("settings/preview", json=wrong)).json()
        assert shown["ok"] is False
        assert {"store.keep", "devices.x.port"} <= {problem["where"] for problem in shown["problems"]}
        refused = await http.post("settings/apply", json={**wrong, "confirm": "2m"})
        assert refused.status_code == 422
        assert "store.keep" in {problem["where"] for problem in refused.json()["error"]["problems"]}
        assert not (folder / "state" / PENDING).exists()
        assert drop(folder) is None


async def test_yaml_is_taken_as_a_settings_file_has_it(folder):
    config = written(folder)
    async with running(config) as (_, http):
        text = "store:\n  keep: 3d\nlogging:\n  level: warning   # for a while\n"
        done = (await http.post("settings/apply", json={"yaml": text})).json()
        assert done["changed"] == ["store.keep", "logging.level"]
        done = (await http.post("settings/apply", json={"unset": ["store.keep"]})).json()
        assert done["changed"] == ["store.keep"]
        broken = await http.post("settings/apply", json={"yaml": "store: [\n", "name": "new.yaml"})
        assert broken.status_code == 422
        assert broken.json()["error"]["where"].startswith("new.yaml:")


async def test_yaml_is_read_off_the_loop(folder, monkeypatch):
    threads = []

    def read(data, name):
        threads.append(threading.get_ident())
        return settings_of_yaml(data, name)

    monkeypatch.setattr(changes, "settings_of_yaml", read)
    async with running(written(folder)) as (_, http):
        assert (await http.post("settings/preview", json={"yaml": "store: {keep: 3d}"})).status_code == 200
    assert len(threads) == 1
    assert threading.get_ident() not in threads


@pytest.mark.parametrize(
    "body",
    [
        {"settings": {"api": {"listen": "0.0.0.0:80"}}},
        {"settings": {"gateway": {"id": "other"}}},
        {"settings": {"commands": {"allow": {"*": ["reload"]}}}},
        {"settings": {"logging": {"level": "error"}, "fleet": {}}},
        {"unset": ["api.secret_dirs"]},
    ],
)
async def test_what_rights_hang_on_is_not_changed_here(folder, body):
    async with running(written(folder)) as (_, http):
        answer = await http.post("settings/apply", json=body)
        assert (answer.status_code, answer.json()["error"]["key"]) == (403, "not-editable")
        assert len(answer.json()["error"]["problems"]) == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {**QUIET, "confirm": "1s"},
        {**QUIET, "confirm": "soon"},
        {**QUIET, "yaml": "a: 1"},
        {"settings": {"devices": {"x": {}}}},
        {"settings": {"devices": []}},
        {"settings": {"brokers": {"lab": "mqtt://h"}}},
    ],
)
async def test_a_wrong_change_is_refused(folder, body):
    async with running(written(folder)) as (_, http):
        assert (await http.post("settings/apply", json=body)).status_code == 422


async def test_each_key_has_its_help_and_whether_it_may_be_changed_here(folder):
    async with running(written(folder, brokers={"a.b": {"url": NOWHERE, "active": False}})) as (_, http):
        lines = {line["key"]: line for line in (await http.get("settings")).json()["settings"]}
        assert lines["store.keep"]["help"] == "how long history is kept after every broker has it"
        assert (lines["store.keep"]["editable"], lines["api.listen"]["editable"]) == (True, False)
        assert lines["brokers.a.b.url"]["help"].startswith("mqtt://")
        schema = (await http.get("settings/schema")).json()["schema"]
        assert "lines" in schema["$defs"]["DeviceSettings"]["properties"]["driver"]["examples"]


async def test_the_command_line_applies_confirms_and_goes_back(folder, capfd):
    config, file = written(folder), folder / "new.yaml"
    file.write_text("logging: {level: error}\n")

    async def gatepost(*arguments):
        code = await asyncio.to_thread(main, [*map(str, arguments), "--socket", str(folder / "api.sock")])
        return code, "".join(capfd.readouterr())

    async with running(config) as (app, _):
        code, told = await gatepost("apply", file, "--preview")
        assert (code, app.current.settings.logging.level) == (0, "info")
        assert "+  level: error" in told
        code, told = await gatepost("apply", file, "--confirm", "2m")
        assert (code, "gatepost confirm" in told) == (0, True)
        assert (await gatepost("confirm", "--revert"))[0] == 0
        assert app.current.settings.logging.level == "info"
        await gatepost("apply", file, "--confirm", "2m")
        assert (await gatepost("confirm"))[0] == 0
        assert app.current.settings.logging.level == "error"
        file.write_text("logging: {level: loud}\n")
        code, told = await gatepost("apply", file)
        assert (code, f"{file}:1:11: logging.level: " in told) == (78, True)
        file.write_text("devices:\n  a.b:\n    driver: linse\n    port: /dev/x\n")
        for more in ((), ("--preview",)):
            code, told = await gatepost("apply", file, *more)
            assert (code, f"{file}:3:5: devices.a.b.driver: " in told) == (78, True)
        assert (await gatepost("confirm"))[0] == 1


@pytest.mark.parametrize("written_before", [True, False])
def test_a_start_undoes_a_trial_whatever_moment_the_agent_died_in(folder, written_before):
    state, drops = folder / "state", folder / "state" / "conf.d"
    drops.mkdir(parents=True)
    (drops / "60-api.yaml").write_text("store: {keep: 3d}\n")
    before = None if not written_before else "store: {keep: 3d}\n"
    common = {"id": "1", "drop": "60-api.yaml", "boot": "b", "by": "cli", "changed": [], "began": 0, "within": 60.0}
    record = TrialRecord(before=before, **common)
    write_record(state, record)
    for _ in range(2):  # it may die again in the middle of this
        put_back(drops / record.drop, record)
    ended = revert_at_start(state, drops)
    assert (ended.state, ended.reason) == ("reverted", "restarted")
    kept = drops / "60-api.yaml"
    assert (kept.read_text() if kept.exists() else None) == before
    assert revert_at_start(state, drops) is None


async def test_a_port_in_use_is_no_mistake_of_the_files(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        config = written(folder, listener={"listen": address})
        async with running(config) as (_, http):
            assert "cannot be listened at" in (await http.get("status")).json()["listener"]["trouble"]
            change = {"settings": {"logging": {"level": "debug"}}}
            assert (await http.post("settings/apply", json=change)).status_code == 200  # of something else
            found = {one["id"] for one in (await http.get("doctor")).json()["findings"]}
            assert "listener-not-served" in found
            written(folder, api={"socket": str(folder / "api.sock"), "listen": address})
            outcome = (await http.post("reload", json={})).json()
            assert (outcome["applied"], outcome["tried"]) == (False, True)
            assert outcome["problems"][-1].endswith("; choose another api.listen")
            assert "cannot be listened at" in (await http.get("status")).json()["listener"]["trouble"]


async def test_an_api_address_in_use_since_the_start_refuses_no_other_change(folder):
    def config(**more: object) -> Path:
        return written(folder, api={"socket": str(folder / "api.sock"), "listen": address}, **more)

    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with running(config()) as (_, http):
            change = {"settings": {"logging": {"level": "debug"}}}
            assert (await http.post("settings/apply", json=change)).status_code == 200
            assert "cannot be listened at" in (await http.get("status")).json()["api"]["trouble"]
            config(store={"keep": "3d"})
            outcome = (await http.post("reload", json={})).json()
            assert (outcome["applied"], outcome["changed"]) == (True, ["store"])
            assert "cannot be listened at" in outcome["problems"][-1]
            again = (await http.post("reload", json={})).json()
            assert (again["applied"], again["changed"]) == (True, [])
            assert "cannot be listened at" in again["problems"][-1]
            taken.close()
            freed = (await http.post("reload", json={})).json()
            assert (freed["applied"], freed["problems"]) == (True, [])
            assert (await http.get("status")).json()["api"]["trouble"] == ""


def spoil(file):
    Path(file).write_text("not there yet")


async def test_a_certificate_that_is_renewed_wrongly_refuses_no_other_change(folder):
    tls = write_certificate(folder)
    api = {"socket": str(folder / "api.sock"), "listen": f"127.0.0.1:{free_port()}"}
    api["tls"] = {"cert": tls.cert, "key": tls.key}
    async with running(written(folder, api=api)) as (_, http):
        spoil(tls.key)
        written(folder, api=api, store={"keep": "3d"})
        outcome = (await http.post("reload", json={})).json()
        assert (outcome["applied"], outcome["changed"], outcome["unserved"]) == (True, ["store"], True)
        assert tls.cert in outcome["problems"][-1]
        write_certificate(folder)
        assert "unserved" not in (await http.post("reload", json={})).json()


async def test_a_broker_of_refused_settings_is_owed_nothing(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with running(written(folder, brokers={"old": {"url": NOWHERE}})) as (app, http):
            api = {"socket": str(folder / "api.sock"), "listen": f"127.0.0.1:{taken.getsockname()[1]}"}
            written(folder, brokers={"old": {"url": NOWHERE}, "new": {"url": NOWHERE}}, api=api)
            assert not (await http.post("reload", json={})).json()["applied"]
            assert app.store.backlog.known == {"old"}
    with closing(sqlite3.connect(folder / "state" / "gatepost.db")) as db:
        assert db.execute("SELECT DISTINCT broker FROM owed").fetchall() == [("old",)]


async def test_a_device_of_which_only_one_key_is_written(folder):
    async with running(written(folder)) as (_, http):
        body = {"settings": {"devices": {"ox-1": {"room": "Bed 4"}}}}
        answer = (await http.post("settings/apply", json=body)).json()["error"]
        assert answer["problems"][0]["where"] == "devices.ox-1.driver"
        assert "apply takes a device whole: write its driver" in answer["problems"][0]["hint"]
