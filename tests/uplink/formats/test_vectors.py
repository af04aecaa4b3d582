"""Independent vectors of every dialect, played through the formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gatepost.agent.uplink.format_kit import difference
from gatepost.agent.uplink.formats.catalogue import BUILT_IN, load

VECTORS = Path(__file__).parents[2] / "vectors/upstream"
ALL = [
    pytest.param(vector, id=vector["id"])
    for path in sorted(VECTORS.glob("*.json"))
    for vector in json.loads(path.read_text())["vectors"]
]


def test_every_format_has_vectors() -> None:
    assert {param.values[0]["format"] for param in ALL} == set(BUILT_IN)


@pytest.mark.parametrize("vector", ALL)
def test_vector(vector: dict[str, Any]) -> None:
    assert difference(load(vector["format"]), vector) == ""


def test_a_wrong_message_is_a_difference() -> None:
    vector = json.loads((VECTORS / "scalar.json").read_text())["vectors"][0]
    vector["expect"]["messages"][0]["qos"] = 2
    assert "QoS" in difference(load("scalar"), vector)
    vector["expect"]["messages"] = []
    assert "topics" in difference(load("scalar"), vector)
