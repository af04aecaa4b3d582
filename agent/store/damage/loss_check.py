"""Loss check: compares the log with its mark at each start, and says what may be missing."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import orjson

from gatepost.agent.store.damage.log_mark import LogMark, LogMarkFile
from gatepost.agent.store.damage.salvage import JUMP, SalvageReport
from gatepost.agent.store.damage.wal_tail import WalTail, forget_tail, read_tail
from gatepost.agent.store.database import Database, TransactionRun
from gatepost.agent.store.model import series_row
from gatepost.agent.store.start_epochs import draw, start_row

log = logging.getLogger(__name__)

MARKED = "marked"  # in meta: the log had a mark
FLOOR = ("floor",)


class LogLoss(NamedTuple):
    """Loss of stored rows: how it shows, and how many readings may be missing, numbered from `first` to `last`."""

    signs: tuple[str, ...]
    missing: int
    first: int
    last: int


class LossCheck:
    """Check of one file: `look` before it is opened, `judge` once it is open, `mend` in the transaction that tells it,
    `done` when that is on the disk."""

    def __init__(self, database: Path, file: LogMarkFile) -> None:
        self.mark: LogMark | None = None
        self._path = database
        self._file = file
        self._tail = WalTail()
        self._wal_missing = False
        self.put_back: list[tuple[Any, ...]] = []  # rows behind a damaged frame of the write-ahead log

    def look(self) -> None:
        """Blocks; what cannot be read is left to those who open the file."""
        try:
            self.mark = self._file.read()
        except OSError as error:
            log.warning("the mark of the log cannot be read: %s", error)
        mark = self.mark or LogMark()
        try:
            wal = self._path.with_name(self._path.name + "-wal")
            mended = self._path.with_name(self._path.name + ".mended").exists()
            self._wal_missing = mark.running and self._path.exists() and not wal.exists() and not mended
            if mark.running and not self._wal_missing:
                # Whoever closes the file now removes its write-ahead log, also where this start comes no further.
                self._file.write(msgspec.structs.replace(mark, running=False), durable=True)
            self._tail = read_tail(self._path, mark.seq, fresh=not mended)
        except (OSError, sqlite3.Error, UnicodeDecodeError) as error:  # the last: SQLite quotes a damaged name
            log.warning("the log could not be compared with its mark: %s", error)

    async def judge(self, database: Database, repair: SalvageReport | None, before: int) -> LogLoss | None:
        """What is lost of the rows with numbers below `before`. Raises sqlite3.Error."""
        mark = self.mark or LogMark()
        last = int((await database.read("reading_before", (before,)))[0][0] or 0)
        marked = bool(await database.read("meta_get", (MARKED,)))
        command = int((await database.read("ledger_top"))[0][0] or 0)
        self.put_back = await self._whole_rows(database, last)
        kept = len(self.put_back)
        # A start that came no further than this has told it already, and written it down by the floor.
        floor = floor_in(await database.read("meta_get", FLOOR))
        told = not repair and not kept and self.mark is not None and floor > mark.seq
        signs = {
            "mark-missing": self.mark is None and marked,
            "shorter-than-its-mark": last + kept < mark.seq and not repair and not told,
            "commands-missing": command < mark.command,
            "write-ahead-log-missing": self._wal_missing and not told,
            "write-ahead-log-damaged": self._tail.damaged and not told,
            "database-damaged": repair is not None,
        }
        if not any(signs.values()):
            return None
        top = max(mark.seq, *self._tail.readings, last)
        first = max(last + 1, mark.base)
        missing = 0 if told else max(0, self._missing(last, top, repair) - kept)
        return LogLoss(tuple(sign for sign, seen in signs.items() if seen), missing, first, top)

    async def _whole_rows(self, database: Database, last: int) -> list[tuple[Any, ...]]:
        """Rows behind a damaged frame whose series is there: without it nobody knows of which device they are."""
        rows = [row for seq, row in sorted(self._tail.readings.items()) if seq > last]
        wanted = {row[1] for row in rows} - {series.number for series in self._tail.series}
        found = await database.read("series_some", (orjson.dumps(list(wanted)).decode(),)) if wanted else []
        lost = wanted - {row[0] for row in found}
        return [row for row in rows if row[1] not in lost]

    def _missing(self, last: int, top: int, repair: SalvageReport | None) -> int:
        """Rows that should be there and are not, without those that the repair has told."""
        if not repair:
            return (top - last) % JUMP  # numbers, without the JUMP of each loss before
        if self.mark is None:
            return 0
        return (rows_of(self.mark) + top - self.mark.seq) % JUMP - repair.rows - repair.lost  # any of them may be gone

    async def mend(self, run: TransactionRun, loss: LogLoss) -> None:
        """Put rows back, and keep the numbers of the missing ones from being given again."""
        mark, rows = self.mark or LogMark(), self.put_back
        if rows:
            run.many("reading_insert", rows)
            for series in self._tail.series:
                run.later("series_keep", series_row(series))
            if mark.epoch and mark.first <= rows[0][0]:
                run.later("start_put", start_row(mark.first, mark.epoch))
            else:
                run.later("start_put", start_row(rows[0][0], draw()))
            log.warning("%d readings behind a damaged part of the write-ahead log are put back", len(rows))
        if (await run.read("reading_last"))[0][0] and not await run.read("owed_load"):
            run.later("meta_put", ("starting", "1"))  # nobody knows what was delivered: everything again
        run.later("meta_put", ("floor", str(max(loss.last + JUMP, floor_in(await run.read("meta_get", FLOOR))))))

    def done(self) -> None:
        """What was mended is on the disk. Blocks."""
        try:
            forget_tail(self._path)
        except OSError as error:
            log.warning("the rest of a damaged write-ahead log could not be removed: %s", error.strerror)


def rows_of(mark: LogMark) -> int:
    """Rows that were stored when it was written."""
    runs = [*mark.runs, (mark.base, mark.seq)]
    return mark.older + sum(hi + 1 - lo for lo, hi in runs if hi >= lo) - mark.gone


def floor_in(rows: list[tuple[Any, ...]]) -> int:
    """No number up to this one is given again."""
    return int(rows[0][0]) if rows and str(rows[0][0]).isdecimal() else 0
