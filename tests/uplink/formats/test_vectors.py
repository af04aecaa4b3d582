"""Independent vectors of every dialect, played through the formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from gatepost.agent.uplink.format_kit import play, same_json
from gatepost.agent.uplink.formats.catalogue import BUILT_IN, load

VECTORS = Path(__file__).parents[2] / "vectors/upstream"
ALL = [
    pytest.param(vector, id=vector["id"])
    for path in sorted(VECTORS.glob("*.json"))
    for vector in json.loads(path.read_text())["vectors"]
]


def same(found: bytes, wanted: Any) -> bool:
    if isinstance(wanted, str):
        return found == wanted.encode()
    return same_json(orjson.loads(found), wanted)


def test_every_format_has_vectors() -> None:
    assert {param.values[0]["format"] for param in ALL} == set(BUILT_IN)


@pytest.mark.parametrize("vector", ALL)
def test_vector(vector: dict[str, Any]) -> None:
    will, messages = play(load(vector["format"]), vector)
    wanted = vector["expect"]["messages"]
    assert [message.topic for message in messages] == [each["topic"] for each in wanted]
    for message, each in zip(messages, wanted, strict=True):
        if "hex" in each:
            assert message.payload.hex() == each["hex"]
        else:
            assert same(message.payload, each["payload"]), message.payload
        assert (message.qos, message.retain) == (each["qos"], each["retain"])
        assert message.content_type == each.get("content_type", message.content_type)
        assert message.expiry == each.get("message_expiry")
    if "will" in vector["expect"]:
        assert will is not None
        wanted_will = vector["expect"]["will"]
        assert (will.topic, will.payload.hex()) == (wanted_will["topic"], wanted_will["hex"])
        assert (will.qos, will.retain) == (wanted_will["qos"], wanted_will["retain"])
