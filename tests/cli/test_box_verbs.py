from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from gatepost.agent.cli import DEFAULT_CONFIG
from gatepost.agent.cli.entry import run_config
from gatepost.agent.cli.support.output import table
from gatepost.agent.diagnostics import offline_checks
from gatepost.agent.process import state_dir_lock
from gatepost.drivers.network.intellivue.messages import decode_message
from gatepost.drivers.network.intellivue.requests import association_request
from tests.cli.conftest import Served, spawn


@pytest.fixture
def database(place):
    """Of an agent that has stopped."""
    served = Served(place)
    for number in range(20):
        served.take(spo2=number)
    served.close()
    return served.state_dir / "gatepost.db"


def test_store_check_of_a_healthy_database(gatepost, database):
    shown = gatepost("store", "check", database)
    assert shown.code == 0
    assert shown.out.endswith("healthy\n")
    told = json.loads(gatepost("store", "check", database, "--json").out)
    assert told["healthy"] is True
    assert told["rows"] >= 20
    assert "nothing to repair" in gatepost("store", "repair", database).out


def test_store_finds_the_database_of_the_settings(gatepost, database, settings):
    path = settings(f"gateway: {{id: ward-7, state_dir: {database.parent}}}\n")
    shown = gatepost("store", "check", "--config", path)
    assert shown.code == 0
    assert str(database) in shown.out


def test_store_repair_sets_a_damaged_database_aside(gatepost, database):
    db = sqlite3.connect(database)
    db.execute("UPDATE reading SET body = x'7b7d' WHERE seq = 7")
    db.commit()
    db.close()
    assert gatepost("store", "check", database).code == 1
    shown = gatepost("store", "repair", database)
    assert shown.code == 0
    assert "the damaged file is now" in shown.out
    assert gatepost("store", "check", database).code == 0
    assert len(list(database.parent.glob("*.damaged-*"))) >= 1


