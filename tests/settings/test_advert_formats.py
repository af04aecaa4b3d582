"""The user's own formats of advertisements: read from conf.d/adverts, checked with file and line."""

from __future__ import annotations

import pytest

from gatepost.agent.settings import load
from gatepost.drivers.ble.adverts.formats import names
from gatepost.drivers.ble.adverts.table.catalogue import use_formats
from gatepost.drivers.driver import Registry

GOOD = """\
name: barn
title: Barn thermometer
match:
  carrier: manufacturer
  id: ["1234"]
  length: [4]
fields:
  - {name: temperature, at: 0, type: s16le, scale: "0.1"}
"""
MAIN = """\
devices:
  barn-1: {driver: ble-advertisement, address: "AA:BB:CC:DD:EE:FF", options: {format: barn}}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "conf.d" / "adverts").mkdir(parents=True)
    (tmp_path / "gatepost.yaml").write_text(MAIN)
    yield tmp_path
    use_formats(())


def told(folder):
    loaded = load(folder / "gatepost.yaml", {}, Registry.installed(), folder / "own")
    return loaded, [
        f"{str(one.file).removeprefix(f'{folder}/')}:{one.line}:{one.column}: {one.code} {one.message}"
        for one in loaded.problems
    ]


def test_a_format_of_the_user_may_be_chosen_until_its_file_is_gone(folder):
    path = folder / "conf.d" / "adverts" / "barn.yaml"
    path.write_text(GOOD)
    loaded, problems = told(folder)
    assert problems == []
    assert loaded.settings is not None
    assert path in loaded.files
    assert path.parent in loaded.watched
    assert "barn" in names()
    path.unlink()
    _, (problem,) = told(folder)
    assert "there is no format barn" in problem
    assert "barn" not in names()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("length: [4]", "lenght: [4]"), "conf.d/adverts/barn.yaml:6:3: unknown-key"),
        (("  length: [4]\n", ""), "conf.d/adverts/barn.yaml:3:1: too-few-match-keys"),
        (("s16le", "s17le"), "conf.d/adverts/barn.yaml:8:38:"),
        (("name: barn", "name: ruuvi"), "conf.d/adverts/barn.yaml:1:7: name-taken"),
        (("name: barn", "name: aranet4"), "conf.d/adverts/barn.yaml:1:7: name-taken"),
        (("fields:", "final: x\nfields:"), "conf.d/adverts/barn.yaml:7:8: unknown-field"),
        (("title: Barn thermometer", "title: [1"), "conf.d/adverts/barn.yaml:"),
    ],
)
def test_a_mistake_is_told_with_its_place(folder, change, expected):
    (folder / "conf.d" / "adverts" / "barn.yaml").write_text(GOOD.replace(*change))
    loaded, problems = told(folder)
    assert any(problem.startswith(expected) for problem in problems), problems
    assert loaded.settings is None
