"""Exclusive access to a database while its agent is stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gatepost.agent.core.errors import StateDirInUse, StoreError
from gatepost.agent.process import state_dir_lock


@contextmanager
def exclusive_access(database: Path) -> Iterator[None]:
    """No agent runs on this database, and none that ran before starts meanwhile; raises StoreError."""
    if not database.exists():
        raise StoreError(f"there is no database at {database}", "name the file, or the settings with --config")
    if not database.is_file():  # opening a FIFO waits without end
        raise StoreError(f"{database} is not a file", "name the database, or the settings with --config")
    try:
        held = state_dir_lock.take(database.parent) if (database.parent / state_dir_lock.NAME).exists() else None
    except StateDirInUse:
        raise StoreError(f"an agent runs on {database}", "stop it first: `systemctl stop gatepost`") from None
    except OSError as error:
        raise StoreError(f"{database}: {error.strerror}", "use sudo, or become the user gatepost") from error
    try:
        yield
    finally:
        if held is not None:
            held.close()
