"""The shell functions behind the tools: what is missing is installed where that is allowed, else said exactly."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from gatepost.agent.cli.main import as_command
from gatepost.agent.cli.verbs.run import demo_verb
from tests.project.checkout import ROOT

# The policy that keeps services from being started is this machine's: it is not written.
ALLOWED = 'may_install() { true; }; as_root() { case $1 in tee) cat >/dev/null ;; chmod | rm) ;; *) "$@" ;; esac; }'


def shell(program: str, **env: str) -> subprocess.CompletedProcess[str]:
    script = f"set -eu; . '{ROOT}/tools/_env'; {program}"
    return subprocess.run(["bash", "-c", script], env=os.environ | env, capture_output=True, text=True, check=False)


def test_without_permission_it_says_what_to_type() -> None:
    run = shell("may_install() { false; }; need_programs bash=bash nowhere-1=first nowhere-2=second; echo went on")
    assert run.returncode == 1
    assert "sudo apt-get install --no-install-recommends first second" in run.stderr
    assert "went on" not in run.stdout


def test_what_is_there_is_not_installed() -> None:
    run = shell("install_packages() { echo installing; }; need_programs bash=bash; echo went on")
    assert (run.returncode, run.stdout) == (0, "went on\n")


def test_with_permission_it_installs_and_goes_on(tmp_path: Path) -> None:
    apt = tmp_path / "apt-get"
    apt.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    apt.chmod(0o755)
    run = shell(
        f"{ALLOWED}; need_programs nowhere=its-package; echo went on",
        PATH=f"{tmp_path}:{os.environ['PATH']}",
    )
    assert (run.returncode, run.stdout) == (0, "went on\n"), run.stderr
    update, install = (tmp_path / "asked").read_text().splitlines()
    assert update.endswith("update")
    assert install.endswith("install --no-install-recommends its-package")


def test_a_failing_apt_ends_the_tool_and_shows_why(tmp_path: Path) -> None:
    apt = tmp_path / "apt-get"
    apt.write_text("#!/bin/sh\necho no space left >&2; exit 100\n")
    apt.chmod(0o755)
    run = shell(
        f"{ALLOWED}; need_programs nowhere=its-package; echo went on",
        PATH=f"{tmp_path}:{os.environ['PATH']}",
    )
    assert run.returncode == 1
    assert "no space left" in run.stderr
    assert "went on" not in run.stdout


def without_venv(tmp_path: Path) -> Path:
    """Debian's python3 as long as python3-venv is not installed."""
    python = tmp_path / "python3"
    python.write_text(f'#!/bin/sh\ncase "$2" in *ensurepip*) exit 1 ;; esac\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return python


def test_a_python_without_venv_says_the_package(tmp_path: Path) -> None:
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    run = shell(f"may_install() {{ false; }}; make_venv {without_venv(tmp_path)} {tmp_path}/made; echo went on")
    assert run.returncode == 1
    assert f"apt-get install --no-install-recommends {package}\n" in run.stderr
    assert "went on" not in run.stdout
    assert not (tmp_path / "made").exists()


def test_a_venv_package_that_does_not_help_is_said(tmp_path: Path) -> None:
    run = shell(f"install_packages() {{ :; }}; make_venv {without_venv(tmp_path)} {tmp_path}/made; echo went on")
    assert run.returncode == 1
    assert "GATEPOST_PYTHON=" in run.stderr
    assert "went on" not in run.stdout


def test_help_does_not_build_anything(tmp_path: Path) -> None:
    """In a copy without an environment: the answer comes at once, and none is made."""
    shutil.copytree(ROOT / "tools", tmp_path / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    for tool, wanted in (("demo", "--seconds"), ("test", "GATEPOST_PYTHON"), ("install", "--wheelhouse")):
        before = ["--seconds", "5"] if tool == "demo" else []
        run = subprocess.run(
            [tmp_path / "tools" / tool, *before, "--help"], capture_output=True, text=True, check=False
        )
        assert (run.returncode, run.stderr) == (0, ""), tool
        assert wanted in run.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["tools"]


def test_the_help_of_the_demo_names_its_options() -> None:
    said = subprocess.run([ROOT / "tools" / "demo", "-h"], capture_output=True, text=True, check=True).stdout
    options = {option for parameter in as_command(demo_verb).params for option in parameter.opts if option != "--help"}
    assert set(re.findall(r"--[a-z]+", said)) == options


def test_the_chosen_python_is_taken_or_refused() -> None:
    assert shell('find_python; echo "$PYTHON"', GATEPOST_PYTHON=sys.executable).stdout.strip() == sys.executable
    refused = shell("find_python", GATEPOST_PYTHON="/bin/false")
    assert refused.returncode == 1
    assert "is no Python 3.11, 3.12 or 3.13" in refused.stderr


def test_the_chosen_python_is_no_setting_of_the_agent() -> None:
    """After `ensure_env` the variable is gone: the settings warn of names that they do not know."""
    ready = "env_is_current() { true; }; VENV=$(dirname $(dirname $GATEPOST_PYTHON)); ensure_env dev"
    run = shell(f'{ready}; echo "${{GATEPOST_PYTHON:-gone}}"', GATEPOST_PYTHON=sys.executable)
    assert (run.returncode, run.stdout) == (0, "gone\n"), run.stderr
