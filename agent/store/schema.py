"""Schema version, and the migration from an older one; a file of a newer agent is refused, never changed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from gatepost.agent.core.errors import StoreError
from gatepost.agent.store.database import FOLDER, PAGE_SIZE, Database
from gatepost.agent.store.start_epochs import start_row

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


VERSION = 6
# No table changes, but rows that an earlier agent cannot read: packed bodies (4), bodies without their braces (5), a
# checksum that no two flips pass (6).
WITHOUT_SCRIPT = {4, 5, 6}


def script(version: int) -> str:
    """The statements that lead from the version before to this one."""
    return "" if version in WITHOUT_SCRIPT else (FOLDER / f"schema_{version}.sql").read_text("utf-8")


async def migrate(database: Database, gateway: str) -> None:
    """Bring the file to VERSION."""
    version = int(await database.pragma("user_version"))
    if version > VERSION:
        raise too_new(version)
    for step in range(version + 1, VERSION + 1):
        await database.write_script(f"BEGIN IMMEDIATE;\n{script(step)}\nPRAGMA user_version = {step};\nCOMMIT;")
    epoch = await database.read("meta_get", ("epoch",))  # of version 1: one for all rows of the file
    if epoch or not await database.read("meta_get", ("gateway",)):
        async with database.transaction() as run:
            run.later("meta_put", ("gateway", gateway))
            if epoch:
                run.later("start_put", start_row(0, str(epoch[0][0])))
                run.later("meta_drop", ("epoch",))


def create(path: Path) -> None:
    """A new file, on the disk when it returns. Blocks; raises sqlite3.Error."""
    with closing(sqlite3.connect(path, isolation_level=None)) as new:
        new.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        new.execute("PRAGMA synchronous = FULL")
        for version in range(1, VERSION + 1):
            new.executescript(script(version))
        new.execute(f"PRAGMA user_version = {VERSION}")


def too_new(version: int) -> StoreError:
    return StoreError(
        f"the database has schema version {version}, this agent knows {VERSION}",
        "a newer gatepost has written it: install that one again, or move the file away",
        key="store-newer",
    )
