"""docs/drivers.md names every option there is, and its examples do what it says."""

import re
from pathlib import Path

import msgspec
import pytest
import yaml

from gatepost.drivers.driver import Registry
from gatepost.drivers.link import Reason
from gatepost.drivers.serial.lines.fields import LineField
from gatepost.drivers.testing.vectors.ecg import AD8232_FIELDS, AD8232_PATTERN

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "drivers.md").read_text("utf-8")
BLE_PAGE = (DOCS / "drivers-ble.md").read_text("utf-8")


def block(language, containing):
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return next(text for text in blocks if containing in text)


@pytest.mark.parametrize("driver_name", Registry.installed().names)
def test_every_driver_option_and_command_is_explained(driver_name):
    driver = Registry.installed().get(driver_name)
    sections = re.split(r"^## ", PAGE + BLE_PAGE, flags=re.MULTILINE)
    section = next(text for text in sections if text.startswith(f"`{driver_name}`"))
    if "option as above" in section:
        section += next(text for text in sections if text.startswith("`contec-cms50d-plus`"))
    if "common options" in section:
        section += next(text for text in sections if text.startswith("Common to all"))
    for option in msgspec.structs.fields(driver.options_type):
        name = option.encode_name
        assert f"`{name}`" in section or f"`{name}: " in section, name
    for command in driver.commands:
        assert f"`{command.name}`" in section


def test_every_key_of_a_field_and_every_reason_is_explained():
    for key in msgspec.structs.fields(LineField):
        assert f"`{key.name}`" in PAGE
    for reason in Reason:
        assert f"`{reason.value}`" in PAGE + (DOCS / "bluetooth.md").read_text("utf-8")


def test_the_example_of_lines_does_what_the_page_says():
    settings = yaml.safe_load(block("yaml", "probe-2"))["devices"]["probe-2"]
    kind = Registry.installed().get(settings["driver"])
    decoder = kind(msgspec.convert(settings["options"], kind.options_type)).decoder()
    (reading,) = decoder.feed(b'{"t": 235, "rh": 41}\n')
    assert reading.metric == "environment"
    assert reading.values == {"temperature": 23.5, "rh": 41}
    assert reading.units == {"temperature": "Cel"}


def test_the_example_of_a_curve_is_how_an_ad8232_is_read():
    settings = yaml.safe_load(block("yaml", "ecg-1"))["devices"]["ecg-1"]
    kind = Registry.installed().get(settings["driver"])
    options = msgspec.convert(settings["options"], kind.options_type)
    assert (options.pattern, options.fields) == (AD8232_PATTERN, AD8232_FIELDS)
    found = kind(options).decoder().feed(b"0\n" + b"512\n" * 500 + b"!\n")
    assert [len(reading.waveform.samples) for reading in found if reading.waveform] == [500]
    assert found[-1].flags == ("ecg:lead-off",)
