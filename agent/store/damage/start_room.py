"""Room for a start: space kept beside the log, and given back where a full disk would not let the log be opened.

SQLite makes the index of the write-ahead log anew when nobody has it open (sqlite.org/walformat.html, section 2.2), and
what the log holds by then may need more of it than there was.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from gatepost.agent.store.damage.salvage import asides, remove

log = logging.getLogger(__name__)

SUFFIX = ".spare"
ROOM = 256 * 1024  # octets: the index of a write-ahead log of 8 MB takes 96 kB
PLENTY = 16 * ROOM  # of free space, before any is kept


def make_room(database: Path) -> None:
    """Before the log is opened. Of what is there, first what is kept for this, then files that were set aside as
    damaged, the oldest first. Blocks; raises OSError."""
    spare = database.with_name(database.name + SUFFIX)
    if not database.exists() or _free(database) >= ROOM:
        return
    if spare.is_file():
        log.warning("the disk is full: what is kept for a start is given back")
        spare.unlink()
    for aside in asides(database):
        if _free(database) >= ROOM:
            return
        log.warning("the disk is full: %s is removed, which was set aside as damaged", aside.name)
        remove(aside)


def keep_room(database: Path) -> None:
    """Have it for the next start, where the disk has plenty. Blocks; raises OSError."""
    spare = database.with_name(database.name + SUFFIX)
    if spare.exists() or not hasattr(os, "posix_fallocate") or _free(database) < PLENTY:
        return
    handle = os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(handle, 0, ROOM)
    except OSError:
        spare.unlink()
        raise
    finally:
        os.close(handle)


def has_room(database: Path, octets: int) -> bool:
    """Whether so much more can be written there: a damaged log is mended by a copy."""
    return _free(database) > octets + ROOM


def _free(database: Path) -> int:
    seen = os.statvfs(database.parent)
    return seen.f_bavail * seen.f_frsize
