"""Small state by key: JSON values that the parts of the agent keep from start to start."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

import orjson

from gatepost.agent.core.errors import StoreError
from gatepost.agent.store.database import Database, Params, Rows
from gatepost.agent.store.writer import explain

log = logging.getLogger(__name__)

T = TypeVar("T")


class KeyValueStore:
    """JSON values by key. A damaged value counts as absent. Every call raises StoreError when the file cannot do it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turn = asyncio.Lock()

    async def get(self, key: str) -> Any | None:
        """None where there is none, or a damaged one."""
        rows = await self._read("state_get", (key,))
        return _decoded(key, rows[0][0]) if rows else None

    async def with_prefix(self, prefix: str) -> dict[str, Any]:
        """The values of all keys that begin so, by the rest of the key."""
        rows = await self._read("state_like", {"prefix": prefix, "skip": len(prefix)})
        values = {str(key): _decoded(prefix + str(key), value) for key, value in rows}
        return {key: value for key, value in values.items() if value is not None}

    async def put(self, key: str, value: Any) -> None:
        """Durable when it returns; None forgets the key."""
        name, params = ("state_drop", (key,)) if value is None else ("state_put", (key, orjson.dumps(value)))
        try:
            await self._database.write(name, params)
        except sqlite3.Error as error:
            raise StoreError(f"the log could not be written: {explain(error)}") from error

    async def update(self, key: str, change: Callable[[Any | None], T]) -> T:
        """The new value that `change` makes of the old one, durable; no other update comes between."""
        async with self._turn:
            new = change(await self.get(key))
            await self.put(key, new)
            return new

    async def _read(self, name: str, params: Params) -> Rows:
        try:
            return await self._database.read(name, params)
        except sqlite3.Error as error:
            raise StoreError(f"the log could not be read: {explain(error)}") from error


def _decoded(key: str, value: bytes) -> Any | None:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        log.error("the value stored as %s is damaged and is ignored", key)
        return None