def test_store_does_not_wait_for_a_fifo(gatepost, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for verb in ("check", "repair"):
        shown = gatepost("store", verb, tmp_path / "fifo")
        assert (shown.code, "is not a file" in shown.err) == (1, True)


def test_store_leaves_a_running_agent_alone(gatepost, database):
    with state_dir_lock.take(database.parent):
        for verb in ("check", "repair"):
            shown = gatepost("store", verb, database)
            assert shown.code == 1
            assert "an agent runs on" in shown.err
            assert "systemctl stop gatepost" in shown.err


def test_store_of_nothing(gatepost, place):
    shown = gatepost("store", "check", place / "none.db")
    assert shown.code == 1
    assert "there is no database" in shown.err


def test_store_of_missing_settings_is_78(gatepost, place):
    shown = gatepost("store", "check", "--config", place / "none.yaml")
    assert shown.code == 78
    assert "there are no settings" in shown.err


def test_store_takes_no_other_file_for_a_log(gatepost, place):
    (place / "passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
    db = sqlite3.connect(place / "other.db")
    db.execute("CREATE TABLE bookmark (url TEXT)")
    db.close()
    for name in ("passwd", "other.db"):
        before = (place / name).read_bytes()
        for verb in ("check", "repair"):
            shown = gatepost("store", verb, place / name)
            assert shown.code == 1
            assert "is no Gatepost database" in shown.err
            assert "repair" not in shown.out + shown.err
        assert (place / name).read_bytes() == before
    assert sorted(path.name for path in place.iterdir()) == ["other.db", "passwd"]


def test_store_repairs_a_log_whose_beginning_was_overwritten(gatepost, database):
    with database.open("r+b") as file:
        file.write(b"x" * 100)
    assert "damaged" in gatepost("store", "check", database).out
    assert gatepost("store", "repair", database).code == 0


def test_doctor_without_an_agent_looks_at_the_box(gatepost, place, settings, database):
    (place / "port").write_text("")
    path = settings(
        f"gateway: {{id: ward-7, state_dir: {database.parent}}}\n"
        f"api: {{socket: {place}/none.sock}}\n"
        f"store: {{reserve: 900TB}}\n"
        f"devices:\n  away: {{driver: lines, port: /dev/ttyUSB77}}\n  file: {{driver: lines, port: {place}/port}}\n"
    )
    shown = gatepost("doctor", "--config", path)
    assert shown.code == 1
    assert f"no agent answers at {place}/none.sock" in shown.out
    assert "/dev/ttyUSB77 is not there" in shown.out
    assert "is not a serial port" in shown.out
    assert "store.reserve keeps" in shown.out


@pytest.mark.parametrize("place", ["/proc/gatepost", "/etc/hostname/gatepost"])
def test_doctor_tells_where_no_data_can_lie(place):
    (finding,) = offline_checks._disk(Path(place), 1)
    assert (finding.id, finding.what) == ("disk-unreadable", f"{place} cannot hold the data")


def test_doctor_tells_of_wrong_settings_and_a_broken_database(gatepost, place, settings, database, monkeypatch):
    monkeypatch.setenv("GATEPOST_SOCKET", str(place / "none"))  # not an agent of this machine
    database.write_bytes(b"garbage" * 1000)
    path = settings(f"gateway: {{id: ward-7, state_dir: {database.parent}}}\nbrokers: {{a: {{ulr: mqtt://a}}}}\n")
    told = json.loads(gatepost("doctor", "--config", path, "--json").out)
    assert told["agent"] is False
    about = {finding["about"]: finding["what"] for finding in told["findings"]}
    assert "brokers.a.ulr" in about["settings"]
    assert "is not a database" in about["store"]
    assert gatepost("doctor", "--config", path).err == ""  # it explains them itself


def test_simulate_speaks_until_it_is_ended(place):
    link = place / "probe"
    with spawn("simulate", "lines", "--link", link, "--speed", "50") as device:
        assert b"speaks at" in device.stdout.readline()
        handle = os.open(link, os.O_RDWR | os.O_NOCTTY)
        text = b""
        while text.count(b"\n") < 2:
            text += os.read(handle, 1000)
        os.close(handle)
        assert "temperature" in json.loads(text.split(b"\n")[1] if text.count(b"\n") > 1 else text)
        device.send_signal(signal.SIGTERM)
        assert device.wait(20) == 0
        assert device.stderr.read() == b""
    assert not link.is_symlink()


@pytest.mark.parametrize(("driver", "file"), [("ds18b20", "28-000000000001/w1_slave"), ("modbus-rtu", "bus")])
def test_simulate_a_sensor_that_is_a_folder_and_a_device_that_needs_options(driver, file, place):
    link = place / file.partition("/")[0]
    with spawn("simulate", driver, "--link", link, "--json") as device:
        assert json.loads(device.stdout.readline())["driver"] == driver
        assert (place / file).exists()
        device.send_signal(signal.SIGTERM)
        assert device.wait(20) == 0
        assert device.stderr.read() == b""
    assert not link.exists()


def test_simulate_a_device_that_speaks_udp(gatepost, place):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    with spawn("simulate", "philips-intellivue", "--udp", f"127.0.0.1:{port}", "--json") as device:
        assert json.loads(device.stdout.readline()) == {"driver": "philips-intellivue", "udp": f"127.0.0.1:{port}"}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.settimeout(20)
            one.sendto(association_request(), ("127.0.0.1", port))
            assert decode_message(one.recv(2000)).kind == "association-accepted"
        device.send_signal(signal.SIGTERM)
        assert device.wait(20) == 0
        assert device.stderr.read() == b""
    assert "does not speak UDP" in gatepost("simulate", "lines", "--udp", "127.0.0.1:9").err
    assert gatepost("simulate", "philips-intellivue", "--udp", "here").code == 2


def test_simulate_leaves_the_link_of_another_alone(gatepost, place):
    link = place / "probe"
    with spawn("simulate", "lines", "--link", link, "--json") as device:
        first = json.loads(device.stdout.readline())["device"]
        second = gatepost("simulate", "lines", "--link", link)
        assert (second.code, str(link.readlink())) == (1, first)
        assert f"rm {link}" in second.err
        device.terminate()
    link.symlink_to(place / "gone")  # of one that was killed
    with spawn("simulate", "lines", "--link", link, "--json") as device:
        assert json.loads(device.stdout.readline())["device"] == str(link.readlink())
        device.terminate()


def test_simulate_replaces_no_file(gatepost, place):
    (place / "notes").write_text("precious")
    assert gatepost("simulate", "lines", "--link", place / "notes").code == 1
    assert (place / "notes").read_text() == "precious"
    assert gatepost("simulate", "linse", "--link", place / "x").code == 1
    assert gatepost("simulate", "lines", "--link", place / "x", "-o", "format=xml").code == 2


def test_run_is_started_without_the_other_verbs():
    assert run_config(["run"]) == DEFAULT_CONFIG
    assert str(run_config(["run", "--config", "/a.yaml"])) == "/a.yaml"
    assert str(run_config(["run", "-c", "/a.yaml"])) == "/a.yaml"
    assert str(run_config(["run", "--config=/a.yaml"])) == "/a.yaml"
    for other in (["run", "--help"], ["run", "--config"], ["run", "--config", "--help"], ["run", "x"], ["status"], []):
        assert run_config(other) is None


def test_run_keeps_typer_and_rich_out_of_the_agent(place):
    code = (
        "import sys\n"
        "from gatepost.agent.cli.entry import main\n"
        f"code = main(['run', '--config', '{place}/none.yaml'])\n"
        "print(code, *(name for name in ('typer', 'rich', 'click', 'typing_extensions') if name in sys.modules))"
    )
    env = {**os.environ, "GATEPOST_STRAY": "1", "STATE_DIRECTORY": str(place)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, env=env)
    assert done.stdout.strip() == "78"


def test_a_verb_loads_only_what_it_needs():
    unneeded = ["rich", "yaml", "uvicorn", "gmqtt", "gatepost.agent.settings"]
    code = (
        "import sys\n"
        "from gatepost.agent.cli.entry import main\n"
        "main(['version'])\n"
        f"print(*(name for name in {unneeded} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1].strip() == ""


def test_a_terminal_gets_colours_unless_it_wants_none(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    table(("device", "status"), [("a", "online"), ("b", "offline")], states=("status",))
    assert "\x1b[" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    table(("device", "status"), [("a", "online")], states=("status",))
    assert capsys.readouterr().out == "DEVICE  STATUS\na       online\n"


def test_an_empty_stick_is_said_to_be_empty_and_nothing_else(gatepost, place):
    (place / "stick").mkdir()
    shown = gatepost("import", place / "stick")
    assert (shown.code, shown.out) == (1, "")
    assert "stick is empty" in shown.err
