"""`gatepost formats` and `gatepost routes`: need neither agent nor broker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gatepost.agent.uplink.formats import catalogue

SETTINGS = """
gateway: {id: ward-7}
brokers:
  lab:
    url: mqtt://lab
    routes: [{metrics: [ecg]}, {only: [urgent], topic: "alarm/{room}/{device}", qos: 2}, {drop: true}]
  home: {url: mqtt://home, format: homeassistant}
  other: {url: mqtt://other}
devices:
  strap: {driver: ble-polar-h10, address: "AA:BB:CC:DD:EE:FF", room: Bed 4, brokers: [lab, home]}
"""


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "gatepost.yaml"
    path.write_text(SETTINGS)
    return path


def test_every_format_is_listed(gatepost) -> None:
    listed = json.loads(gatepost("formats", "--json").out)["formats"]
    assert [one["name"] for one in listed] == catalogue.names()
    assert all(one["summary"] for one in listed)


@pytest.mark.parametrize("name", catalogue.names())
def test_a_format_shows_its_options_and_messages(gatepost, name) -> None:
    told = json.loads(gatepost("formats", name, "--sample", "--json").out)
    assert "cuff-3" in json.dumps(told["sample"])
    assert name in gatepost("formats", name, "--sample").out


def test_a_format_is_explained_as_one_writes_it(gatepost) -> None:
    told = gatepost("formats", "devices").out
    assert "topic data: devices/{device}/data" in told
    assert "--sample" in told
    told = gatepost("formats", "fhir").out
    assert '"patient":"urn:gatepost:patient"' in told
    assert "'" not in told.partition("DEFAULT")[2].replace("devices' clocks", "")


@pytest.mark.parametrize("name", catalogue.names())
def test_a_sample_of_a_configured_device_needs_no_broker(gatepost, settings, name) -> None:
    arguments = ("formats", name, "--sample", "--device", "strap", "--config", settings, "--json")
    sample = json.loads(gatepost(*arguments).out)["sample"]
    told = json.dumps(sample)
    assert "strap" in told
    assert "cuff-3" not in told
    if name == "homeassistant":
        components = [one["payload"]["components"] for one in sample if "strap/config" in one["topic"]]
        assert "command_read_now" in components[-1]
        assert any("heart_rate" in key for key in components[-1])


def test_a_sample_without_a_name_is_of_the_first_device_that_reports_there(gatepost, settings) -> None:
    settings.write_text(
        SETTINGS + '  cuff: {driver: ble-blood-pressure, address: "AA:BB:CC:DD:EE:FE", brokers: [other]}\n'
    )
    for name, device in (("homeassistant", "strap"), ("devices", "strap"), ("scalar", "strap")):
        told = gatepost("formats", name, "--sample", "--config", settings).out
        assert device in told
        assert "cuff" not in told


def test_a_sample_of_a_device_that_is_not_there(gatepost, settings) -> None:
    shown = gatepost("formats", "scalar", "--sample", "--device", "nobody", "--config", settings)
    assert shown.code == 1
    assert "there is no device nobody" in shown.err


def test_an_unknown_format_is_an_error(gatepost) -> None:
    shown = gatepost("formats", "xml")
    assert shown.code == 1
    assert "there is no format xml" in shown.err
    assert "did you mean scalar?" in gatepost("formats", "scaler").err


def test_routes_say_where_a_reading_goes_and_why(gatepost, settings) -> None:
    rows = json.loads(gatepost("routes", "strap", "-m", "ecg", "--config", settings, "--json").out)["routes"]
    lab = [(row["topic"], row["rule"]) for row in rows if row["broker"] == "lab"]
    assert lab == [("devices/strap/data", "routes.0")]  # what stands behind it is never reached
    [home] = [row for row in rows if row["broker"] == "home"]
    assert (home["topic"], "waveforms are not sent" in home["rule"]) == ("gatepost/ward-7/strap/ecg", True)
    assert "brokers does not name it" in next(row["rule"] for row in rows if row["broker"] == "other")
    assert "alarm/Bed 4/strap" in gatepost("routes", "strap", "--config", settings).out
    rows = json.loads(gatepost("routes", "strap", "-m", "heart_rate", "--config", settings, "--json").out)["routes"]
    lab = [(row["topic"], row["rule"]) for row in rows if row["broker"] == "lab"]
    assert lab == [("alarm/Bed 4/strap", "routes.1, only urgent"), ("", "routes.2: dropped")]


FURTHER = """
gateway: {id: ward-7}
brokers:
  many:
    url: mqtt://many
    layout: gateway
    batch: {readings: 9}
    routes: [{devices: [a], retain: true}, {}]
    active: false
  things: {url: mqtt://things, format: thingsboard, qos: 2}
  scada: {url: mqtt://scada, format: sparkplug, options: {primary_host: host-1}}
  stream:
    url: mqtt://stream
    format: datastream
    options: {telemetry: {systolic: 7}}
    topics: {data: "{room}/{device}"}
devices:
  a: {driver: ble-blood-pressure, address: "AA:BB:CC:DD:EE:FF"}
  b:
    driver: ble-blood-pressure
    address: "AA:BB:CC:DD:EE:FE"
    room: Bed 4
    thresholds: {systolic: {max: 180}}
    token: s3
"""


def test_routes_say_what_the_settings_of_the_broker_make_of_it(gatepost, tmp_path) -> None:
    path = tmp_path / "gatepost.yaml"
    path.write_text(FURTHER)
    found = {}
    for device in "ab":
        shown = gatepost("routes", device, "-m", "blood_pressure", "--config", path, "--json").out
        rows = json.loads(shown)["routes"]
        found |= {(row["broker"], device): (row["topic"], row["qos"], row["rule"]) for row in rows}
    topic = "gateways/ward-7/devices/{}/data"
    away = "; not connected: active is false"
    assert found["many", "a"] == (topic.format("a"), 1, f"routes.0, retained{away}")
    together = f"routes.1; several together on gateways/ward-7/data{away}"
    assert found["many", "b"] == (topic.format("b"), 1, together)
    assert found["things", "b"][:2] == ("(fixed by thingsboard)", 1)
    assert found["scada", "b"][:2] == ("(fixed by sparkplug)", 0)


def test_a_sample_says_what_the_settings_of_the_device_make_of_it(gatepost, tmp_path) -> None:
    path = tmp_path / "gatepost.yaml"
    path.write_text(FURTHER)

    def sample(name: str) -> list[dict[str, Any]]:
        shown = gatepost("formats", name, "--sample", "--device", "b", "--config", path, "--json").out
        found: list[dict[str, Any]] = json.loads(shown)["sample"]
        return found

    stream = sample("datastream")[-1]
    assert (stream["topic"], stream["payload"]["thresholds"]) == ("Bed 4/b", {"max": 180})
    assert "s3" not in json.dumps(stream)
    scada = sample("sparkplug")
    assert [one["topic"].split("/")[2] for one in scada] == ["NDEATH", "NBIRTH", "DBIRTH", "DDATA"]
    assert scada[-1]["metrics"]["blood_pressure/systolic"] == 120
    assert sample("devices")[0]["topic"] == "gateways/ward-7/devices/b/data"


def test_routes_of_a_device_that_is_not_there(gatepost, settings) -> None:
    shown = gatepost("routes", "nobody", "--config", settings)
    assert shown.code == 1
    assert "there is no device nobody" in shown.err
