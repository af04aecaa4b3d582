"""The AsyncAPI document: of every format, whole, current in docs/."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatepost.agent.settings import load
from gatepost.agent.settings.model import BatchSettings, BrokerSettings, GatewaySettings, RouteRule, Settings
from gatepost.agent.uplink.asyncapi import document
from gatepost.agent.uplink.formats import catalogue
from gatepost.drivers.driver import Registry
from gatepost.drivers.installed import version

SETTINGS = Path(__file__).with_name("every_format.yaml")
WRITTEN = Path(__file__).parents[2] / "docs" / "asyncapi.yaml"


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    settings = load(SETTINGS, {}, Registry.installed()).settings
    assert settings is not None
    assert {broker.format for broker in settings.brokers.values()} == set(catalogue.names())
    return document(settings, version("gatepost") or "0")


def test_the_page_in_docs_is_current(made: dict[str, Any]) -> None:
    """When it is not: gatepost asyncapi --config tests/uplink/every_format.yaml > docs/asyncapi.yaml"""
    assert yaml.safe_load(WRITTEN.read_text()) == made


def test_every_reference_leads_somewhere(made: dict[str, Any]) -> None:
    text = WRITTEN.read_text()
    references = set(re.findall(r"'?\$ref'?: '?(#/[^'\n]+)", text))
    assert len(references) > 50
    for reference in references:
        place: Any = made
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


def test_every_placeholder_is_a_parameter(made: dict[str, Any]) -> None:
    for channel in made["channels"].values():
        names = set(re.findall(r"{(\w+)}", channel["address"]))
        assert names == set(channel.get("parameters", {}))


def test_operations_say_direction_and_quality(made: dict[str, Any]) -> None:
    for operation in made["operations"].values():
        assert operation["action"] in ("send", "receive")
        assert operation["bindings"]["mqtt"]["qos"] in (0, 1, 2)


def test_a_validator_has_nothing_against_it(made: dict[str, Any]) -> None:
    """asyncapi3: the object model of AsyncAPI 3.0 with its bindings; what it does not know it refuses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, about names of members
        AsyncAPI3 = pytest.importorskip("asyncapi3").AsyncAPI3  # noqa: N806
    assert AsyncAPI3.model_validate(made).asyncapi == "3.0.0"
    channel, operation = next(iter(made["channels"])), next(iter(made["operations"]))
    for place, name, value in (
        (made, "nonsense", 1),
        (made["channels"][channel], "adress", "x"),
        (made["operations"][operation], "action", "publish"),
        (made["operations"][operation]["bindings"]["mqtt"], "qos", 3),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(place, name, value)
            with pytest.raises(ValueError, match="validation error"):
                AsyncAPI3.model_validate(made)


def test_names_of_brokers_become_keys() -> None:
    broker = BrokerSettings(url="mqtt://localhost")
    settings = Settings(brokers={"ward.7": broker, "ward_7": broker})
    assert list(document(settings, "1")["servers"]) == ["ward_7", "ward_7-2"]


VECTORS = [
    pytest.param(vector, id=vector["id"])
    for path in sorted((Path(__file__).parents[1] / "vectors/upstream").glob("*.json"))
    for vector in json.loads(path.read_text())["vectors"]
]
TYPES = {"object": dict, "array": list, "string": str, "integer": int}


@pytest.mark.parametrize("vector", VECTORS)
def test_every_message_of_the_vectors_is_described(vector: dict[str, Any]) -> None:
    given = vector["settings"]["broker"]
    options = {name: value for name, value in given["options"].items() if not name.startswith("_")}
    broker = BrokerSettings(url="mqtt://localhost", format=given["format"], qos=given["qos"], options=options)
    found = document(Settings(brokers={"b": broker}), "1")
    expected = vector["expect"]
    for message in [*expected["messages"], *([expected["will"]] if "will" in expected else [])]:
        [key] = [key for key, channel in found["channels"].items() if sends(found, key) and leads(channel, message)]
        binding = found["operations"][key]["bindings"]["mqtt"]
        assert (binding["qos"], binding["retain"]) == (message["qos"], message["retain"])
        described = found["components"]["messages"][key]
        assert message.get("content_type", described["contentType"]) == described["contentType"]
        schema = described.get("payload")
        if schema and message.get("payload") and "hex" not in message:
            assert isinstance(message["payload"], TYPES[schema["type"]])
            assert all(name in message["payload"] for name in schema.get("required", ()))


def sends(found: dict[str, Any], key: str) -> bool:
    return bool(found["operations"][key]["action"] == "send")


def leads(channel: dict[str, Any], message: dict[str, Any]) -> bool:
    return re.fullmatch(re.sub(r"{\w+}", "[^/]+", channel["address"]), message["topic"]) is not None


def test_batches_rules_and_what_the_broker_may_not_are_described() -> None:
    rules = [RouteRule(only=["urgent"], topic="alarm/{device}", qos=2, retain=True), RouteRule(topic="x", drop=True)]
    batch = BatchSettings(readings=9, compress="gzip")
    keys: dict[str, Any] = {"routes": rules, "batch": batch, "session": "kept", "command_qos": 2}
    gateway = GatewaySettings(id="ward-7", organization="org-1")
    open_, shut = (
        document(Settings(gateway=gateway, brokers={"b": BrokerSettings(url="mqtt://x", commands=each, **keys)}), "1")
        for each in (True, False)
    )
    topics = {key.removeprefix("b_"): channel["address"] for key, channel in open_["channels"].items()}
    assert (topics["data_0"], topics["batch"]) == ("alarm/{device}", "gateways/{gateway}/data")
    assert topics["broadcast"] == "organizations/{org}/broadcast"
    assert open_["operations"]["b_data_0"]["bindings"]["mqtt"]["qos"] == 2
    assert open_["operations"]["b_commands"]["bindings"]["mqtt"]["qos"] == 2
    assert open_["components"]["messages"]["b_batch"]["contentType"] == "application/json+gzip"
    assert not any("command" in key or "broadcast" in key or "response" in key for key in shut["channels"])
    binding = open_["servers"]["b"]["bindings"]["mqtt"]
    assert (binding["clientId"], binding["cleanSession"]) == ("gatepost-ward-7", False)
    assert binding["lastWill"]["topic"] == "gateways/ward-7/status"
