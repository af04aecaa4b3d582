"""Published and computed payloads beyond tests/vectors/adverts.json, in the same form; each names its source."""

import json
from pathlib import Path

import pytest

from gatepost.drivers.ble.adverts.bthome_objects import KINDS, STATE
from gatepost.drivers.testing.vectors import judge

OWN = json.loads((Path(__file__).parent / "vectors.json").read_text("utf-8"))["vectors"]
OPEN = json.loads((Path(__file__).parents[2] / "vectors/adverts.json").read_text("utf-8"))["vectors"]


@pytest.mark.parametrize("vector", OWN, ids=lambda vector: vector["id"])
def test_vector(vector):
    assert judge(vector) == ""


def test_every_object_of_bthome_has_a_vector():
    seen = {found["id"] for vector in OWN + OPEN for found in vector.get("expect", {}).get("objects", ())}
    states = {number for number, kind in KINDS.items() if kind.place == STATE}
    assert set(KINDS) - states <= seen
    assert seen & states


def test_every_vector_is_of_a_format_of_its_own():
    formats = {vector["format"] for vector in OPEN}
    assert formats <= {vector["format"] for vector in OWN}
