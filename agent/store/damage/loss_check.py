"""Loss check: compares the log with its mark at each start, and says what may be missing."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
from typing import NamedTuple

from gatepost.agent.store.damage.log_mark import LogMark, LogMarkFile
from gatepost.agent.store.damage.salvage import JUMP, SalvageReport
from gatepost.agent.store.damage.wal_tail import WalTail, read_tail
from gatepost.agent.store.database import Database
from gatepost.agent.store.model import series_row
from gatepost.agent.store.start_epochs import draw, start_row

log = logging.getLogger(__name__)

MARKED = "marked"  # in meta: the log had a mark


class LogLoss(NamedTuple):
    """Loss of stored rows: how it shows, and how many readings may be missing, numbered from `first` to `last`."""

    signs: tuple[str, ...]
    missing: int
    first: int
    last: int


class LossCheck:
    """Check of one file: `look` before it is opened, `judge` once it is open."""

    def __init__(self, database: Path, file: LogMarkFile) -> None:
        self.mark: LogMark | None = None
        self._path = database
        self._file = file
        self._tail = WalTail()
        self._wal_missing = False

    def look(self) -> None:
        """Blocks; what cannot be read is left to those who open the file."""
        try:
            self.mark = self._file.read()
        except OSError as error:
            log.warning("the mark of the log cannot be read: %s", error)
        try:
            wal = self._path.with_name(self._path.name + "-wal")
            mended = self._path.with_name(self._path.name + ".mended")
            running = self.mark is not None and self.mark.running
            self._wal_missing = running and self._path.exists() and not wal.exists() and not mended.exists()
            if not mended.exists():
                self._tail = read_tail(self._path)
        except (OSError, sqlite3.Error, UnicodeDecodeError) as error:  # the last: SQLite quotes a damaged name
            log.warning("the log could not be compared with its mark: %s", error)

    async def judge(self, database: Database, repair: SalvageReport | None) -> LogLoss | None:
        """What is lost; rows behind a damaged frame of the write-ahead log are put back. Raises sqlite3.Error."""
        mark = self.mark or LogMark()
        last = int((await database.read("reading_last"))[0][0])
        marked = bool(await database.read("meta_get", (MARKED,)))
        command = int((await database.read("ledger_top"))[0][0] or 0)
        kept = await self._put_back(database, last, mark) if self._tail.readings else 0
        signs = {
            "mark-missing": self.mark is None and marked,
            "shorter-than-its-mark": last + kept < mark.seq and not repair,
            "commands-missing": command < mark.command,
            "write-ahead-log-missing": self._wal_missing,
            "write-ahead-log-damaged": self._tail.damaged,
            "database-damaged": repair is not None,
        }
        if not any(signs.values()):
            return None
        top = max(mark.seq, *self._tail.readings, last)
        first = max(last + 1, mark.base)
        missing = max(0, top + 1 - first - kept - (repair.lost if repair else 0))
        if last + kept and not await database.read("owed_load"):
            await database.write("meta_put", ("starting", "1"))  # nobody knows what was delivered: everything again
        await database.write("meta_put", ("floor", str(max(top + JUMP, await floor_of(database)))))
        return LogLoss(tuple(sign for sign, seen in signs.items() if seen), missing, first, top)

    async def _put_back(self, database: Database, last: int, mark: LogMark) -> int:
        rows = [row for seq, row in sorted(self._tail.readings.items()) if seq > last]
        if not rows:
            return 0
        async with database.transaction() as run:
            await run.many("reading_insert", rows)
            for series in self._tail.series:
                await run("series_keep", series_row(series))
            if mark.epoch and mark.first <= rows[0][0]:
                await run("start_put", start_row(mark.first, mark.epoch))
            else:
                await run("start_put", start_row(rows[0][0], draw()))
        log.warning("%d readings behind a damaged part of the write-ahead log were put back", len(rows))
        return len(rows)


async def floor_of(database: Database) -> int:
    """No number up to this one is given again."""
    rows = await database.read("meta_get", ("floor",))
    return int(rows[0][0]) if rows and str(rows[0][0]).isdecimal() else 0
