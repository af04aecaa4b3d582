"""docs/write-a-format.md: its files are an installed format whose test passes."""

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
