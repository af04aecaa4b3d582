"""`gatepost listener`: what was refused, and the trial of a mapping."""

from __future__ import annotations

import json

SETTINGS = """
gateway: {id: ward-7}
devices:
  plug-3:
    driver: mqtt
    options:
      password: {file: /nowhere/secret}
      topics:
        "tele/{device}/SENSOR":
          metric: environment
          fields: {/AM2301/Temperature: {name: temperature, unit: Cel}}
          others: drop
        "tele/{device}/LWT": {status: {online: Online, offline: Offline}}
  far: {driver: mqtt, options: {via: plug-3, topics: {"tele/+/SENSOR/far": {format: value, metric: environment}}}}
"""
SENSOR = "tele/plug-3/SENSOR"


def test_refused_messages_are_shown_escaped(gatepost, agent):
    assert "nothing was refused" in gatepost("listener", "--refused").out
    refusals = agent.app.listener.refusals
    refusals.add("plug-3", SENSOR, "no-values", b'{"t": "\x1b[31m"}')
    refusals.add("plug-3", "tele/plug-3/STATE", "not-your-topic", b'{"Passwd": "x"}')
    refusals.add("plug-3", "tele/plug-3/LONG", "not-your-topic", b"a" * 700)
    shown = gatepost("listener", "--refused").out
    assert '{"t": "\\u001b[31m"}' in shown
    assert "Passwd" not in shown
    assert "... (700 octets)" in shown
    told = json.loads(gatepost("listener", "--refused", "--json").out)["refused"]
    assert [each["reason"] for each in told] == ["not-your-topic", "not-your-topic", "no-values"]


def test_a_mapping_is_tried_without_an_agent(gatepost, settings):
    path = settings(SETTINGS)
    taken = gatepost("listener", "-c", path, "--try", SENSOR, '{"AM2301": {"Temperature": 21.5, "Humidity": 40}}')
    assert (taken.code, taken.err) == (0, "")
    assert "environment: temperature 21.5" in taken.out
    refused = gatepost("listener", "-c", path, "--try", SENSOR, '{"AM2301": {"Temp": 1}, "a/b": [2]}')
    assert refused.code == 1
    assert "refused: no-values" in refused.out
    assert "its values are at /AM2301/Temp, /a~1b/0" in refused.out
    assert "status: offline" in gatepost("listener", "-c", path, "--try", "tele/plug-3/LWT", "Offline").out
    own = gatepost("listener", "-c", path, "--try", "devices/plug-3/data", '{"spo2": 97}', "--json")
    (tried,) = json.loads(own.out)["tried"]
    assert (tried["device"], tried["readings"][0]["spo2"]) == ("plug-3", 97)
    assert "far, by" in gatepost("listener", "-c", path, "--try", "tele/x/SENSOR/far", "7").out


def test_a_topic_that_no_device_takes_and_wrong_settings(gatepost, settings):
    nobody = gatepost("listener", "-c", settings(SETTINGS), "--try", "tele/plug-4/SENSOR", "{}")
    assert nobody.code == 1
    assert "no device of the settings takes the topic tele/plug-4/SENSOR" in nobody.err
    assert gatepost("listener", "-c", settings("devices: {x: {driver: mqt}}"), "--try", "t", "{}").code == 78


def test_a_payload_without_end_is_not_read_to_its_end(gatepost, settings, monkeypatch):
    monkeypatch.setattr("gatepost.agent.cli.verbs.listener.MOST_TRIED", 10)
    long = gatepost("listener", "-c", settings(SETTINGS), "--try", SENSOR, "1" * 11)
    assert long.code == 2
    assert "more than 10 octets" in long.err
