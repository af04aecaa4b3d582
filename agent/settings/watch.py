"""Watcher of files and directories: looks every two seconds, so that editors, mounts and links all count."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from gatepost.drivers.serial.port.blocking_call import in_thread

INTERVAL = 2.0  # seconds between looks: half a wake-up a second
SETTLE = 0.3  # between looks while something is changing

Signature = dict[str, Any]


def signature(paths: Iterable[Path]) -> Signature:
    """How the files look now, and those in the directories: enough to see any change, cheap enough to repeat."""
    return {str(path): _look(path) for path in paths}


def _look(path: Path) -> Any:
    try:
        with os.scandir(path) as entries:
            return sorted((entry.name, _stat(entry.path)) for entry in entries if not entry.name.startswith("."))
    except OSError:
        return _stat(path)


def _stat(path: Path | str) -> tuple[int, ...]:
    try:
        found = os.stat(path)
    except OSError as error:
        return (error.errno or 0,)
    return (found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode)


class SettingsWatcher:
    """`async for _ in SettingsWatcher(paths)` gives one turn for each change, when it has come to rest.

    `since` is how the paths looked when they were read, so that nothing in between is missed; `paths` may be replaced
    while it runs. It looks in a thread of its own: a share that hangs stops that alone, and the loop is woken by
    changes only. `sleep` is that thread's; True ends it.
    """

    def __init__(
        self, paths: Iterable[Path], since: Signature | None = None, *, sleep: Callable[[float], bool] | None = None
    ) -> None:
        self._sleep = sleep
        self._changing = threading.Lock()
        self.watch(paths, since)

    def watch(self, paths: Iterable[Path], since: Signature | None = None) -> None:
        """From now on these, as they looked when they were read."""
        watched = list(paths)
        with self._changing:
            self._watched = (watched, signature(watched) if since is None else dict(since))

    async def __aiter__(self) -> AsyncIterator[None]:
        stop = threading.Event()
        try:
            while await in_thread(asyncio.get_running_loop(), partial(self._has_changed, self._sleep or stop.wait)):
                yield
        finally:
            stop.set()

    def _has_changed(self, sleep: Callable[[float], bool]) -> bool:
        """In the thread: True once something has; False when it is to end."""
        while not sleep(INTERVAL):
            watched = self._watched
            paths, known = watched
            seen = signature(paths)
            while seen != known:  # until two looks agree: an editor or a copy may still be writing
                if sleep(SETTLE):
                    return False
                again = signature(paths)
                if again == seen:
                    break
                seen = again
            with self._changing:
                if watched is self._watched and seen != known:
                    self._watched = (paths, seen)
                    return True
        return False
