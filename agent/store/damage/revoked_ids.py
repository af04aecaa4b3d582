"""Revoked ids: kept beside the database, so that a token revoked once stays so when the database is an older one."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from gatepost.agent.core.atomic_file import write_atomic
from gatepost.agent.core.named_files import read_regular

log = logging.getLogger(__name__)

SUFFIX = ".revoked"
MAX_IDS = 2000  # the newest; a database that is older than so many revocations is not expected


class RevokedIds:
    """Ids in a file of one line each, the newest last."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + SUFFIX)
        self._lock = asyncio.Lock()

    async def load(self) -> frozenset[str]:
        """Empty when the file cannot be read."""
        return frozenset(await asyncio.to_thread(self._read))

    async def add(self, ident: str) -> None:
        """Durable when it returns, unless the disk cannot take it."""
        async with self._lock:
            try:
                await asyncio.to_thread(self._append, ident)
            except OSError as error:
                log.warning("the revocation of a token could not be stored beside the database: %s", error.strerror)

    def _read(self) -> list[str]:
        try:
            return read_regular(self._path).decode("ascii", "replace").split()
        except OSError:
            return []

    def _append(self, ident: str) -> None:
        ids = [*self._read(), ident][-MAX_IDS:]
        write_atomic(self._path, "\n".join(ids).encode("ascii", "replace") + b"\n")
