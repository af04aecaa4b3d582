"""Disk watch: notices a file system that turned read-only or does not answer, and a database removed under way."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial

from gatepost.agent.core.errors import StateDirInUse, StoreError
from gatepost.agent.process.state_dir_lock import StateDirLock
from gatepost.agent.store.database import Database
from gatepost.drivers.serial.port.blocking_call import in_thread

log = logging.getLogger(__name__)

INTERVAL = 5.0  # seconds between two looks: one statvfs and one stat
TIMEOUT = 10.0
THREAD_PATIENCE = 30.0  # seconds after which the loop asks whether the thread that looks still does
READ_ONLY = "the file system is read-only"
NOT_WRITABLE = "the log cannot be written: the disk has no room for its files, or they may not be written"
SILENT = "the disk does not answer"
REMOVED = "the database was removed and cannot be written again"


class DiskWatch:
    """Watch over the place of one database; `trouble` says in words what is wrong there, "" = nothing.

    While all is well it looks in a thread of its own, which wakes the loop only for what has changed. `condition`
    says why the log is not well, whoever noticed it; `on_condition` tells that it has changed. `lock`, where somebody
    gives it, is held on what is there now.
    """

    def __init__(
        self,
        database: Database,
        open_for_writing: Callable[[], Awaitable[None]],
        on_removed: Callable[[], Awaitable[bool]],
        condition: Callable[[], str],
        on_condition: Callable[[], None],
    ) -> None:
        self.trouble = (NOT_WRITABLE, READ_ONLY)[_turned_read_only(database)] if database.read_only else ""
        self._database = database
        self._reopen = open_for_writing
        self._reopened = True
        self._on_removed = on_removed
        self._condition = condition
        self._on_condition = on_condition
        self.lock: StateDirLock | None = None
        self._told = ""
        self._looking = float("inf")  # since when the thread does, monotonic

    async def run(self) -> None:
        """The task."""
        while True:
            if self._is_well():
                await self._until_unusual()
            else:
                await asyncio.sleep(INTERVAL)
            await self.look()
            if self._condition() != self._told:
                self._told = self._condition()
                self._on_condition()

    def _is_well(self) -> bool:
        return self._reopened and not self.trouble and not self._database.read_only

    async def _until_unusual(self) -> None:
        stop = threading.Event()
        unusual = in_thread(asyncio.get_running_loop(), partial(self._look_on, stop))
        try:
            while not (await asyncio.wait({unusual}, timeout=THREAD_PATIENCE))[0]:
                if time.monotonic() - self._looking > TIMEOUT:
                    return
        finally:
            stop.set()

    def _look_on(self, stop: threading.Event) -> None:
        """In the thread, until there is something to tell."""
        while not stop.wait(INTERVAL) and self._condition() == self._told:
            self._looking = time.monotonic()
            try:
                usual = self._see() == (False, True)
            except (OSError, StateDirInUse):
                return
            finally:
                self._looking = float("inf")
            if not usual:
                return

    async def look(self) -> None:
        """Look once, and do what follows from it."""
        try:
            async with asyncio.timeout(TIMEOUT):
                read_only, present = await asyncio.to_thread(self._see)
        except TimeoutError:
            return self._say(SILENT)
        except StateDirInUse as error:
            return self._say(error.message)
        except OSError as error:
            return self._say(f"the state directory cannot be read: {error.strerror}")
        if read_only:
            return self._say(READ_ONLY)
        if self._database.read_only or not self._reopened:
            self._reopened = await self._open_for_writing()
            if not self._reopened:
                return self._say(NOT_WRITABLE)
        elif not present:
            log.error("the database %s was removed or replaced while it was in use", self._database.path)
            if not await self._on_removed():
                return self._say(REMOVED)
        return self._say("")

    def _see(self) -> tuple[bool, bool]:
        path = self._database.path
        read_only = False
        try:
            read_only = _turned_read_only(self._database)
            if self.lock is not None:
                self.lock.renew()
            return read_only, self._database.is_at(path.stat())
        except FileNotFoundError:
            return read_only, False

    async def _open_for_writing(self) -> bool:
        try:
            await self._reopen()
        except (OSError, sqlite3.Error, StoreError) as error:
            log.debug("the database cannot be opened for writing yet: %s", error)
            return False
        return not self._database.read_only

    def _say(self, trouble: str) -> None:
        if trouble != self.trouble:
            log.log(logging.ERROR if trouble else logging.WARNING, "%s", trouble or "the disk can be written again")
        self.trouble = trouble


def _turned_read_only(database: Database) -> bool:
    return bool(os.statvfs(database.path.parent).f_flag & os.ST_RDONLY)
