"""The pages on formats: the files of docs/write-a-format.md are a format whose test passes, the settings of
docs/upstream.md are right."""

from __future__ import annotations

import re
import tomllib
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from gatepost.agent.settings import load as load_settings
from gatepost.agent.uplink.asyncapi import document
from gatepost.agent.uplink.formats import catalogue
from gatepost.agent.uplink.formats.interface import PayloadFormat
from gatepost.drivers.driver import Registry

PAGE = Path(__file__).parents[3] / "docs" / "write-a-format.md"
FILES = dict(re.findall(r"`([\w.]+\.(?:py|toml))`:\n\n```\w+\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL))


def test_the_page_makes_a_format_that_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    import_module("test_acme").test_acme()
    points = tomllib.loads(FILES["pyproject.toml"])["project"]["entry-points"][catalogue.GROUP]
    found = [EntryPoint(name, value, catalogue.GROUP) for name, value in points.items()]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: found)
    settings = tmp_path / "gatepost.yaml"
    settings.write_text("brokers: {a: {url: mqtt://x, format: acme, options: {site: north}}}\n", "utf-8")
    loaded = load_settings(settings, {}, Registry.installed())
    assert loaded.settings is not None
    assert ["acme carries no units" in str(problem) for problem in loaded.problems] == [True]
    assert "a_data" in document(loaded.settings, "1")["channels"]


def test_the_page_names_every_moment_of_a_format() -> None:
    moments = {name for name, what in vars(PayloadFormat).items() if callable(what) or isinstance(what, property)}
    helpers = {"__init__", "message", "gateway_status", "channels", "warnings", "reading", "options_type", "way"}
    missing = [name for name in moments - helpers if f"`{name}`" not in PAGE.read_text("utf-8")]
    assert missing == []


UPSTREAM = PAGE.with_name("upstream.md")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", UPSTREAM.read_text("utf-8"), re.DOTALL)
DEVICES = "devices: {oximeter-1: {driver: nonin, port: /dev/a}, ecg-1: {driver: openbci-cyton, port: /dev/b}}\n"


@pytest.mark.parametrize("example", EXAMPLES)
def test_settings_on_the_page_are_right(tmp_path: Path, example: str) -> None:
    settings = tmp_path / "gatepost.yaml"
    settings.write_text(example + DEVICES, "utf-8")
    loaded = load_settings(settings, {}, Registry.installed())
    assert [str(problem) for problem in loaded.problems if problem.severity == "error"] == []
    assert loaded.settings is not None


def test_every_format_and_option_stands_on_the_page() -> None:
    text = UPSTREAM.read_text("utf-8")
    for name in catalogue.BUILT_IN:
        assert f"format: {name}\n" in text
        for option in catalogue.load(name).options_type.__struct_fields__:
            assert f"{option}:" in text or f"`{option}`" in text, f"{name}: {option}"
