"""Entry points and versions as importlib.metadata tells them."""

from __future__ import annotations

import importlib.metadata
import json
import zipfile

import pytest

from gatepost.drivers.installed import entry_points, version


@pytest.mark.parametrize("group", ["gatepost.drivers", "console_scripts", "pytest11", "none.such"])
def test_as_the_standard_library_has_it(group):
    found = entry_points(group)
    known = {point.name: point for point in importlib.metadata.entry_points(group=group)}
    assert found.keys() == known.keys()
    if group == "gatepost.drivers":
        assert all(found[name]() is known[name].load() for name in known)


@pytest.mark.parametrize("name", ["gatepost", "dbus-fast", "dbus_fast", "Hypothesis", "pytest-asyncio"])
def test_versions(name):
    assert version(name) == importlib.metadata.version(name)


def test_what_is_not_installed_has_no_version():
    assert version("no-such-thing") == ""


def distribution(place, folder, text):
    (place / folder).mkdir(parents=True)
    (place / folder / "entry_points.txt").write_text(text)


def test_the_first_of_a_name_on_the_path_counts(tmp_path):
    distribution(tmp_path / "a", "My_Pack-1.0.dist-info", "[g]\nOne = json:loads [extra]\n[other]\nx = y\n")
    distribution(tmp_path / "b", "my.pack-2.0.dist-info", "[g]\ntwo = json:dumps\n")
    distribution(tmp_path / "b", "else.egg-info", "[g]\nthree = json:decoder.JSONDecoder\n")
    (tmp_path / "b" / "else.egg-info" / "PKG-INFO").write_text("Name: else\nVersion: 3.1\n")
    path = [str(tmp_path / "a"), str(tmp_path / "none"), str(tmp_path / "b")]
    found = entry_points("g", path)
    assert {name: load() for name, load in found.items()} == {"One": json.loads, "three": json.decoder.JSONDecoder}
    assert (version("my-pack", path), version("else", path)) == ("1.0", "3.1")


@pytest.mark.parametrize("text", ["no section", "[g]\nnothing\n", "[g\n", "[g]\na=b\na=c\n", "\xff"])
def test_a_broken_file_declares_nothing_and_harms_nobody(tmp_path, text):
    distribution(tmp_path, "bad-1.dist-info", text)
    distribution(tmp_path, "good-1.dist-info", "[g]\none = json:loads\n")
    assert set(entry_points("g", [str(tmp_path)])) <= {"one", "a"}
    assert "one" in entry_points("g", [str(tmp_path)])


def test_a_driver_that_is_gone_fails_when_it_is_asked_for(tmp_path):
    distribution(tmp_path, "bad-1.dist-info", "[g]\none = no_such_module:Thing\n")
    load = entry_points("g", [str(tmp_path)])["one"]
    with pytest.raises(ImportError):
        load()


def test_a_zip_on_the_path_is_left_to_the_standard_library(tmp_path):
    zipfile.ZipFile(tmp_path / "z.zip", "w").close()
    assert entry_points("gatepost.drivers", [str(tmp_path / "z.zip")]).keys() >= {"lines"}
