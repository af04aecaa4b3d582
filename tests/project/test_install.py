"""tools/install, for real: into a directory, from the lock, twice, and away again."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project.checkout import ROOT

SYSTEM = Path("/usr/bin/python3")


def install(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if name != "GATEPOST_PYTHON"}
    return subprocess.run(
        [str(ROOT / "tools" / "install"), *arguments], env=plain | env, capture_output=True, text=True, check=False
    )


def system_python_serves() -> bool:
    """Whether the system's Python is of a version that is served, and can make environments."""
    program = "import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))"
    return SYSTEM.exists() and subprocess.run([SYSTEM, "-c", program], capture_output=True, check=False).returncode == 0


@pytest.fixture
def index(tmp_path: Path) -> None:
    """The package index answers; where it does not (a machine without network), there is nothing to install from."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--retries=0", "--timeout=15"]
    command += ["--require-hashes", "--dest", str(tmp_path / "probe"), "-r", str(ROOT / "tools/locks/build.txt")]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("the package index cannot be reached")


@pytest.mark.usefixtures("index")
@pytest.mark.skipif(not system_python_serves(), reason="the system's own Python cannot be used")
def test_install_upgrade_uninstall(tmp_path: Path) -> None:
    root = tmp_path / "root"
    first = install("--root", str(root))
    assert first.returncode == 0, first.stderr
    opt, etc = root / "opt/gatepost", root / "etc/gatepost"
    version = opt / os.readlink(opt / "current")

    answer = subprocess.run(
        [version / "bin/python", "-m", "gatepost.agent.cli", "version"], capture_output=True, check=False
    )
    assert answer.returncode == 0
    installed = next(version.glob("lib/python3.*/site-packages"))
    for name in ("*.sql", "*.py", "py.typed"):
        for path in (each for package in ("agent", "drivers") for each in (ROOT / package).rglob(name)):
            inside = path.relative_to(ROOT / "agent" if path.is_relative_to(ROOT / "agent/client") else ROOT)
            assert (installed / "gatepost" / inside).is_file(), path
    # Nothing of it leads back to the checkout or to the directory that it was made in.
    assert (version / "bin/gatepost").read_text().startswith(f"#!/opt/gatepost/{version.name}/bin/python")
    assert os.readlink(root / "usr/local/bin/gatepost") == "/opt/gatepost/current/bin/gatepost"
    assert os.path.realpath(version / "bin/python").startswith("/usr/bin/python3")
    assert not list(version.rglob("__editable__*"))
    unit = (root / "usr/local/lib/systemd/system/gatepost.service").read_text()
    assert "ExecStart=/opt/gatepost/current/bin/gatepost run" in unit
    for page in re.findall(r"file:(\S+)", unit):
        assert root.joinpath(page.lstrip("/")).is_file(), page
    for placed in ("usr/local/lib/sysusers.d/gatepost.conf", "usr/local/lib/tmpfiles.d/gatepost.conf"):
        assert (root / placed).is_file()
    assert (opt / "share/70-gatepost-serial.rules.example").is_file()
    check = subprocess.run(
        [version / "bin/python", "-m", "gatepost.agent.cli", "check", etc / "gatepost.yaml"],
        capture_output=True,
        check=False,
    )
    assert check.returncode == 0, check.stdout

    # What the user wrote stays, through an upgrade that fails and through removal.
    (etc / "gatepost.yaml").write_text("gateway: {id: mine}\n")
    (etc / "conf.d/10-mine.yaml").write_text("logging: {level: debug}\n")
    failed = install("--root", str(root), "--wheelhouse", str(tmp_path / "probe"))
    assert failed.returncode == 1
    assert "pip could not install" in failed.stderr
    assert os.readlink(opt / "current") == version.name
    assert [each.name for each in opt.glob("*-*")] == [version.name]

    removed = install("--root", str(root), "--uninstall")
    assert removed.returncode == 0
    assert str(etc) in removed.stderr
    assert "user" not in removed.stderr  # none was made
    assert not opt.exists()
    assert not (root / "usr/local/lib/systemd/system/gatepost.service").exists()
    assert (etc / "gatepost.yaml").read_text() == "gateway: {id: mine}\n"
    assert (etc / "conf.d/10-mine.yaml").exists()


def test_without_root_it_says_what_to_type() -> None:
    if os.geteuid() == 0:
        pytest.skip("this is root")
    refused = install()
    assert refused.returncode == 1
    assert "sudo tools/install" in refused.stderr


def test_unknown_arguments_show_the_usage() -> None:
    refused = install("--frobnicate")
    assert refused.returncode == 2
    assert "--uninstall" in refused.stderr


def test_help_is_an_answer_and_no_error() -> None:
    for asked in ("--help", "-h"):
        helped = install(asked)
        assert (helped.returncode, helped.stderr) == (0, "")
        for option in ("--root DIR", "--wheelhouse DIR", "--no-start", "--uninstall", "GATEPOST_PYTHON"):
            assert option in helped.stdout
        assert "set -eu" not in helped.stdout


def test_a_wheelhouse_that_is_none_is_said_before_anything_is_done(tmp_path: Path) -> None:
    for folder, why in ((tmp_path / "nope", "is no directory"), (tmp_path, "no wheels in")):
        refused = install("--root", str(tmp_path / "root"), "--wheelhouse", str(folder))
        assert refused.returncode == 1
        assert why in refused.stderr
        assert "line " not in refused.stderr
    assert not (tmp_path / "root").exists()


def test_nothing_to_uninstall_makes_nothing(tmp_path: Path) -> None:
    refused = install("--root", str(tmp_path / "nope"), "--uninstall")
    assert refused.returncode == 1
    assert not (tmp_path / "nope").exists()


def test_a_python_in_a_home_is_refused_also_for_an_image(tmp_path: Path) -> None:
    home = Path(os.path.realpath(sys._base_executable)).parent.parent  # type: ignore[attr-defined]
    if home == Path("/usr"):
        pytest.skip("the tests run with the system's Python")
    refused = install("--root", str(tmp_path / "root"), GATEPOST_PYTHON=sys.executable, HOME=str(home))
    assert refused.returncode == 1
    assert "is in a home directory" in refused.stderr
    assert "GATEPOST_PYTHON=/usr/bin/python3" in refused.stderr
    assert not list((tmp_path / "root").rglob("bin"))
