from __future__ import annotations

import errno
import grp
import json
import os
import re
from pathlib import Path

import pytest

from gatepost.agent.cli.support import service_user

GOOD = "gateway: {id: ward-7}\ndevices:\n  probe:\n    driver: lines\n    port: /dev/ttyUSB0\n    patient: P-001\n"
BAD = "gateway: {id: ward-7}\ndevices:\n  probe:\n    driver: lines\n    prt: /dev/ttyUSB0\n    baudrate: fast\n"


def test_check_prints_every_problem_with_its_place(gatepost, settings):
    path = settings(BAD)
    shown = gatepost("check", path)
    assert shown.code == 78
    lines = shown.out.splitlines()
    assert re.search(rf"^{re.escape(str(path))}:5:5: devices\.probe\.prt: .*; .*port", shown.out, re.MULTILINE)
    assert re.search(rf"^{re.escape(str(path))}:6:\d+: devices\.probe\.baudrate: ", shown.out, re.MULTILINE)
    assert re.fullmatch(r"1 file, \d+ errors, \d+ warnings?", lines[-1])


def test_check_reads_drop_ins_and_takes_the_directory(gatepost, settings, place):
    settings(GOOD)
    (place / "conf.d").mkdir()
    settings("devices: {other: {driver: linse, port: /dev/x}}\n", "conf.d/50-other.yaml")
    shown = gatepost("check", place)
    assert shown.code == 78
    assert "conf.d/50-other.yaml:1:" in shown.out
    assert "2 files" in shown.out


def test_check_is_content_with_good_settings(gatepost, settings):
    shown = gatepost("check", settings(GOOD))
    assert (shown.code, shown.out) == (0, "1 file, 0 errors, 0 warnings\n")


def test_warnings_are_marked_and_no_failure(gatepost, settings):
    shown = gatepost("check", settings(GOOD + "brokers: {h: {url: mqtt://h, username: a, password: secret}}\n"))
    assert shown.code == 0
    assert "brokers.h.password: warning: " in shown.out
    assert "1 warning" in shown.out


def test_check_tries_the_secrets_when_asked(gatepost, settings):
    path = settings(GOOD + "brokers: {h: {url: mqtt://h, username: a, password: {file: /nowhere/secret}}}\n")
    shown = gatepost("check", path)
    assert shown.code == 0
    assert "note: secrets and certificates (1) were not looked at: --secrets does" in shown.out
    assert "(1) were not looked at" in json.loads(gatepost("check", path, "--json").out)["notes"][0]
    shown = gatepost("check", path, "--secrets")
    assert shown.code == 78
    assert "not looked at" not in shown.out
    assert "/nowhere/secret" in shown.out
    assert "note:" not in shown.out


def test_config_in_json_tells_mistakes_in_json_too(gatepost, settings):
    shown = gatepost("config", "--config", settings(BAD), "--json")
    assert shown.code == 78
    told = json.loads(shown.out)
    assert told["settings"] == []
    assert "devices.probe.prt" in [problem["key"] for problem in told["problems"]]


def test_check_in_json(gatepost, settings):
    told = json.loads(gatepost("check", settings(BAD), "--json").out)
    assert told["ok"] is False
    problem = next(problem for problem in told["problems"] if problem["key"] == "devices.probe.prt")
    assert {"severity", "file", "line", "column", "key", "code", "message", "hint"} <= problem.keys()
    assert problem["line"] == 5


def test_check_of_nothing_is_78(gatepost, place):
    assert gatepost("check", place / "none.yaml").code == 78


def test_config_names_the_line_of_each_key(gatepost, settings):
    path = settings(GOOD)
    shown = gatepost("config", "--config", path)
    assert shown.code == 0
    assert re.search(r"^devices\.probe\.port +/dev/ttyUSB0 +gatepost\.yaml:5:11$", shown.out, re.MULTILINE)
    assert re.search(r"^store\.keep +7d +default$", shown.out, re.MULTILINE)
    assert f"files: in {path.parent}" in shown.out
    assert "P-001" not in shown.out
    told = json.loads(gatepost("config", "--config", path, "--json").out)["settings"]
    assert {"key": "store.keep", "value": "7d", "origin": "default"} in told


