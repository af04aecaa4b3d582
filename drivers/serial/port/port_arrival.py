"""Arrival of a port: tells when its path may be opened again, by inotify(7) on the directories that lead to it.

Through ctypes, which the agent has loaded for the clock: the libraries for inotify do the same, and a netlink socket
for udev's events would have to be allowed in the unit.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

IN_ATTRIB, IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE = 0x004, 0x040, 0x080, 0x100
IN_DELETE, IN_DELETE_SELF, IN_MOVE_SELF, IN_ONLYDIR = 0x200, 0x400, 0x800, 0x1000000
# ATTRIB: a new node belongs to root until udev has given it to its group.
CHANGES = IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF
EVENTS = 65_536  # octets read at once

PortState = tuple[int, ...]


async def port_arrival(port: str) -> None:
    """Returns once the port may be opened and could not before, or is another one than at the call. It never returns
    where the system does not tell."""
    before = port_state(port)
    try:
        watch = DirectoryWatch()
    except OSError:  # no inotify here, or too many watches: the backoff goes on by time
        await asyncio.Event().wait()
        raise AssertionError from None
    try:
        while True:
            watch.add(*directories(port))
            now = port_state(port)
            if now is not None and now != before:
                return
            if now is None:
                before = None
            await watch.changed()
    finally:
        watch.close()


def port_state(port: str) -> PortState | None:
    """Which node the path leads to; None = none that may be opened."""
    try:
        node, link = os.stat(port), os.lstat(port)
    except OSError:
        return None
    if not os.access(port, os.R_OK | os.W_OK):
        return None
    return node.st_rdev, node.st_ino, node.st_ctime_ns, link.st_ino, link.st_ctime_ns


def directories(port: str) -> list[Path]:
    """Where a change is seen that makes the path usable: the nearest directory of it that is there, and that of the
    node which a link leads to."""
    path = Path(os.path.abspath(port))
    found = [next(parent for parent in path.parents if parent.is_dir())]
    if path.is_symlink():
        node = Path(os.path.realpath(path))
        found += [parent for parent in node.parents if parent.is_dir()][:1]
    return found


class DirectoryWatch:
    """Watch of some directories. Raises OSError where there is no inotify, or no more of it."""

    def __init__(self) -> None:
        if sys.platform != "linux":
            raise OSError("inotify is Linux's")
        import ctypes

        self._library: Any = ctypes.CDLL(None, use_errno=True)
        self._handle = int(self._library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        if self._handle < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._handle, self._read)

    def add(self, *folders: Path) -> None:
        """One that is gone meanwhile is left out: the one above it has changed then."""
        for folder in folders:
            self._library.inotify_add_watch(self._handle, os.fsencode(folder), CHANGES | IN_ONLYDIR)

    async def changed(self) -> None:
        """Returns after a change since the last call."""
        await self._changed.wait()
        self._changed.clear()

    def close(self) -> None:
        self._loop.remove_reader(self._handle)
        os.close(self._handle)

    def _read(self) -> None:
        os.read(self._handle, EVENTS)  # which one it was does not matter: the path is looked at again
        self._changed.set()
