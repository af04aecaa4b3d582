"""tools/deb and what it puts into a package; the package itself is built and installed by whoever releases it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gatepost.agent.cli.main import VERBS
from tests.project.checkout import ROOT

DEBIAN = ROOT / "tools" / "debian"


def tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(ROOT / "tools" / name), *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm"])
def test_scripts_of_the_package_are_plain_shell(script: str) -> None:
    text = (DEBIAN / script).read_text()
    assert text.startswith("#!/bin/sh\nset -e\n")
    subprocess.run(["sh", "-n", str(DEBIAN / script)], check=True)


def test_only_purge_deletes_what_is_the_user_s() -> None:
    assert "rm " not in (DEBIAN / "prerm").read_text() + (DEBIAN / "postinst").read_text()
    before, _, purge = (DEBIAN / "postrm").read_text().partition('[ "$1" = purge ]')
    assert "rm " not in before
    assert "/var/lib/gatepost" in purge


def test_a_32_bit_system_is_told_why_not() -> None:
    for name in ("armhf", "i386"):
        refused = tool("deb", name)
        assert refused.returncode == 1
        assert "not supported: several of the libraries are not made for 32-bit systems" in refused.stderr


def test_arguments() -> None:
    assert tool("deb", "--frobnicate").returncode == 2
    assert "SOURCE_DATE_EPOCH" in tool("deb", "--help").stdout
    assert tool("apt-repository").returncode == 2
    assert "signed-by" in tool("apt-repository", "--help").stdout


def test_the_manual_page_holds_every_verb() -> None:
    command = str(Path(sys.executable).with_name("gatepost"))
    shown = subprocess.run([str(ROOT / "tools/_manpage"), command], capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^\.SS gatepost (\w+)$", shown, re.MULTILINE) == list(VERBS)


def test_the_settings_of_the_package_hold() -> None:
    command = str(Path(sys.executable).with_name("gatepost"))
    done = subprocess.run(
        [command, "check", str(DEBIAN / "gatepost.yaml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_paths_of_the_unit_are_those_of_the_package() -> None:
    unit = (ROOT / "systemd" / "gatepost.service").read_text()
    changed = unit.replace("/opt/gatepost/current/bin/gatepost", "").replace("/opt/gatepost/share", "")
    assert "/opt" not in changed, "tools/deb does not know this path"
