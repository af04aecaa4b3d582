"""Every serial driver that is installed keeps the promises of driver_kit.py, with what its own twin says."""

import pytest

from gatepost.drivers.driver import Registry
from gatepost.drivers.testing import driver_kit

REGISTRY = Registry.installed()
SERIAL = [name for name in REGISTRY.names if REGISTRY.get(name).transport not in ("ble", "mqtt")]
WITH_EXAMPLE = [
    name
    for name in SERIAL
    if driver_kit.maker(REGISTRY.get(name))().options
    != driver_kit.maker(REGISTRY.get(name), REGISTRY.get(name).example_options)().options
]
LIVE = {"hl7-monitor"}  # its bookmarks are of messages that a monitor sends again
AD8232 = {
    "format": "regex",
    "pattern": r"^\s*(?P<ecg>-?\d+|!)\s*$",
    "metric": "ecg",
    "fields": {"ecg": {"unit": "{raw}", "invalid": ["!"], "invalid_means": "lead-off"}},
    "waveform": {"rate_hz": 250},
}
MORE = [
    ("lines", AD8232),
    ("lines", {"format": "keyvalue", "line_end": "\r\n", "encoding": "latin-1", "separator": ":", "delimiter": "|"}),
    ("lines", {"format": "csv", "columns": ["a", "", "b"], "fields": {"a": {"scale": 10}}}),
    ("and-scale", {"mode": "repeat"}),
    ("cas-scale", {"format": "10", "unit": "kg"}),
    ("contec-cms50-v7", {"records": True}),
    ("contec-cms50d-plus", {"waveform": True}),
    ("contec-cms50d-plus", {"records": True, "waveform": True}),
    ("draeger-medibus", {"waveforms": ["flow", "airway_pressure"]}),
    ("ge-dri", {"waveforms": ["ecg1", "pleth"]}),
    ("hl7-monitor", {"match": {"bed": "ICU^^5"}, "waveforms": True}),
    ("mt-sics", {"mode": "repeat", "permit": ["reset"]}),
    ("nonin", {"format": 1}),
    ("nonin", {"format": 7, "waveform": True}),
    ("nonin", {"format": 8, "select": True}),
    ("nonin", {"format": 13}),
    ("openbci-cyton", {"daisy": True, "acceleration": False}),
    ("oximeter-ascii", {"dialect": "nellcor"}),
    ("philips-intellivue", {"waveforms": ["ii", "pleth"]}),
    ("pb840", {"report": "short", "poll": 2, "settings": False}),
]


@pytest.mark.parametrize("name", SERIAL)
def test_as_it_is(name):
    driver_kit.assert_driver(REGISTRY.get(name), rounds=8, stored=name not in LIVE)


@pytest.mark.parametrize("name", WITH_EXAMPLE)
def test_with_the_options_of_its_example(name):
    kind = REGISTRY.get(name)
    driver_kit.assert_driver(kind, kind.example_options, seed=1, rounds=4, stored=name not in LIVE)


@pytest.mark.parametrize(("name", "options"), MORE)
def test_with_other_options(name, options):
    driver_kit.assert_driver(REGISTRY.get(name), options, seed=2, rounds=4, stored=name not in LIVE)


@pytest.mark.parametrize("name", [name for name in SERIAL if REGISTRY.get(name).commands])
def test_its_commands(name):
    assert driver_kit.assert_commands(driver_kit.maker(REGISTRY.get(name)))


def test_there_are_drivers_to_try():
    assert {"lines", "and-scale", "openbci-cyton", "protocentral-ads1292r", "healthypi"} <= set(SERIAL)
