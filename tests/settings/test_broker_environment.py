"""Environment variables of containers make the broker `default`, where the settings name none."""

from __future__ import annotations

import pytest

from gatepost.agent.settings.model import SecretRef

ALL = {
    "MQTT_BROKER_HOST": "broker.example",
    "MQTT_BROKER_PORT": "1884",
    "MQTT_PROTOCOL": "mqtts",
    "MQTT_USERNAME": "ward",
    "MQTT_PASSWORD": "s3cret",
    "MQTT_CLIENT_ID": "42",
    "MQTT_KEEPALIVE": "45",
}


def test_every_variable_with_its_origin(read):
    loaded = read("store: {keep: 1d}\n", env=ALL)
    assert loaded.problems == []
    broker = loaded.settings.brokers["default"]
    assert (broker.url, broker.username, broker.client_id, broker.keepalive) == (
        "mqtts://broker.example:1884",
        "ward",
        "42",
        45,
    )
    assert broker.password == SecretRef(env="MQTT_PASSWORD")
    shown = {key: (value, origin) for key, value, origin in loaded.effective()}
    assert shown["brokers.default.url"] == (broker.url, "environment variable MQTT_BROKER_HOST")
    assert shown["brokers.default.keepalive"] == ("45s", "environment variable MQTT_KEEPALIVE")
    assert shown["brokers.default.password"] == ("{env: MQTT_PASSWORD}", "environment variable MQTT_PASSWORD")
    assert "s3cret" not in str(loaded.effective())
    assert loaded.check_secrets(ALL) == []


@pytest.mark.parametrize(
    ("env", "url"),
    [
        ({"MQTT_HOST": "b"}, "mqtt://b"),
        ({"MQTT_HOST": "b", "MQTT_PORT": "1884"}, "mqtt://b:1884"),
        ({"MQTT_HOST": "b", "MQTT_PORT": "8883"}, "mqtts://b:8883"),
        ({"MQTT_HOST": "b", "MQTT_PROTOCOL": "ws://"}, "ws://b"),
        ({"MQTT_HOST": "::1", "MQTT_PORT": "1"}, "mqtt://[::1]:1"),
        ({"MQTT_HOST": "[::1]", "MQTT_PORT": "1"}, "mqtt://[::1]:1"),
        ({"MQTT_HOST": "b:1884"}, "mqtt://b:1884"),
        ({"MQTT_HOST": "b:8883"}, "mqtts://b:8883"),
        ({"MQTT_HOST": "second", "MQTT_BROKER_HOST": "first", "MQTT_BROKER_PORT": ""}, "mqtt://first"),
    ],
)
def test_the_address(read, env, url):
    loaded = read(env=env)
    assert loaded.problems == []
    assert loaded.settings.brokers["default"].url == url


@pytest.mark.parametrize(
    ("files", "more"),
    [
        ("brokers: {a: {url: 'mqtt://x'}}\n", {}),
        ("brokers: {default: {url: 'mqtt://x'}}\n", {}),
        ("store: {keep: 1d}\n", {"GATEPOST_BROKERS__A__URL": "mqtt://x"}),
    ],
)
def test_a_broker_that_the_settings_name_is_the_only_one(read, files, more):
    loaded = read(files, env={**ALL, **more})
    assert loaded.problems == []
    assert [broker.url for broker in loaded.settings.brokers.values()] == ["mqtt://x"]


def test_nothing_comes_of_them_without_a_host(read):
    loaded = read("store: {keep: 1d}\n", env={"MQTT_PORT": "1883", "MQTT_USERNAME": "x"})
    assert loaded.problems == []
    assert loaded.settings.brokers == {}


def test_gatepost_variables_add_to_it(read):
    loaded = read(env={"MQTT_HOST": "b", "GATEPOST_BROKERS__DEFAULT__QOS": "2"})
    assert loaded.problems == []
    assert (loaded.settings.brokers["default"].url, loaded.settings.brokers["default"].qos) == ("mqtt://b", 2)


@pytest.mark.parametrize("env", [{"MQTT_HOST": "a b"}, {"MQTT_HOST": "b", "MQTT_PORT": "many"}])
def test_a_wrong_one_is_a_problem_of_that_variable(read, env):
    (problem,) = read(env=env).errors
    assert (problem.key, problem.file) == ("brokers.default.url", "environment variable MQTT_HOST")


def test_a_wrong_keepalive_too(read):
    (problem,) = read(env={"MQTT_HOST": "b", "MQTT_KEEPALIVE": "soon"}).errors
    assert (problem.key, problem.file) == ("brokers.default.keepalive", "environment variable MQTT_KEEPALIVE")
