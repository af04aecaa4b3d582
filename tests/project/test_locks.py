"""The locks hold what pyproject.toml asks for, by version and by hash, and name no place to fetch it from."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.project.checkout import ROOT

LOCKS = {path.stem: path.read_text() for path in (ROOT / "tools" / "locks").glob("*.txt")}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
PACKAGED = ("modbus", "encrypted", "jwt", "discovery", "zstd", "signing", "fleet")
WANTED = {
    "build": PROJECT["build-system"]["requires"],
    "run": PROJECT["project"]["dependencies"] + EXTRAS["ws"],
    "package": sum((EXTRAS[name] for name in PACKAGED), PROJECT["project"]["dependencies"]),
    "demo": PROJECT["project"]["dependencies"] + EXTRAS["ws"] + EXTRAS["demo"],
    "dev": PROJECT["project"]["dependencies"] + EXTRAS["ws"] + EXTRAS["demo"] + EXTRAS["dev"],
}


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ]+)", LOCKS[lock], re.MULTILINE))


@pytest.mark.parametrize("lock", WANTED)
def test_every_requirement_is_locked_within_its_range(lock: str) -> None:
    locked = pins(lock)
    for requirement in map(Requirement, WANTED[lock]):
        version = locked.get(canonicalize_name(requirement.name))
        assert version, f"{requirement.name} is not in tools/locks/{lock}.txt: run tools/lock"
        assert requirement.specifier.contains(version), f"{requirement} is locked at {version}: run tools/lock"


def test_the_locks_are_of_one_resolution() -> None:
    assert pins("run").items() <= pins("package").items()
    assert pins("run").items() <= pins("demo").items() <= pins("dev").items()


@pytest.mark.parametrize("lock", WANTED)
def test_every_file_is_hashed_and_no_index_is_named(lock: str) -> None:
    for entry in re.split(r"\n(?=[a-z])", LOCKS[lock])[1:]:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry.splitlines()[0]
    assert "://" not in LOCKS[lock]
    assert "-index" not in LOCKS[lock]
