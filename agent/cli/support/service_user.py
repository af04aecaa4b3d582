"""The service's user on this box: files of the settings that it may not read, though root may."""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from gatepost.agent.cli import DEFAULT_CONFIG
from gatepost.agent.settings import LoadedSettings
from gatepost.agent.settings.problem import Origin, Problem, ProblemReport

USER = "gatepost"
GROUPS = ("systemctl", "show", "gatepost.service", "--property=SupplementaryGroups", "--value")


def closed_to_the_service(main: Path, loaded: LoadedSettings, secrets: bool = False) -> list[Problem]:
    """Asked by root of the installed settings; none otherwise. With `secrets` also files of secrets, certificates."""
    report = ProblemReport()
    if main != DEFAULT_CONFIG or os.geteuid() != 0:
        return []
    files = list(loaded.files)
    if secrets and loaded.settings is not None:
        from gatepost.agent.settings.secret import files_named

        files += files_named(loaded.settings)
    for file in _unreadable(files):
        hint = f"chgrp {USER} {file}; chmod g+r {file}; and the folders above it must let that user in"
        report.error(Origin(str(file)), (), "service-cannot-read", f"the service's user {USER} may not read it", hint)
    return report.problems


def _unreadable(files: Iterable[Path]) -> list[Path]:
    try:
        user = pwd.getpwnam(USER)
    except KeyError:
        return []
    there, groups, group = [file for file in files if file.exists()], os.getgroups(), os.getegid()
    with suppress(OSError):  # a root that may not become another user, as in a container without capabilities
        os.setgroups([*os.getgrouplist(user.pw_name, user.pw_gid), *_groups_of_the_unit()])
        try:
            os.setegid(user.pw_gid)
            os.seteuid(user.pw_uid)
            return [file for file in there if not os.access(file, os.R_OK, effective_ids=True)]
        finally:
            os.seteuid(0)
            os.setegid(group)
            os.setgroups(groups)
    return []


def _groups_of_the_unit() -> list[int]:
    """That a drop-in of systemd gives the service beyond the user's own; none without systemd."""
    try:
        shown = subprocess.run(GROUPS, capture_output=True, text=True, timeout=5, check=False)  # noqa: S603
    except (OSError, ValueError, subprocess.SubprocessError):
        return []
    found = []
    for name in shown.stdout.split():
        with suppress(KeyError):
            found.append(int(name) if name.isdecimal() else grp.getgrnam(name).gr_gid)
    return found
