"""The checkout as a whole: what lies where, how large files are, and whether the documents tell the truth."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import tomllib
from pathlib import Path

import pytest

from gatepost.agent.cli.main import VERBS
from tests.project.checkout import ROOT, modules

FOLDERS = {"agent", "drivers", "config", "systemd", "tests", "tools", "docs", ".ci"}
TRACKED = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split("\0")
    if name and (ROOT / name).is_file()
]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
TOOLS = [path for path in (ROOT / "tools").iterdir() if path.is_file() and not path.suffix]


def test_no_folder_beyond_those_agreed() -> None:
    if not TRACKED:
        pytest.skip("no git checkout: a folder cannot be told from one that a build left")
    folders = {path.relative_to(ROOT).parts[0] for path in TRACKED if path.parent != ROOT}
    assert folders <= FOLDERS


def test_files_are_of_one_idea() -> None:
    sizes = [len(path.read_text().splitlines()) for _, path in modules()]
    assert statistics.median(lines for lines in sizes if lines) < 150


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_of_documents_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
        assert (path.parent / target).exists(), f"{path.name} links to {target}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_verbs_in_documents_exist(path: Path) -> None:
    """Every `gatepost verb` in code, inline or in a block."""
    code = "\n".join(re.findall(r"`{1,3}[^`]+`{1,3}|^ {4}.+$", path.read_text(), re.MULTILINE))
    for verb in re.findall(r"(?:^|[`\s])gatepost ([a-z]+)", code):
        assert verb in VERBS, f"{path.name}: gatepost {verb}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_tools_in_documents_exist(path: Path) -> None:
    for name in re.findall(r"\btools/([a-z]+(?:-[a-z]+)*)\b", path.read_text()):
        assert (ROOT / "tools" / name).exists(), f"{path.name}: tools/{name}"


@pytest.mark.parametrize("path", [*TOOLS, ROOT / ".ci" / "run"], ids=lambda path: path.name)
def test_tools_start(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    if not path.name.startswith("_"):
        assert os.access(path, os.X_OK), f"{path.name} is not executable"
        assert first.startswith("#!/usr/bin/env ")
    if "python" in first:
        compile(path.read_text(), path.name, "exec")
    else:
        subprocess.run(["bash", "-n", str(path)], check=True)


def test_the_version_is_said_once_in_the_change_log() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_reader_is_told_what_it_is_not() -> None:
    beginning = (ROOT / "README.md").read_text()[:1500]
    assert "no medical device" in beginning
    assert "no alarm path" in beginning
