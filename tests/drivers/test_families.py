"""Families of drivers of ports: each folder has its README; its example works, its list of files is complete."""

import re
from pathlib import Path

import msgspec
import pytest
import yaml

from gatepost.agent.settings.model import DeviceSettings
from gatepost.drivers.driver import Registry

DRIVERS = Path(__file__).parents[2] / "drivers"
ROOMS = (DRIVERS / "serial", DRIVERS / "network")
FAMILIES = sorted(path for room in ROOMS for path in room.iterdir() if any(path.glob("*driver.py")) and path.is_dir())
REGISTRY = Registry.installed()


@pytest.mark.parametrize("family", FAMILIES, ids=lambda path: path.name)
def test_readme(family):
    page = (family / "README.md").read_text("utf-8")
    for heading in ("Made from", "Known quirks", "Example", "Files"):
        assert f"\n## {heading}\n\n" in page
    named = {name for entry in re.findall(r"^- `([^`]+\.py)`", page, re.MULTILINE) for name in entry.split(", ")}
    assert named == {path.name for path in family.glob("*.py")} - {"__init__.py"}
    drop = yaml.safe_load(re.search(r"```yaml\n(.*?)```", page, re.DOTALL)[1])
    for settings in drop["devices"].values():
        device = msgspec.convert(settings, DeviceSettings)
        driver = REGISTRY.get(device.driver)
        assert driver.__module__.startswith(f"gatepost.drivers.{family.parent.name}.{family.name}.")
        driver(msgspec.convert(device.options, driver.options_type))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda path: path.name)
def test_drivers_are_named_in_their_readme(family):
    page = (family / "README.md").read_text("utf-8")
    for driver in REGISTRY:
        if driver.__module__.startswith(f"gatepost.drivers.{family.parent.name}.{family.name}."):
            assert f"`{driver.name}`" in page


@pytest.mark.parametrize("family", FAMILIES, ids=lambda path: path.name)
def test_cases_lie_in_a_folder_of_the_same_name(family):
    assert list((Path(__file__).parent / family.name).glob("test_*.py"))