def test_config_of_one_key_and_those_below_it(gatepost, settings):
    path = settings(GOOD)
    told = json.loads(gatepost("config", "devices.probe", "--config", path, "--json").out)["settings"]
    assert {"devices.probe.port", "devices.probe.driver"} <= {line["key"] for line in told}
    assert all(line["key"].startswith("devices.probe.") for line in told)
    shown = gatepost("config", "store.keep", "--config", path).out
    assert "store.keep" in shown
    assert "store.max_size" not in shown
    missing = gatepost("config", "devices.prob", "--config", path)
    assert missing.code == 1
    assert "there is no setting devices.prob" in missing.err


def test_config_and_drivers_are_separated_by_tabs_where_there_is_no_terminal(gatepost, settings, monkeypatch):
    monkeypatch.delenv("COLUMNS")
    path = settings(GOOD)
    lines = gatepost("config", "--config", path).out.splitlines()
    assert lines[0] == "KEY\tVALUE\tFROM"
    assert f"devices.probe.port\t/dev/ttyUSB0\t{path}:5:11" in lines
    assert {line.count("\t") for line in lines} == {2}
    lines = gatepost("drivers").out.splitlines()
    assert lines[0] == "DRIVER\tWHAT\tMETRICS"
    assert {line.count("\t") for line in lines} == {2}


def test_config_ascribes_to_no_file_what_none_says(gatepost, settings):
    shown = gatepost("config", "--config", settings(GOOD)).out
    assert re.search(r"^devices\.probe\.options +\{\} +default$", shown, re.MULTILINE)
    shown = gatepost("config", "--config", settings(GOOD + "    options: {format: csv, columns: [a]}\n")).out
    assert re.search(r"^devices\.probe\.options\.format +csv +gatepost\.yaml:7:23$", shown, re.MULTILINE)


def test_config_of_wrong_settings_is_78(gatepost, settings):
    shown = gatepost("config", "--config", settings(BAD))
    assert shown.code == 78
    assert "devices.probe.prt" in shown.out


def test_config_of_the_running_agent(gatepost, agent):
    shown = gatepost("config", "--running").out
    assert re.search(r"^brokers\.hospital\.url +mqtt://h:1883 +gatepost\.yaml:7:5$", shown, re.MULTILINE)
    assert "open-sesame" not in shown


def test_schema_is_json_schema(gatepost):
    told = json.loads(gatepost("config", "--schema").out)
    assert told["$schema"].startswith("https://json-schema.org/")
    assert "devices" in json.dumps(told)


def test_drivers_are_listed_and_explained(gatepost):
    assert re.search(r"^lines +Any device that prints lines", gatepost("drivers").out, re.MULTILINE)
    shown = gatepost("drivers", "lines").out
    assert "9600 baud, 8N1" in shown
    assert "option     format: one of csv, json, keyvalue, regex; default json" in shown
    assert "option     columns: list of text; may be left out" in shown
    assert "the names of the columns in order" in shown
    assert "start_monitoring([interval], [duration]): " in shown
    assert "interval: seconds, 0 to 86400, or a duration: 500ms, 30s, 5m, 1h" in shown
    assert "driver: lines" in shown


def test_a_command_of_the_driver_takes_the_place_of_the_common_one(gatepost):
    names = [one["name"] for one in json.loads(gatepost("drivers", "and-scale", "--json").out)["commands"]]
    assert sorted(names) == sorted(set(names))
    assert gatepost("drivers", "and-scale").out.count("read_now(") == 1
    assert "read_now([stable])" in gatepost("drivers", "and-scale").out


def test_every_option_is_described_and_the_example_shows_some(gatepost):
    told = json.loads(gatepost("drivers", "and-scale", "--json").out)
    assert all(option["description"] for option in told["options"])
    assert "    options:\n      mode: poll\n" in told["example"]


def test_the_example_of_every_driver_is_good_yaml_for_it(gatepost, settings):
    names = [driver["name"] for driver in json.loads(gatepost("drivers", "--json").out)["drivers"]]
    assert names
    for name in names:
        told = json.loads(gatepost("drivers", name, "--json").out)
        if any(option["required"] for option in told["options"]):
            continue
        shown = gatepost("check", settings(told["example"]))
        assert shown.code == 0, shown.out


