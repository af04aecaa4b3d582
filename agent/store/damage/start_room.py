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
    damaged, the oldest first; the newest, of which nobody may have seen anything yet, only where the log could not even
    be read without. Blocks; raises OSError."""
    spare = database.with_name(database.name + SUFFIX)
    if not database.exists() or _free(database) >= ROOM:
        return
    if spare.is_file():
        log.warning("the disk is full: the space reserved for a start is released")
        spare.unlink()
    found = asides(database)
    for aside in found:
        if _free(database) >= ROOM or (aside == found[-1] and not _has_log(database)):
            return
        newest = "; it was the newest" if aside == found[-1] else ""
        log.error("the disk is full: the damaged database %s, which was set aside, is removed%s", aside.name, newest)
        remove(aside)


def _has_log(database: Path) -> bool:
    """Whether there is a write-ahead log: without one the file can be read as it is."""
    wal = database.with_name(database.name + "-wal")
    return wal.is_file() and wal.stat().st_size > 0


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
