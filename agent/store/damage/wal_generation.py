"""WAL generations: whether a write-ahead log and the file beside it belong together.

SQLite begins the write-ahead log anew, with other salts, once all of it is in the file (SQLite file format, section
4.1; https://www.sqlite.org/fileformat2.html#walformat). What is written into a new generation names it, and the one
before it: that is what the file says as long as nothing of the new one is in it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

from gatepost.agent.store.damage import carve
from gatepost.agent.store.database import sql, wal_of

GENERATION = "wal"  # in meta
NONE = ""


class Generation(NamedTuple):
    """Names of a generation, and of the one before it."""

    before: str = NONE
    own: str = NONE

    @classmethod
    def of(cls, text: str) -> Generation:
        before, _, own = text.partition(":")
        return cls(before, own)

    def __str__(self) -> str:
        return f"{self.before}:{self.own}"


class GenerationWatch:
    """Watch over the write-ahead log of the open file: names each generation that begins."""

    def __init__(self, database: Path) -> None:
        self.written = Generation()
        self._wal = wal_of(database)
        self._salts = b""
        self._begins = False
        self._handle: int | None = None

    def opened(self, text: str, begins: bool) -> None:
        """The file was opened, and says that; nothing is in its write-ahead log that was there before. Blocks."""
        self.close()
        self.written, self._begins = Generation.of(text), begins
        self._salts = self._read()

    def due(self) -> Generation | None:
        """What is to be written with the next transaction."""
        return Generation(self.written.own, token_hex(4)) if self._begins else None

    def committed(self, written: Generation | None) -> None:
        """A transaction is on the disk, with that in it. Blocks."""
        if written is not None:
            self.written, self._begins = written, False
        salts = self._read()
        if written is None and b"" not in (salts, self._salts):
            self._begins = self._begins or salts != self._salts
        self._salts = salts or self._salts

    def close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _read(self) -> bytes:
        """Empty where there are none, or they cannot be seen: nobody may take that for a generation that begins."""
        try:
            if self._handle is None:
                self._handle = os.open(self._wal, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            return os.pread(self._handle, carve.WAL_HEADER, 0)[16:24]
        except OSError:
            return b""


class WalMismatch(NamedTuple):
    """What a file says alone, and together with a write-ahead log that does not belong to it."""

    alone: Generation
    both: Generation

    def log_is_of(self, marked: Generation) -> bool:
        """Whether it is the log that belongs to this mark, and not the file."""
        return bool(marked.own) and self.both == marked and self.alone.own not in marked


def find_mismatch(database: Path) -> WalMismatch | None:
    """None when they belong together, or nothing says that they do not. Blocks."""
    if not wal_of(database).is_file():
        return None
    try:
        alone = _said(database, "immutable=1")
    except (sqlite3.Error, UnicodeDecodeError):
        return None
    try:
        both = _said(database, "mode=ro")
    except sqlite3.OperationalError:  # no room for an index, no right to make one
        return None
    except (sqlite3.Error, UnicodeDecodeError):
        both = Generation()
    return WalMismatch(alone, both) if alone.own not in (NONE, both.before, both.own) else None


def _said(database: Path, option: str) -> Generation:
    with contextlib.closing(sqlite3.connect(f"{database.absolute().as_uri()}?{option}", uri=True)) as db:
        rows = db.execute(sql("meta_get"), (GENERATION,)).fetchall()
        return Generation.of(str(rows[0][0])) if rows else Generation()
