from __future__ import annotations

import os
from pathlib import Path

import pytest

from gatepost.agent.settings import load

from .conftest import told

MAIN = """\
gateway: {id: ward-7, labels: {site: north, floor: "3"}}
store:
  keep: 5d
brokers:
  a: {url: "mqtt://a.example", failover: [mqtt://b.example]}
devices:
  p:
    driver: printer
    port: /dev/ttyUSB0
"""


def test_the_main_file_alone(read):
    loaded = read(MAIN)
    assert loaded.problems == []
    settings = loaded.settings
    assert settings.gateway.id == "ward-7"
    assert settings.store.keep == 5 * 86400
    assert settings.store.commit_interval == 1.0
    assert settings.brokers["a"].failover == ["mqtt://b.example"]
    assert settings.devices["p"].port == "/dev/ttyUSB0"


def test_drops_merge_in_name_order_maps_deep_lists_replaced_null_removed(read, tmp_path):
    loaded = read(
        MAIN,
        {
            "20-b.yaml": "store: {keep: 2d}\ngateway: {labels: {floor: null}}\n",
            "10-a.yaml": "store: {keep: 1d, reserve: 1MB}\nbrokers: {a: {failover: [mqtt://c.example], qos: 2}}\n",
            "30-c.yaml": "devices: {p: null}\n",
        },
    )
    assert loaded.problems == []
    settings = loaded.settings
    assert settings.store.keep == 2 * 86400
    assert settings.store.reserve == 1_000_000
    assert settings.gateway.labels == {"site": "north"}
    assert settings.brokers["a"].failover == ["mqtt://c.example"]
    assert settings.brokers["a"].url == "mqtt://a.example"
    assert settings.devices == {}
    assert [file.name for file in loaded.files] == ["gatepost.yaml", "10-a.yaml", "20-b.yaml", "30-c.yaml"]


def test_origins_name_the_winning_place(read, tmp_path):
    loaded = read(MAIN, {"10.yaml": "store:\n  keep: 1d\n"}, env={"GATEPOST_STORE__RESERVE": "5MB"})
    assert str(loaded.origins[("store", "keep")]) == f"{tmp_path}/conf.d/10.yaml:2:9"
    assert str(loaded.origins[("gateway", "id")]) == f"{tmp_path}/gatepost.yaml:1:15"
    assert str(loaded.origins[("store", "reserve")]) == "environment variable GATEPOST_STORE__RESERVE"
    assert ("store", "max_size") not in loaded.origins


@pytest.mark.parametrize(
    "name", [".10.yaml.swp", ".hidden.yaml", "10.yaml~", "10.yaml.bak", "10.yml.dpkg-old", "README.md"]
)
def test_backups_of_editors_and_packages_are_not_read(read, name):
    loaded = read(MAIN, {name: "store: {keep: 1d}\n"})
    assert loaded.problems == []
    assert loaded.settings.store.keep == 5 * 86400


def test_drops_without_a_main_file_are_enough(read, tmp_path):
    loaded = read(None, {"10.yaml": MAIN})
    assert loaded.problems == []
    assert loaded.settings.gateway.id == "ward-7"
    assert "gatepost.yaml does not exist" in loaded.notes[0]


def test_nothing_at_all_is_one_problem(read, tmp_path):
    loaded = read()
    assert loaded.settings is None
    assert told(loaded) == ["1:1 no-settings "]
    assert str(loaded.problems[0]).startswith(f"{tmp_path}/gatepost.yaml:1:1: there are no settings")


def test_the_environment_alone_is_enough(read):
    loaded = read(env={"GATEPOST_GATEWAY__ID": "box"})
    assert loaded.problems == []
    assert loaded.settings.gateway.id == "box"


@pytest.mark.parametrize(
    "text", ["", "\n", "# only a comment\n", "---\n", "null\n", "devices:\nbrokers:\n", "\ufeff{}"]
)
def test_an_empty_file_is_fine(read, text):
    loaded = read(text)
    assert loaded.problems == []
    assert loaded.settings.devices == {}


def test_a_key_with_nothing_behind_it_does_not_wipe_a_section(read):
    loaded = read(MAIN, {"10.yaml": "devices:\n#  q: {driver: printer}\n"})
    assert told(loaded) == ["w 1:1 empty-section devices"]
    assert list(loaded.settings.devices) == ["p"]


