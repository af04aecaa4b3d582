"""tools/install, for real: into a directory, from the lock, twice, and away again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project.checkout import ROOT


def install(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "tools" / "install"), *arguments],
        env=os.environ | {"GATEPOST_PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def index(tmp_path: Path) -> None:
    """The package index answers; where it does not (a machine without network), there is nothing to install from."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--retries=0", "--timeout=15"]
    command += ["--require-hashes", "--dest", str(tmp_path / "probe"), "-r", str(ROOT / "tools/locks/build.txt")]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("the package index cannot be reached")


@pytest.mark.usefixtures("index")
def test_install_upgrade_uninstall(tmp_path: Path) -> None:
    root = tmp_path / "root"
    first = install("--root", str(root))
    assert first.returncode == 0, first.stderr
    opt, etc = root / "opt/gatepost", root / "etc/gatepost"
    version = opt / os.readlink(opt / "current")

    answer = subprocess.run([version / "bin/python", "-m", "agent.cli", "version"], capture_output=True, check=False)
    assert answer.returncode == 0
    installed = next(version.glob("lib/python3.*/site-packages"))
    for name in ("*.sql", "*.py", "py.typed"):
        for path in (each for package in ("agent", "drivers") for each in (ROOT / package).rglob(name)):
            assert (installed / path.relative_to(ROOT)).is_file(), path
    # Nothing of it leads back to the checkout or to the directory that it was made in.
    assert (version / "bin/gatepost").read_text().startswith(f"#!/opt/gatepost/{version.name}/bin/python")
    assert os.readlink(root / "usr/local/bin/gatepost") == "/opt/gatepost/current/bin/gatepost"
    assert not list(version.rglob("__editable__*"))
    unit = (root / "usr/local/lib/systemd/system/gatepost.service").read_text()
    assert "ExecStart=/opt/gatepost/current/bin/gatepost run" in unit
    for placed in ("usr/local/lib/sysusers.d/gatepost.conf", "usr/local/lib/tmpfiles.d/gatepost.conf"):
        assert (root / placed).is_file()
    assert (opt / "share/70-gatepost-serial.rules.example").is_file()
    check = subprocess.run(
        [version / "bin/python", "-m", "agent.cli", "check", etc / "gatepost.yaml"], capture_output=True, check=False
    )
    assert check.returncode == 0, check.stdout

    # What the user wrote stays, through an upgrade that fails and through removal.
    (etc / "gatepost.yaml").write_text("gateway: {id: mine}\n")
    (etc / "conf.d/10-mine.yaml").write_text("logging: {level: debug}\n")
    failed = install("--root", str(root), "--wheelhouse", str(tmp_path))
    assert failed.returncode == 1
    assert os.readlink(opt / "current") == version.name
    assert [each.name for each in opt.glob("*-*")] == [version.name]

    assert install("--root", str(root), "--uninstall").returncode == 0
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
