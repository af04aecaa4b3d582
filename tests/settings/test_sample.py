"""The sample and the examples are right, and say where their schema is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gatepost.agent.settings import load
from gatepost.drivers.driver import Registry

from .conftest import Clip

CONFIG = Path(__file__).parents[2] / "config"
EXAMPLES = sorted((CONFIG / "conf.d.examples").glob("*.yaml"))


@pytest.fixture(scope="module")
def drivers():
    """Those installed, with a plain stand-in for one that an example names and this installation has not."""
    installed = Registry.installed()
    names = {name: (lambda name=name: installed.get(name)) for name in installed.names}
    for name in ("contec-cms50d-plus", "and-scale"):
        names.setdefault(name, lambda: Clip)
    return Registry(names)


def test_the_sample_as_it_is(drivers):
    loaded = load(CONFIG / "gatepost.yaml", {}, drivers, CONFIG / "no-own-drops")
    assert loaded.problems == []
    assert loaded.settings.devices == {}


def test_the_sample_with_every_comment_taken_away(drivers, tmp_path):
    lines = (CONFIG / "gatepost.yaml").read_text().splitlines()
    start = lines.index("gateway:")
    text = "\n".join(re.sub(r"^(\s*)# ?(?=\s*[a-z_]+[-0-9]*:)", r"\1", line) for line in lines[start:])
    text = text.replace("brokers: {}", "brokers:").replace("devices: {}", "devices:")
    (tmp_path / "gatepost.yaml").write_text(text)
    loaded = load(tmp_path / "gatepost.yaml", {}, drivers, tmp_path / "own")
    assert [str(problem) for problem in loaded.problems] == []
    assert loaded.settings.gateway.id == "ward-7"
    assert loaded.settings.brokers["hospital"].client_id == "gatepost-ward-7"
    assert loaded.settings.devices["oximeter-1"].thresholds["spo2"].min == 90


def test_the_examples_fit_together(drivers, tmp_path):
    (tmp_path / "conf.d").mkdir()
    for example in EXAMPLES:
        (tmp_path / "conf.d" / example.name).write_text(example.read_text())
    loaded = load(tmp_path / "gatepost.yaml", {}, drivers, tmp_path / "own")
    assert [str(problem) for problem in loaded.problems] == []
    assert len(loaded.settings.brokers) == 2
    transports = {driver.name: driver.transport for driver in Registry.installed()}
    shown = sorted((transports[device.driver], device.driver) for device in loaded.settings.devices.values())
    assert shown == [
        ("ble", "ble-advertisement"),
        ("ble", "ble-advertisement"),
        ("ble", "ble-blood-pressure"),
        ("ble", "ble-glucose"),
        ("ble", "ble-pulse-oximeter"),
        ("serial", "and-scale"),
        ("serial", "contec-cms50d-plus"),
        ("serial", "lines"),
        ("serial", "modbus-rtu"),
    ]


@pytest.mark.parametrize("path", [CONFIG / "gatepost.yaml", *EXAMPLES], ids=lambda path: path.name)
def test_editors_find_the_schema(path):
    first = path.read_text().splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    assert (path.parent / first.partition("=")[2]).is_file()