def test_what_is_missing_behind_a_mistake_is_not_told_as_empty(read):
    loaded = read(MAIN, {"10.yaml": "devices:\n\tq: {driver: printer}\n"})
    assert [problem.severity for problem in loaded.problems] == ["error"]


def test_the_host_name_is_the_default_id(read):
    loaded = read("store: {}")
    assert loaded.settings.gateway.id
    assert ("gateway.id", loaded.settings.gateway.id, "host name") in loaded.effective()


def test_own_drops_come_last_and_from_the_state_directory(tmp_path, registry):
    main = tmp_path / "gatepost.yaml"
    state = tmp_path / "state"
    (state / "conf.d").mkdir(parents=True)
    (state / "conf.d" / "agent.yaml").write_text("store: {keep: 3d}\n")
    main.write_text("store: {keep: 5d}\n")
    by_system = load(main, {"STATE_DIRECTORY": f"{state}:/other"}, registry)
    assert by_system.settings.store.keep == 3 * 86400
    assert by_system.settings.gateway.state_dir == str(state)
    assert by_system.state_dir == state
    main.write_text(f"gateway: {{state_dir: {state}}}\nstore: {{keep: 5d}}\n")
    assert load(main, {}, registry).settings.store.keep == 3 * 86400
    main.write_text("store: {keep: 5d}\n")
    by_environment = load(main, {"GATEPOST_GATEWAY__STATE_DIR": str(state)}, registry)
    assert by_environment.settings.store.keep == 3 * 86400


def test_an_own_drop_cannot_move_the_state_directory(read):
    loaded = read(MAIN, own={"a.yaml": "gateway: {state_dir: /elsewhere}\n"})
    assert told(loaded) == ["1:11 own-state-dir gateway.state_dir"]


def test_an_own_drop_for_a_device_that_is_gone_only_warns(read):
    loaded = read("store: {}\n", own={"a.yaml": "devices: {p: {patient: P-1}}\nbrokers: {a: {active: false}}\n"})
    assert told(loaded) == ["w 1:11 left-over devices.p", "w 2:11 left-over brokers.a"]
    assert loaded.settings.devices == {}


def test_what_a_fleet_has_set_is_told_when_no_broker_carries_one(read):
    brokers = "brokers: {a: {url: 'mqtt://h', layout: gateway}}\n"
    assert told(read(brokers, own={"60-api.yaml": "logging: {level: error}\n"})) == []
    own = {"40-fleet.yaml": "logging: {level: error}\n"}
    for fleet in ("", "fleet: {broker: null}\n"):
        loaded = read(brokers + fleet, own=own)
        assert told(loaded) == ["w 1:1 fleet-left fleet.broker"]
        assert loaded.settings.logging.level == "error"
    assert "fleet-left" not in str(told(read(brokers + "fleet: {broker: a}\n", own=own)))


def test_one_problem_does_not_hide_another_in_any_file(read):
    loaded = read(
        "store: {kep: 1d, reserve: lots}\n",
        {"10.yaml": "devices: [x\n", "20.yaml": "logging: {level: loud}\n"},
        own={"a.yaml": "api: 5\n"},
        env={"GATEPOST_STORE__NOPE": "1"},
    )
    assert loaded.settings is None
    assert [problem.code for problem in loaded.problems] == [
        "unknown-key",
        "bad-size",
        "yaml",
        "wrong-type",
        "bad-choice",
        "wrong-type",
        "unknown-environment",
    ]


def test_unreadable_files_are_problems(read, tmp_path):
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "10.yaml").mkdir()
    (tmp_path / "conf.d" / "20.yaml").symlink_to(tmp_path / "nowhere")
    assert told(read(MAIN)) == ["1:1 unreadable ", "1:1 unreadable "]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_a_problem(read, tmp_path):
    (tmp_path / "gatepost.yaml").write_text(MAIN)
    (tmp_path / "gatepost.yaml").chmod(0)
    assert told(read()) == ["1:1 unreadable "]


def test_the_signature_is_from_before_the_reading(read, tmp_path):
    loaded = read(MAIN, {"10.yaml": ""})
    assert Path(tmp_path / "gatepost.yaml") in loaded.watched
    assert set(loaded.signature) == {str(path) for path in loaded.watched}
    assert tmp_path / "own" in loaded.watched
