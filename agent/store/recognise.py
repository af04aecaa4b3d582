"""Whether a file is a log of Gatepost, before anything is done to it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

DATABASE = "gatepost.db"
MAGIC = b"SQLite format 3\x00"
OURS = {"reading", "series", "owed"}


def is_log(database: Path) -> bool:
    """Whether this file is ours, as far as can be seen; one that is damaged at its beginning is known by its name."""
    try:
        with database.open("rb") as file:
            head = file.read(len(MAGIC))
        if head != MAGIC:
            return database.name.startswith(DATABASE)  # copies and files that were set aside too
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as db:
            tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except IsADirectoryError:
        return False
    except (OSError, sqlite3.Error):
        return True  # the check says what is wrong
    return bool(tables & OURS) or (not tables and database.name == DATABASE)
