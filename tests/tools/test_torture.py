"""The short form of the torture: kills, cuts, an older state and a full disk, and an exact account."""

from __future__ import annotations

import json

import pytest

from tools.harness import torture
from tools.harness.mosquitto import binary

pytestmark = pytest.mark.skipif(binary() is None, reason="mosquitto is not installed")


@pytest.mark.timeout(400)
def test_nothing_stored_is_missing_after_kills_and_cuts(capsys):
    code = torture.main(["--cycles", "12", "--seconds", "18", "--rate", "300", "--json"])
    said = capsys.readouterr().out
    assert code == 0, said
    ledger = json.loads(said[said.index("\n{") : said.rindex("}") + 1])
    assert ledger["violations"] == []
    assert ledger["stored readings"] > 0
    assert ledger["did"]["state rolled back"]
    assert ledger["MQTT devices"]["acknowledged"] > 0
    assert ledger["MQTT devices"]["acknowledged and missing"] == ledger["MQTT devices"]["QoS 2 stored twice"] == 0
    assert ledger["brokers"].keys() == {"hospital", "cloud", "sparkplug", "homeassistant"}
    for name, broker in ledger["brokers"].items():
        assert broker["missing"] == 0
        if name != "homeassistant":  # which is not told of what is older than what it has
            assert broker["delivered"] >= broker["stored"] - ledger["stored events"] > 0
