"""Migrations of the database: numbered files of SQL, each in one transaction, under a lock of the database."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any

LOCK = 7_469_001  # of pg_advisory_xact_lock: two workers that start together must not both create the tables


_TABLE = "create table if not exists migration (number int primary key, applied_at timestamptz default now())"


class SchemaTooNew(Exception):
    """The database was made by a newer version."""


def scripts() -> dict[int, str]:
    """Number -> SQL."""
    folder = files("gatepost_fleet") / "schema"
    found = {name.name: name for name in folder.iterdir() if re.fullmatch(r"\d{4}_\w+\.sql", name.name)}
    return {int(name[:4]): found[name].read_text() for name in sorted(found)}


async def migrate(connection: Any) -> int:
    """Bring the database (an asyncpg connection) up to date; the number that it has now. SchemaTooNew."""
    known = scripts()
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", LOCK)
        await connection.execute(_TABLE)
        done = {row["number"] for row in await connection.fetch("select number from migration")}
        if done - known.keys():
            raise SchemaTooNew(f"the database has step {max(done)}; this version knows {max(known)} and writes nothing")
        for number in sorted(known.keys() - done):
            await connection.execute(known[number])
            await connection.execute("insert into migration (number) values ($1)", number)
    return max(known)
