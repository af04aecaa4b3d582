"""Words of the page for what the gateway says in English: nearly every sentence that a form or the settings show; a new
one is shown in English until it is translated."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from gatepost.agent.api.handlers.devices import described
from gatepost.agent.api.handlers.web_page import WEB
from gatepost.agent.devices.builtin_commands import GENERIC
from gatepost.agent.settings.schema import schema
from gatepost.agent.uplink.formats import catalogue
from gatepost.drivers.driver import Registry

LANGUAGES = sorted(file.stem for file in (WEB / "help").glob("*.js"))
ENTRY = re.compile(r'^  ("(?:[^"\\]|\\.)*"): ("(?:[^"\\]|\\.)*"),$', re.MULTILINE)


def words_of(language: str) -> tuple[dict[str, str], dict[str, str]]:
    """Names of options, and sentences."""
    names, _, sentences = (WEB / "help" / f"{language}.js").read_text("utf-8").partition("export const sentences")
    pairs = re.findall(r'\b([a-z_]+): ("(?:[^"\\]|\\.)*"),', names)
    return dict(pairs), {json.loads(english): json.loads(own) for english, own in ENTRY.findall(sentences)}


def of_keys(said: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and descriptions of the members of an object."""
    top = said["$defs"][said["$ref"].rpartition("/")[2]] if "$ref" in said else said
    for name, member in top.get("properties", {}).items():
        yield name, member.get("description", "")


def shown() -> tuple[set[str], set[str]]:
    """Names of options and sentences, in English."""
    options: list[tuple[str, str]] = []
    sentences = {catalogue.DEVICES_SUMMARY}
    registry = Registry.installed()
    for driver in map(registry.get, registry.names):
        sentences.add(driver.title)
        options += of_keys(msgspec.json.schema(driver.options_type))
        commands = [described(command) for command in driver.commands]
        sentences |= {command["title"] for command in commands}
        options += [pair for command in commands for pair in of_keys(command["parameters"])]
    sentences |= {command.title for command in GENERIC}
    for kind in (catalogue.load(name) for name in catalogue.names() if name != catalogue.DEVICES):
        sentences.add(kind.summary)
        options += of_keys(msgspec.json.schema(kind.options_type))
    whole = schema(Registry({}))
    for part in (whole, *whole["$defs"].values()):
        members = (member for member in part.get("properties", {}).values() if isinstance(member, dict))
        sentences |= {member.get("description", "") for member in members}
    return {name for name, _ in options}, {*sentences, *(sentence for _, sentence in options)} - {""}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_has_words_for_what_is_shown_and_for_little_else(language):
    names, sentences = words_of(language)
    options, english = shown()
    assert len(english - set(sentences)) < len(english) / 20, english - set(sentences)
    assert len(set(sentences) - english) < len(english) / 20, set(sentences) - english
    assert len(options - set(names)) < len(options) / 20, options - set(names)
    for sentence, own in sentences.items():  # what stands for something stays: {device}, <prefix>
        assert sorted(re.findall(r"\{[a-z]+\}", sentence)) == sorted(re.findall(r"\{[a-z]+\}", own)), sentence
