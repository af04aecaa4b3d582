"""Checks that need no running agent: settings, ports, disk, clock, database file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from gatepost.agent.core.clock import SystemClock
from gatepost.agent.core.errors import StoreError
from gatepost.agent.core.named_files import read_regular
from gatepost.agent.diagnostics.catalogue import finding_of
from gatepost.agent.diagnostics.finding import Finding, space
from gatepost.agent.settings import LoadedSettings
from gatepost.agent.settings.model import Settings
from gatepost.agent.store.exclusive_access import exclusive_access

USER_VERSION = slice(60, 64)  # of the header of an SQLite database


def of_settings(loaded: LoadedSettings) -> Iterator[Finding]:
    """Each problem of the settings."""
    for problem in loaded.problems:
        check = "settings-error" if problem.severity == "error" else "settings-warning"
        what = f"{problem.origin}: {problem.key + ': ' if problem.key else ''}{problem.message}"
        yield finding_of(check, "settings", what, "", problem.hint)


def of_box(loaded: LoadedSettings, running: bool) -> Iterator[Finding]:
    """What the box itself says; a running agent knows its devices, disk and clock better."""
    state_dir = Path(loaded.state_dir)
    if not running:
        if loaded.settings is not None:
            yield from _ports(loaded.settings)
            yield from _disk(state_dir, loaded.settings.store.reserve)
        yield from _clock()
        if not loaded.unreadable:  # else it is not known where it lies
            yield from _database(state_dir)


def _ports(settings: Settings) -> Iterator[Finding]:
    for name, device in settings.devices.items():
        if device.port is None or "://" in device.port:
            continue
        about = f"device {name}"
        try:
            mode = os.stat(device.port).st_mode
        except FileNotFoundError:
            hint = "is it plugged in? `ls -l /dev/serial/by-id` shows what is"
            yield finding_of(
                "port-missing", about, f"{device.port} is not there", "the device is unplugged or off", hint
            )
            continue
        except OSError as error:
            yield finding_of("port-unreadable", about, f"{device.port} cannot be examined", str(error.strerror))
            continue
        if not stat.S_ISCHR(mode):
            yield finding_of("port-wrong", about, f"{device.port} is not a serial port", "", "see its `port`")
        elif not os.access(device.port, os.R_OK | os.W_OK):
            hint = "the agent's user must be in the group of the port, usually dialout (the service is)"
            yield finding_of(
                "port-forbidden", about, f"{device.port} may not be opened by this user", "permission", hint
            )


def _disk(state_dir: Path, reserve: int) -> Iterator[Finding]:
    place = next((path for path in (state_dir, *state_dir.parents) if os.path.exists(path)), Path("/"))
    try:
        seen = os.statvfs(place)
    except OSError as error:
        why = f"{place}: {error.strerror or error}"
        yield finding_of("disk-unreadable", "disk", f"{state_dir} cannot be examined", why, "see gateway.state_dir")
        return
    if not place.is_dir() or not seen.f_blocks:  # /proc and its like have none
        what = f"{state_dir} cannot hold the data"
        why = f"{place} is {'on no disk' if place.is_dir() else 'no directory'}"
        yield finding_of("disk-unreadable", "disk", what, why, "choose another gateway.state_dir")
        return
    free = seen.f_bavail * seen.f_frsize
    if free < reserve:
        why = f"store.reserve keeps {space(reserve)} free"
        yield finding_of("disk-full", "disk", f"{space(free)} are free at {place}", why, "free some space")


def _clock() -> Iterator[Finding]:
    if not SystemClock().synchronised:
        why = "no time source has answered since this box started"
        yield finding_of("clock-unsynchronised", "clock", "the clock is not synchronised", why, "see `timedatectl`")


def _database(state_dir: Path) -> Iterator[Finding]:
    from gatepost.agent.store.schema import DATABASE, MAGIC, VERSION, too_new

    path = state_dir / DATABASE
    try:
        head = read_regular(path, USER_VERSION.stop)
    except FileNotFoundError:
        yield finding_of("database-missing", "store", f"there is no database at {path} yet", "the first start makes it")
        return
    except OSError as error:
        yield finding_of(
            "database-unreadable", "store", f"{path} cannot be read by this user", str(error.strerror), "use sudo"
        )
        return
    if head and not head.startswith(MAGIC):
        hint = "`gatepost store repair`, or just start: the agent sets a damaged file aside"
        what = f"{path} is not a database"
        yield finding_of("database-damaged", "store", what, "its beginning was overwritten", hint)
        return
    if (version := int.from_bytes(head[USER_VERSION])) > VERSION:
        newer = too_new(version)
        yield finding_of("database-newer", "store", "the agent does not start", newer.message, newer.hint)
        return
    try:
        with exclusive_access(path):
            pass
    except StoreError as error:
        yield finding_of("database-in-use", "store", error.message)