def test_a_misspelt_driver_is_suggested(gatepost):
    shown = gatepost("drivers", "linse")
    assert shown.code == 1
    assert "did you mean lines?" in shown.err


@pytest.mark.parametrize("broken", [b"devices: [\x00", b"\xff\xfe", b"a: b: c: d"])
def test_check_never_crashes(gatepost, place, broken):
    path = place / "gatepost.yaml"
    path.write_bytes(broken)
    shown = gatepost("check", path)
    assert shown.code == 78
    assert "Traceback" not in shown.err


@pytest.mark.parametrize("words", [("check",), ("store", "check")])
def test_what_may_not_be_read_is_a_sentence(words, gatepost, place, monkeypatch):
    """As for a user without rights; the tests may run as root, who may read everything."""

    plain = Path.stat

    def denied(path, **options):
        if path.is_relative_to(place):
            raise PermissionError(13, "Permission denied", str(path))
        return plain(path, **options)

    monkeypatch.setattr(Path, "stat", denied)
    shown = gatepost(*words, place / "gatepost.db")
    assert shown.code in (1, 2, 78)
    assert "ermission denied" in shown.err + shown.out or "not readable" in shown.err
    assert "Traceback" not in shown.err


@pytest.mark.skipif(os.geteuid() != 0, reason="root asks for another user")
def test_root_is_told_what_the_service_may_not_read(gatepost, settings, place, monkeypatch):
    place.chmod(0o755)
    (place / "conf.d").mkdir(mode=0o755)
    main = settings(GOOD)
    key = settings("geheim", "key")
    other = settings(f"brokers: {{a: {{url: 'mqtt://x', password: {{file: {key}}}}}}}\n", "conf.d/50-other.yaml")
    for file in (main, other):
        file.chmod(0o644)
    monkeypatch.setattr(service_user, "USER", "nobody")
    assert gatepost("check", main, "--secrets").code == 0  # these are not the service's
    monkeypatch.setattr(service_user, "DEFAULT_CONFIG", main)
    assert gatepost("check", main).code == 0
    key.chmod(0o600)
    shown = gatepost("check", main, "--secrets")
    assert (shown.code, f"{key}: the service's user nobody may not read it; chgrp" in shown.out) == (78, True)
    other.chmod(0o600)
    shown = gatepost("check", main)
    assert (shown.code, f"{other}: the service's user nobody" in shown.out) == (78, True)
    found = json.loads(gatepost("doctor", "--config", main, "--json").out)["findings"]
    assert any("nobody may not read it" in one["what"] for one in found)
    assert os.geteuid() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="root asks for another user")
def test_what_a_group_of_the_unit_may_read_the_service_may_read(gatepost, settings, place, monkeypatch):
    place.chmod(0o755)
    main, systemctl = settings(GOOD), settings("#!/bin/sh\nexit 1\n", "systemctl")
    os.chown(main, 0, grp.getgrnam("daemon").gr_gid)
    main.chmod(0o640)
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", str(place), prepend=os.pathsep)
    monkeypatch.setattr(service_user, "USER", "nobody")
    monkeypatch.setattr(service_user, "DEFAULT_CONFIG", main)
    assert gatepost("check", main).code == 78
    systemctl.write_text("#!/bin/sh\necho dialout daemon no-such-group\n")
    assert gatepost("check", main).code == 0


@pytest.mark.parametrize("refused", ["setgroups", "setegid", "seteuid"])
@pytest.mark.skipif(os.geteuid() != 0, reason="root asks for another user")
def test_root_that_may_not_become_the_service_is_told_the_rest(gatepost, settings, place, monkeypatch, refused):
    def denied(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")  # a container without capabilities

    main, before = settings(GOOD), (os.geteuid(), os.getegid(), os.getgroups())
    monkeypatch.setattr(service_user, "USER", "nobody")
    monkeypatch.setattr(service_user, "DEFAULT_CONFIG", main)
    with monkeypatch.context() as container:
        real = getattr(os, refused)
        container.setattr(os, refused, lambda to: real(to) if to in before else denied())
        shown = gatepost("check", main)
    assert (shown.code, shown.err) == (0, "")
    assert (os.geteuid(), os.getegid(), os.getgroups()) == before
