"""Recovery from a failed statement: room is made on a full disk, a damaged file is replaced under the running agent."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable

from gatepost.agent.core.clock import Clock
from gatepost.agent.core.errors import StoreError
from gatepost.agent.store.damage.salvage import SalvageReport, remove, replace, salvage, settle
from gatepost.agent.store.damage.start_room import has_room
from gatepost.agent.store.database import Database, NotOpen, Params, corrupt
from gatepost.agent.store.ranges import FOREVER
from gatepost.agent.store.schema import migrate
from gatepost.agent.store.series import whole_series
from gatepost.agent.store.writer import explain, is_damage, is_full

log = logging.getLogger(__name__)

PROBES: tuple[tuple[str, Params], ...] = (
    ("reading_last", {"lo": 0, "hi": FOREVER}),
    ("reading_first", {"lo": 0, "hi": FOREVER}),
    ("series_top", ()),
    ("boots", ()),
    ("starts", ()),
    ("owed_load", ()),
    ("gap_untold", (0,)),
    ("gap_list", (0,)),
    ("series_load", (0,)),
    ("meta_get", ("floor",)),
    ("state_get", ("",)),
    ("ledger_find", {"id": ""}),
)
FREE_TRIES = 3  # mended so often at once; after that
RETRY_PAUSE = 300.0  # so many seconds apart: a card that dies must not be filled with copies of the log


class StoreRecovery:
    """Recovery of the open file. `handle` says whether the failed statement is worth trying again at once."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        make_room: Callable[[], Awaitable[None]],
        next_seq: Callable[[], int],
        on_mended: Callable[[SalvageReport], Awaitable[None]],
        on_open: Callable[[], Awaitable[None]],
    ) -> None:
        self._database = database
        self._clock = clock
        self._make_room = make_room
        self._next_seq = next_seq
        self._on_mended = on_mended  # nobody else reads or writes yet
        self._on_open = on_open
        self._healing = asyncio.Lock()
        self._tried_at = float("-inf")
        self._tries = 0

    async def handle(self, error: sqlite3.Error) -> bool:
        """Repair, or make room. Whether to try again."""
        if is_damage(error) or isinstance(error, NotOpen):
            return await self._heal()
        if is_full(error):
            # The write-ahead log first: emptied, it has room for the transactions that make more.
            for step in (self._empty_log, self._make_room, self._empty_log):
                try:
                    await step()
                except sqlite3.Error as again:
                    log.debug("no disk space could be freed: %s", again)
        return False

    async def put_back(self) -> bool:
        """The file was removed or replaced under the running agent, maybe with its directory: the one still open takes
        its place again. Whether it does."""
        database = self._database
        copy = database.path.with_name(database.path.name + ".copy")
        async with self._healing:
            try:
                async with database.mending(close=False):
                    await asyncio.to_thread(copy.parent.mkdir, 0o700, parents=True, exist_ok=True)
                    await asyncio.to_thread(remove, copy)
                    await database.save_as(copy)
                    await database.close_now()
                    await asyncio.to_thread(replace, copy, database.path)
                    await database.open()
            except (OSError, sqlite3.Error) as error:
                log.error("the removed database could not be written again: %s", error)
                return False
        log.warning("the database was written again from the open file; nothing is lost")
        return True

    async def _empty_log(self) -> None:
        await self._database.checkpoint("RESTART")

    async def _heal(self) -> bool:
        seen = self._database.generation
        async with self._healing:
            if self._database.generation != seen:
                return True
            if not self._may_try():
                return False
            log.error("the database is damaged; copying what can be read into a new one")
            try:
                async with self._database.mending():
                    report = await self._replace()
                    if report is not None:
                        await self._on_mended(report)
                if report is not None:
                    await self._on_open()
            except (OSError, sqlite3.Error, StoreError) as error:
                log.error("the database could not be repaired: %s", error)
                return False
            return report is not None

    def _may_try(self) -> bool:
        now = self._clock.monotonic()
        if now - self._tried_at >= RETRY_PAUSE:
            self._tries = max(0, self._tries - 1)
        if self._tries >= FREE_TRIES and now - self._tried_at < RETRY_PAUSE:
            return False
        self._tries += 1
        self._tried_at = now
        return True

    async def _replace(self) -> SalvageReport | None:
        """The new file is open when it returns; None when there is none, and the old one is open again."""
        database = self._database
        report = None
        try:
            report = await asyncio.to_thread(salvage, database.path, self._next_seq())
        except (OSError, sqlite3.Error) as error:
            text = explain(error) if isinstance(error, sqlite3.Error) else str(error)
            log.error("what can be read could not be copied: %s", text)
            await asyncio.to_thread(settle, database.path)
            if not database.path.exists():
                raise
        await database.open()
        if report is not None:
            for probe, params in PROBES:
                await database.probe(probe, params)
        return report


async def open_file(database: Database, gateway: str, expected: int) -> SalvageReport | None:
    """The report of a repair, if one was needed; `expected` is the highest number that was ever stored.

    Raises sqlite3.Error, OSError; StoreError for a newer agent's file.
    """
    settle(database.path)
    try:
        await _open(database, gateway)
        return None
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
    report = await asyncio.to_thread(salvage, database.path, expected)
    await _open(database, gateway)
    return report


async def _open(database: Database, gateway: str) -> None:
    await database.open()
    try:
        await migrate(database, gateway)
        await database.seal()
        for probe, params in PROBES:
            await database.probe(probe, params)
        if not database.read_only:
            await _check_series(database)
    except BaseException:
        await database.close()
        raise


async def _check_series(database: Database) -> None:
    """One that fails its checksum makes others of its readings: they need other ids. Raises sqlite3.DatabaseError."""
    rows = await database.probe("series_all")
    if len(whole_series(rows)) < len(rows) and has_room(database.path, database.path.stat().st_size):
        raise corrupt("a series of the log is damaged")
