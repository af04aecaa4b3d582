from __future__ import annotations

import json
import tarfile

import pytest

from gatepost.agent.cli.support import support_bundle
from gatepost.agent.cli.support.support_bundle import PrivacyScrubber

SECRETS = ("open-sesame", "device-token-1", "P-001", "signing-key-1")
SETTINGS = """
gateway: {{id: ward-7, state_dir: {state}}}
brokers:
  hospital: {{url: "mqtt://h:1883", username: ward, password: open-sesame}}
devices:
  oximeter-1: {{driver: lines, port: /dev/ttyUSB0, patient: P-001, token: device-token-1}}
commands: {{signing: {{key: signing-key-1}}}}
api: {{socket: {socket}, listen: null}}
"""
LOG = """device oximeter-1 of P-001 is online
connecting to mqtt://ward:open-sesame@h:1883
Authorization: Bearer abcdefgh12345678
token gp_7f3a_Zm9vYmFy was used; device-token-1; signing-key-1
"""


@pytest.fixture
def planted(agent, settings, monkeypatch):
    agent.take(spo2=97, patient="P-001", site="reading-value-1")
    agent.refuse("hospital", 151, "of P-001")
    agent.lose("oximeter-1", 4, "queue-full")
    monkeypatch.setattr(support_bundle, "journal", lambda: LOG)
    return settings(SETTINGS.format(state=agent.state_dir, socket=agent.socket))


def unpacked(file):
    with tarfile.open(file) as packed:
        return {member.name: packed.extractfile(member).read().decode() for member in packed}


def test_a_bundle_has_what_helps_and_nobodys_secrets(gatepost, planted, place):
    file = place / "b.tar.gz"
    done = gatepost("doctor", "--bundle", file, "--config", planted)
    assert done.code == 0, done.err
    found = {name.removeprefix("gatepost-bundle/"): text for name, text in unpacked(file).items()}
    assert {"README.txt", "versions.json", "findings.json", "settings.json", "log.txt"} <= found.keys()
    assert {"agent/status.json", "agent/settings.json", "schema/schema_1.sql", "schema/database.json"} <= found.keys()
    everything = "\n".join(found.values())
    for secret in (*SECRETS, "abcdefgh12345678", "gp_7f3a", "reading-value-1"):
        assert secret not in everything
    assert json.loads(found["agent/status.json"])["gateway"]["id"] == "ward-7"
    assert json.loads(found["schema/database.json"])["page_size"] >= 512
    assert "device oximeter-1 of *** is online" in found["log.txt"]
    assert "mqtt://***@h:1883" in found["log.txt"]
    assert "logs" in json.loads(found["agent/logs.json"])
    assert json.loads(found["agent/gaps.json"])["gaps"][0]["count"] == 4
    assert file.stat().st_mode & 0o777 == 0o600


def test_without_an_agent_there_is_a_bundle_too(gatepost, settings, place):
    config = settings(SETTINGS.format(state=place / "state", socket=place / "none.sock"))
    file = place / "b.tar.gz"
    answer = json.loads(gatepost("doctor", "--bundle", file, "--config", config, "--json").out)
    assert "settings.json" in answer["members"]
    assert not any(name.startswith("agent/") for name in answer["members"])
    assert "no agent answers" in unpacked(file)["gatepost-bundle/findings.json"]
    assert "open-sesame" not in "".join(unpacked(file).values())


def test_a_file_that_is_there_is_not_replaced(gatepost, planted, place):
    file = place / "b.tar.gz"
    file.write_text("mine")
    refused = gatepost("doctor", "--bundle", file, "--config", planted)
    assert refused.code == 1
    assert file.read_text() == "mine"
    assert gatepost("doctor", "--bundle", place / "none" / "b.tar.gz", "--config", planted).code == 1


def test_words_are_hidden_as_words_and_members_by_their_name():
    scrub = PrivacyScrubber(["1", "P-1", ""])
    assert scrub.text("P-1 and P-10, 1 and 21") == "*** and P-10, *** and 21"
    assert scrub.json({"patient_id": "new", "n": 1, "deep": [{"token": "x"}, "1"]}) == {
        "patient_id": "***",
        "n": 1,
        "deep": [{"token": "***"}, "***"],
    }
