from __future__ import annotations

import json
from pathlib import Path

from gatepost.agent.settings.schema import schema
from gatepost.drivers.driver import Registry

CONFIG = Path(__file__).parents[2] / "config"


def test_the_file_in_config_is_current():
    """When it is not: python -m gatepost.agent.settings.schema > config/gatepost.schema.json"""
    assert json.loads((CONFIG / "gatepost.schema.json").read_text()) == schema(Registry.installed())


def test_every_reference_has_its_definition(registry):
    found = schema(registry)
    text = json.dumps(found)
    for name in found["$defs"]:
        assert f'"#/$defs/{name}"' in text
    assert text.count('"$ref"') > 10
    for part in text.split('"#/$defs/')[1:]:
        assert part.split('"')[0] in found["$defs"]


def test_units_are_strings_and_defaults_are_written_as_people_do(registry):
    keep = schema(registry)["$defs"]["StoreSettings"]["properties"]["keep"]
    assert keep["default"] == "7d"
    assert keep["anyOf"][0]["type"] == "string"
    assert keep["description"]


def test_the_options_follow_the_driver(registry):
    found = schema(Registry({name: registry._sources[name] for name in ("printer", "clip")}))
    device = found["$defs"]["DeviceSettings"]
    by_driver = {rule["if"]["properties"]["driver"]["const"]: rule["then"] for rule in device["allOf"]}
    assert set(by_driver) == {"printer", "clip"}
    assert "columns" in found["$defs"]["options-printer"]["properties"]
    assert found["$defs"]["options-clip"]["properties"] == {}


def test_every_key_has_a_description(registry):
    for name, definition in schema(registry)["$defs"].items():
        if name[0].isupper() and name != "Column":
            for key, value in definition["properties"].items():
                assert value.get("description"), f"{name}.{key}"
