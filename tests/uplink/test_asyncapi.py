"""The AsyncAPI document: of every format, whole, current in docs/."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatepost.agent.settings import load
from gatepost.agent.settings.model import BrokerSettings, Settings
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
