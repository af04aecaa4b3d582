"""Opening the file at start: migrated, and where it is damaged replaced by what can be read of it."""

from __future__ import annotations

import asyncio
import sqlite3

from agent.store import maintenance
from agent.store.database import Database
from agent.store.mender import PROBES
from agent.store.schema import migrate
from agent.store.writer import is_damage


async def open_file(database: Database, gateway: str) -> tuple[str, maintenance.Report | None]:
    """The log epoch, and the report of a repair. Raises sqlite3.Error, OSError; StoreError for a newer agent's file."""
    maintenance.settle(database.path)
    try:
        return await _open(database, gateway), None
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
    report = await asyncio.to_thread(maintenance.salvage, database.path)
    return await _open(database, gateway), report


async def _open(database: Database, gateway: str) -> str:
    await database.open()
    try:
        epoch = await migrate(database, gateway)
        for probe, params in PROBES:
            await database.probe(probe, params)
    except BaseException:
        await database.close()
        raise
    return epoch
