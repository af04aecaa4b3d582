"""Another device than the configured one, or other line settings: told once, with a hint, and nothing is reported."""

import pytest

from gatepost.drivers.driver import Registry
from gatepost.drivers.reading import Reading
from gatepost.drivers.serial.nonin.driver import NoninOptions
from gatepost.drivers.serial.nonin.twin import NoninTwin

REGISTRY = Registry.installed()
BINARY = [
    ("contec-cms50d-plus", None), ("contec-cms50-v7", None), ("nonin", 1), ("nonin", 2), ("nonin", 7), ("nonin", 8),
    ("nonin", 13),
]  # fmt: skip


def decoder(name, number):
    kind = REGISTRY.get(name)
    return kind(NoninOptions(format=number)).decoder() if number else kind().decoder()


@pytest.mark.parametrize(("name", "number"), BINARY)
@pytest.mark.parametrize("size", [1, 7, 4096])
def test_it_is_told_once(name, number, size, pieces):
    found = decoder(name, number)
    strange = b"ST,+0001.234 kg\r\n" * 60
    items = [item for piece in pieces(strange, [size]) for item in found.feed(piece)]
    assert not [item for item in items if isinstance(item, Reading)]
    assert found.faults.counts["not-this-protocol"] == 1
    if name != "contec-cms50-v7":  # which has more to tell of it
        assert "`driver`" in found.faults.last


@pytest.mark.parametrize(("name", "number"), BINARY)
def test_the_right_device_is_no_stranger(name, number):
    found = decoder(name, number)
    kind = REGISTRY.get(name)
    twin = NoninTwin(number=number) if number else kind.twin()
    for words in kind().on_open_bytes():
        twin.hear(words)
    for _ in range(300):
        found.feed(twin.tick())
    assert "not-this-protocol" not in found.faults.counts


def test_another_format_of_the_same_maker():
    found = decoder("nonin", 2)
    twin = NoninTwin(number=7)
    for _ in range(10):
        assert found.feed(twin.tick()) == []
    assert found.faults.counts["not-this-protocol"] == 1
