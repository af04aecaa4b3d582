"""Lock of a state directory: one agent for each, since two would write one log."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
from pathlib import Path

from gatepost.agent.core.errors import StateDirInUse
from gatepost.agent.core.named_files import open_regular

NAME = "gatepost.lock"


class StateDirLock:
    """Lock that is held until it is closed. Closing writes nothing, and so cannot fail on a full disk."""

    def __init__(self, state_dir: Path, handle: int) -> None:
        self._state_dir = state_dir
        self._handle = handle
        self._exchange = threading.Lock()  # `renew` runs in a thread, `close` where the agent ends

    @property
    def closed(self) -> bool:
        return self._handle < 0

    def renew(self) -> None:
        """Hold the lock of what is in the directory's place now: files may be removed under a running agent. Raises
        StateDirInUse where another agent holds it, OSError."""
        if not self.closed and not self._holds(self._state_dir / NAME):
            there = _open(self._state_dir)
            if os.path.samestat(os.fstat(there), os.fstat(self._handle)):
                os.close(there)
                return
            _lock(self._state_dir, there)
            with self._exchange:
                if not self.closed:
                    there, self._handle = self._handle, there
            os.close(there)

    def _holds(self, path: Path) -> bool:
        try:
            return os.path.samestat(path.stat(), os.fstat(self._handle))
        except FileNotFoundError:
            return False

    def close(self) -> None:
        with self._exchange:
            if not self.closed:
                os.close(self._handle)
                self._handle = -1

    def __enter__(self) -> StateDirLock:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def take(state_dir: Path) -> StateDirLock:
    """Hold what is returned as long as the agent runs. Raises StateDirInUse, OSError."""
    handle = _open(state_dir)
    _lock(state_dir, handle)
    return StateDirLock(state_dir, handle)


def _lock(state_dir: Path, handle: int) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        owner = ""
        with contextlib.suppress(OSError):  # of the directory nothing can be read
            owner = os.pread(handle, 20, 0).decode("ascii", "replace").strip()
        os.close(handle)
        raise StateDirInUse(
            f"Another agent uses the state directory {state_dir}{f' (process {owner})' if owner else ''}.",
            "Stop it first, or give this one another gateway.state_dir.",
        ) from None
    with contextlib.suppress(OSError):  # a full or read-only disk: the lock holds all the same
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)


def _open(state_dir: Path) -> int:
    """The lock file; where none can be made or written, what is there, or the directory itself, can be locked."""
    path = state_dir / NAME
    try:
        return open_regular(path, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.ENOSPC, errno.EDQUOT):
            raise
    return open_regular(path) if path.exists() else os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
