"""Lock of a state directory: one agent for each, since two would write one log."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from typing import IO

from gatepost.agent.core.errors import StateDirInUse
from gatepost.agent.core.named_files import open_regular

NAME = "gatepost.lock"


def take(state_dir: Path) -> IO[str]:
    """Hold the returned file as long as the agent runs. Raises StateDirInUse, OSError."""
    handle = _open(state_dir)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.seek(0)
        owner = handle.read(20).strip()
        handle.close()
        raise StateDirInUse(
            f"Another agent uses the state directory {state_dir}{f' (process {owner})' if owner else ''}.",
            "Stop it first, or give this one another gateway.state_dir.",
        ) from None
    with contextlib.suppress(OSError):  # a full or read-only disk: the lock holds all the same
        handle.seek(0)
        handle.truncate()
        handle.write(str(os.getpid()))
        handle.flush()
    return handle


def _open(state_dir: Path) -> IO[str]:
    """The lock file; where none can be made or written, what is there, or the directory itself, can be locked."""
    try:
        return os.fdopen(open_regular(state_dir / NAME, os.O_RDWR | os.O_CREAT), "r+")
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.ENOSPC, errno.EDQUOT):
            raise
    path = state_dir / NAME
    return os.fdopen(os.open(path if path.exists() else state_dir, os.O_RDONLY | os.O_CLOEXEC))
