"""The systemd unit: what it promises, that systemd understands it, and how exposed the service is."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.project.checkout import ROOT

UNIT = ROOT / "systemd" / "gatepost.service"
HIGHEST_EXPOSURE = 2.0
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def settings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^([A-Za-z]+)=(.*)$", UNIT.read_text(), re.MULTILINE):
        found.setdefault(key, []).append(value)
    return found


@needs_systemd
def test_exposure() -> None:
    run = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNIT)],
        capture_output=True,
        text=True,
        check=False,
    )
    level = re.search(r"Overall exposure level for gatepost\.service: ([0-9.]+)", run.stdout)
    assert level, run.stdout + run.stderr
    assert float(level[1]) <= HIGHEST_EXPOSURE


@needs_systemd
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    copy = tmp_path / "gatepost.service"
    text = UNIT.read_text().replace("/opt/gatepost/current/bin/gatepost", "/bin/true")
    copy.write_text(re.sub(r"^Documentation=.*\n", "", text, flags=re.MULTILINE))
    run = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
    assert (run.returncode, [line for line in run.stderr.splitlines() if "gatepost" in line]) == (0, [])


def test_it_is_watched_and_comes_back() -> None:
    unit = settings()
    assert unit["Type"] == ["notify"]
    assert unit["WatchdogSec"] == ["30"]
    assert unit["Restart"] == ["always"]
    assert unit["StartLimitIntervalSec"] == ["0"]
    assert unit["RestartPreventExitStatus"] == ["78"]
    assert unit["ExecReload"] == ["/opt/gatepost/current/bin/gatepost reload --config /etc/gatepost/gatepost.yaml"]


def test_serial_ports_are_allowed_by_number() -> None:
    """A class name is resolved when the unit starts, and skipped while its module is not loaded yet."""
    unit = settings()
    assert unit["DevicePolicy"] == ["closed"]
    assert all(re.fullmatch(r"char-\d+ rw", device) for device in unit["DeviceAllow"])
    assert {"char-188 rw", "char-166 rw", "char-204 rw"} <= set(unit["DeviceAllow"])


def test_what_the_agent_must_see_is_not_hidden() -> None:
    unit = settings()
    assert "ProcSubset" not in unit  # the boot id
    assert "ProtectClock" not in unit  # asking whether the clock is in step
    assert "adjtimex clock_adjtime" in unit["SystemCallFilter"]
    assert {"AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"} == set(unit["RestrictAddressFamilies"][0].split())
    assert unit["RuntimeDirectoryMode"] == ["0750"]


def test_bluetooth_goes_first_and_is_not_needed() -> None:
    unit = settings()
    assert "bluetooth.service" in unit["After"][0].split()
    for needs in ("Requires", "Wants", "BindsTo", "Requisite", "PartOf"):
        assert not any("bluetooth" in value for value in unit.get(needs, []))
    users = (ROOT / "systemd" / "gatepost.sysusers").read_text().splitlines()
    assert "m gatepost bluetooth" in users  # not in the unit: a group that is missing would keep it from starting
    assert not any("bluetooth" in value for value in unit["SupplementaryGroups"])


def test_nothing_that_the_oldest_systemd_does_not_know() -> None:
    """Debian 12 has systemd 252; these came with 253 and 254."""
    unit = settings()
    assert not {"RestartSteps", "RestartMaxDelaySec"} & set(unit)
    assert unit["Type"] != ["notify-reload"]


def test_its_documentation_is_what_is_installed() -> None:
    """tools/install puts the README and the folder docs of the checkout into the share folder."""
    share = "file:/opt/gatepost/share/"
    pages = settings()["Documentation"][0].split()
    assert pages
    assert all(page.startswith(share) and (ROOT / page.removeprefix(share)).is_file() for page in pages)


def test_bounds_and_secrets_are_shown_and_no_missing_secret_keeps_the_service_from_starting() -> None:
    shown = re.findall(r"^#?([A-Za-z]+)=(.*)$", UNIT.read_text(), re.MULTILINE)
    keys = {key for key, _ in shown}
    assert {"MemoryMax", "IPAddressDeny", "LoadCredential"} <= keys
    for key, value in shown:
        assert not key.startswith("LoadCredential") or ":" not in value, "by a path it must be there"
