"""Tells when files or directories changed: a look every two seconds, so that editors, mounts and links all count."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from gatepost.agent.core.named_files import off_loop

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
    while it runs.
    """

    def __init__(
        self,
        paths: Iterable[Path],
        since: Signature | None = None,
        *,
        interval: float = INTERVAL,
        settle: float = SETTLE,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._paths = list(paths)
        self._known = signature(self._paths) if since is None else dict(since)
        self._interval = interval
        self._settle = settle
        self._sleep = sleep

    def watch(self, paths: Iterable[Path], since: Signature | None = None) -> None:
        """From now on these, as they looked when they were read."""
        self._paths = list(paths)
        self._known = signature(self._paths) if since is None else dict(since)

    async def __aiter__(self) -> AsyncIterator[None]:
        while True:
            await self._sleep(self._interval)
            seen = await self._look()
            if seen is None or seen == self._known:
                continue
            while True:  # until two looks agree: an editor or a copy may still be writing
                await self._sleep(self._settle)
                again = await self._look()
                if again is None:
                    seen = self._known
                if again is None or again == seen:
                    break
                seen = again
            if seen != self._known:
                self._known = seen
                yield

    async def _look(self) -> Signature | None:
        """None where that takes too long: a share that hangs is looked at again when it answers."""
        paths = self._paths
        try:
            seen = await off_loop(f"a look at {paths}", partial(signature, paths))
        except OSError:
            return None
        return seen if paths is self._paths else dict(self._known)  # others are to be watched by now
