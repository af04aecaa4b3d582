"""The schema's version and the way from an older one; a file of a newer agent is refused, never changed."""

from __future__ import annotations

import secrets

from agent.errors import StoreError
from agent.store.database import Database, sql

VERSION = 1
# What leads from version n - 1 to n, in order; a script is one transaction.
STEPS: dict[int, tuple[str, ...]] = {1: ("schema_1", "ledger_schema")}
EPOCH_BYTES = 4


async def migrate(database: Database, gateway: str) -> str:
    """Bring the file to VERSION; returns the log epoch, which is made once for each database."""
    version = int(await database.pragma("user_version"))
    if version > VERSION:
        raise too_new(version)
    for step in range(version + 1, VERSION + 1):
        script = ";\n".join(sql(name).rstrip(";") for name in STEPS[step])
        await database.write_script(f"BEGIN IMMEDIATE;\n{script};\nPRAGMA user_version = {step};\nCOMMIT;")
    rows = await database.read("meta_get", ("epoch",))
    if rows:
        return str(rows[0][0])
    epoch = secrets.token_hex(EPOCH_BYTES)
    async with database.transaction() as run:
        await run("meta_put", ("epoch", epoch))
        await run("meta_put", ("gateway", gateway))
    return epoch


def too_new(version: int) -> StoreError:
    return StoreError(
        f"The database has schema version {version}, this agent knows {VERSION}.",
        "It was written by a newer gatepost: install that one again, or move the file away.",
        key="store-newer",
    )
