"""Loss check: compares the log with its mark at each start, and says what may be missing."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import orjson

from gatepost.agent.store.damage.log_mark import MAX_STARTS, LogMark, LogMarkFile, StartRows
from gatepost.agent.store.damage.salvage import JUMP, SALVAGED, salvaged
from gatepost.agent.store.damage.start_room import has_room, keep_room, make_room
from gatepost.agent.store.damage.wal_generation import Generation, find_mismatch
from gatepost.agent.store.damage.wal_tail import WalTail, forget_tail, keep_frames, read_tail
from gatepost.agent.store.database import TransactionRun, corrupt, wal_of
from gatepost.agent.store.log_order import last_of
from gatepost.agent.store.model import series_row
from gatepost.agent.store.ranges import FOREVER
from gatepost.agent.store.start_epochs import draw, is_start, start_row

log = logging.getLogger(__name__)

MARKED = "marked"  # in meta: the log had a mark
JUDGED = "judged"  # in meta: a Judgement, until the mark says the same
FLOOR = "floor"
OTHER = ".other"  # of the name of a write-ahead log that was set aside


class LogLoss(NamedTuple):
    """Loss of stored rows: how it shows, and how many readings may be missing, numbered from `first` to `last`; `known`
    of them had their gap record before."""

    signs: tuple[str, ...]
    missing: int
    known: int
    first: int
    last: int


class Judgement(msgspec.Struct, frozen=True):
    """Judgement of a log: what it held once its loss was told, written with the gap record. A start that is cut off
    before it writes a mark leaves this to the next one."""

    seq: int  # of the mark that it was compared with
    mark: LogMark


class LogComparison(NamedTuple):
    """Comparison of a log with its mark: the loss, None where there is none; the rows that it holds, by start."""

    loss: LogLoss | None
    starts: tuple[StartRows, ...]


class LossCheck:
    """Check of one file: `look` before it is opened; `judge` and `mend` in one transaction once it is open, the second
    where there is a loss; `done` when that is on the disk."""

    def __init__(self, database: Path, file: LogMarkFile) -> None:
        self.mark: LogMark | None = None
        self._path = database
        self._file = file
        self._tail = WalTail()
        self._wal_missing = False
        self.wal_gone = False  # all that it held is in the file
        self.put_back: list[tuple[Any, ...]] = []  # rows behind a damaged frame of the write-ahead log

    def look(self) -> None:
        """Blocks; what cannot be read is left to those who open the file."""
        try:
            make_room(self._path)
        except OSError as error:
            log.warning("no disk space for the start could be freed: %s", error.strerror)
        try:
            self.mark = self._file.read()
        except OSError as error:
            log.warning("the mark of the log cannot be read: %s", error)
        mark = self.mark or LogMark()
        wal = wal_of(self._path)
        try:
            mended = self._path.with_name(self._path.name + ".mended").exists()
            if not mended and (found := find_mismatch(self._path)):
                log.error("the write-ahead log is one of another log: it is set aside")
                if found.log_is_of(Generation.of(mark.wal)):
                    keep_frames(self._path)
                wal.rename(wal.with_name(wal.name + OTHER))
            self._wal_missing = mark.running and self._path.exists() and not wal.exists() and not mended
            if mark.running and not self._wal_missing:
                # Whoever closes the file now removes its write-ahead log, also where this start comes no further.
                self._file.write(msgspec.structs.replace(mark, running=False), durable=True)
            self._tail = read_tail(self._path, mark.seq, fresh=not mended)
        except (OSError, sqlite3.Error, UnicodeDecodeError) as error:  # the last: SQLite quotes a damaged name
            log.warning("the log could not be compared with its mark: %s", error)
        self.wal_gone = not wal.exists()

    async def judge(self, run: TransactionRun, mark: LogMark | None, before: int) -> LogComparison:
        """What is lost of the rows with numbers below `before`. Raises sqlite3.Error."""
        meta = {key: (await run.read("meta_get", (key,)) or [("",)])[0][0] for key in (MARKED, JUDGED, SALVAGED, FLOOR)}
        judged = _judgement(meta[JUDGED], mark or LogMark())
        expected = judged or mark or LogMark()
        repairs = salvaged(meta[SALVAGED], expected.floor)
        last = await last_of(run.read, 1, before) or 0
        command = int((await run.read("ledger_top"))[0][0] or 0)
        starts = await _starts(run)
        self.put_back = await self._whole_rows(run, last)
        floor = min((repair.before for repair in repairs), default=int(meta[FLOOR] or 0))
        stale = floor < expected.floor
        signs = {
            "mark-missing": mark is None and bool(meta[MARKED]) and not judged,
            "shorter-than-its-mark": last + len(self.put_back) < expected.seq and not repairs,
            "not-of-its-mark": mark is not None and not repairs and (stale or not _belongs(starts, expected, last)),
            "commands-missing": command < expected.command,
            "write-ahead-log-missing": self._wal_missing and not judged,
            "write-ahead-log-damaged": self._tail.damaged and not judged,
            "database-damaged": bool(repairs),
        }
        seen = tuple(sign for sign, shows in signs.items() if shows)
        if mark is not None and not seen:
            rows, top = await _count(run, expected.seq + 1, before)  # written in the moment of the kill
            own = expected.writer
            own = msgspec.structs.replace(own, rows=own.rows + rows, last=max(own.last, top))
            return LogComparison(None, (*expected.starts[:-1], own))
        if seen and not repairs and before == FOREVER and has_room(self._path, self._path.stat().st_size):
            await _check_whole(run)
        of_before = mark is not None and mark is self.mark  # else the starts are those of this process
        if of_before and starts and not _belongs(starts, expected, last):
            await _rename_unknown(run, starts, expected)
        if self.put_back:
            self._put_back(run, expected, starts or {}, last)
        known = sum(repair.lost for repair in repairs)
        missing, first = 0, before
        for start, end in zip(expected.starts, _ends(expected, starts or {}, before, stale), strict=True):
            gone, lowest = await _missing(run, start, starts, end, stale)
            missing += gone
            first = min(first, lowest) if gone else first
        if mark is None:  # what the write-ahead log shows is all that is known
            missing = max(0, max(self._tail.readings, default=0) - last - len(self.put_back))
        held = await _held(run, before, expected)
        if not seen:
            return LogComparison(None, held)
        top = max(expected.seq, *self._tail.readings, last)
        return LogComparison(LogLoss(seen, max(0, missing - known), known, min(first, last + 1), top), held)

    async def _whole_rows(self, run: TransactionRun, last: int) -> list[tuple[Any, ...]]:
        """Rows behind a damaged frame whose series is there: without it nobody knows of which device they are."""
        rows = [row for seq, row in sorted(self._tail.readings.items()) if seq > last]
        wanted = {row[1] for row in rows} - {series.number for series in self._tail.series}
        found = await run.read("series_some", (orjson.dumps(list(wanted)).decode(),)) if wanted else []
        lost = wanted - {row[0] for row in found}
        return [row for row in rows if row[1] not in lost]

    def _put_back(self, run: TransactionRun, mark: LogMark, starts: dict[int, str], last: int) -> None:
        rows, epoch = self.put_back, ""
        run.many("reading_insert", rows)
        for series in self._tail.series:
            run.later("series_keep", series_row(series))
        for start in mark.starts:
            if start.epoch and start.first > last:
                run.later("start_put", start_row(start.first, start.epoch))
                starts[start.first] = start.epoch  # what is put back of it is not missing
            known = start.first > last or starts.get(start.first) == start.epoch  # else that number has other rows
            if start.first <= rows[0][0]:
                epoch = start.epoch if known else ""
        if not epoch:
            run.later("start_put", start_row(rows[0][0], draw()))
        log.warning("%d readings behind a damaged part of the write-ahead log are put back", len(rows))

    async def mend(self, run: TransactionRun, mark: LogMark, found: LogComparison, loss: LogLoss) -> int:
        """Keep the numbers of missing rows from being given again; the new floor."""
        if await last_of(run.read, 1, FOREVER) and not await run.read("owed_load"):
            run.later("meta_put", ("starting", "1"))  # nobody knows what was delivered: everything again
        floor = max(loss.last + JUMP, int((await run.read("meta_get", (FLOOR,)) or [(0,)])[0][0]))
        run.later("meta_put", (FLOOR, str(floor)))
        run.later("meta_drop", (SALVAGED,))
        top = max((start.last for start in found.starts), default=0)
        now = msgspec.structs.replace(mark, seq=top, starts=folded(found.starts, mark.writer), floor=floor, command=0)
        run.later("meta_put", (JUDGED, msgspec.json.encode(Judgement(mark.seq, now)).decode()))
        return floor

    def done(self) -> None:
        """What was mended is on the disk. Blocks."""
        self._tail, self._wal_missing = WalTail(), False
        try:
            keep_room(self._path)
        except OSError as error:
            log.warning("no disk space could be reserved for the next start: %s", error.strerror)
        try:
            forget_tail(self._path)
        except OSError as error:
            log.warning("the rest of a damaged write-ahead log could not be removed: %s", error.strerror)


def folded(starts: Sequence[StartRows], own: StartRows) -> tuple[StartRows, ...]:
    """Those that have rows, the oldest of too many as one; `own`, which writes the mark, is the last, also without."""
    kept = [start for start in starts if start.rows and not _same(start, own)]
    own = next((start for start in starts if _same(start, own)), msgspec.structs.replace(own, rows=0, lost=0))
    if len(kept) >= MAX_STARTS:  # with its own
        old = kept[: len(kept) + 2 - MAX_STARTS]
        rows, lost = sum(start.rows for start in old), sum(start.lost for start in old)
        kept[: len(old)] = [StartRows(old[0].first, "", old[-1].last, rows, lost)]
    return (*kept, own)


async def _check_whole(run: TransactionRun) -> None:
    """Where something is missing, more may be wrong: a write-ahead log that belongs to another file is one way. Raises
    sqlite3.DatabaseError, as for any damage."""
    found = str((await run.read("quick_check"))[0][0])
    if found != "ok":
        raise corrupt(f"the log is not whole: {found}")


def _same(one: StartRows, other: StartRows) -> bool:
    return (one.first, one.epoch) == (other.first, other.epoch)


async def _rename_unknown(run: TransactionRun, starts: dict[int, str], mark: LogMark) -> None:
    """Rows of starts that the mark does not know get other epochs: these may come from pages of another log, and the
    rows have ids of their own already."""
    lasts = {(start.first, start.epoch): start.last for start in mark.starts}
    for (first, epoch), end in zip(starts.items(), [*list(starts)[1:], FOREVER], strict=True):
        beyond = lasts.get((first, epoch), first - 1) + 1
        if beyond < end and await _count(run, beyond, end) != (0, 0):
            run.later("start_put", start_row(beyond, draw()))


async def _count(run: TransactionRun, lo: int, hi: int) -> tuple[int, int]:
    """How many rows are in [lo, hi), and the highest number of them."""
    rows, top = (await run.read("reading_count_all", (lo, hi)))[0]
    return int(rows), int(top or 0)


async def _starts(run: TransactionRun) -> dict[int, str] | None:
    """The epochs of the log by their first numbers; None where some are lost."""
    rows = await run.read("starts")
    return {row[0]: row[1] for row in rows} if rows and all(map(is_start, rows)) else None


def _belongs(starts: dict[int, str] | None, mark: LogMark, last: int = FOREVER) -> bool:
    """Whether the newest start of the log is that of the mark, or, where that stored nothing, whether the one that
    stored the row `last` is. A start that stored nothing may stand in the log all the same, with what it delivered."""
    if starts is None:
        return not any(start.rows for start in mark.starts)
    if starts[max(starts)] == mark.writer.epoch:
        return True
    with_rows = [start for start in mark.starts[:-1] if start.epoch]
    stored = max((first for first in starts if first <= last), default=0)
    return not mark.writer.rows and (not with_rows or starts.get(stored) == with_rows[-1].epoch)


def _ends(mark: LogMark, starts: Collection[int], before: int, stale: bool) -> list[int]:
    """Up to which numbers rows of each start count. Where the log is a copy of before a loss, rows that were told as
    gone are here again, maybe in the place of others: then all of them do."""
    firsts = sorted({*starts, *(start.first for start in mark.starts), before})
    if not stale:
        return [min(before, start.last + 1) for start in mark.starts]
    return [next((first for first in firsts if first > start.last), before) for start in mark.starts]


async def _missing(
    run: TransactionRun, start: StartRows, starts: dict[int, str] | None, end: int, stale: bool
) -> tuple[int, int]:
    """How many rows of this start, which ends there, may be missing, and the number from which on they are."""
    if start.epoch and starts is not None and starts.get(start.first) != start.epoch:
        return start.rows, start.first
    if start.epoch and starts is not None:  # rows from the next one on are not of this
        end = min((first for first in starts if start.first < first < end), default=end)
    rows, top = await _count(run, start.first, end)
    should = start.rows + (start.lost if stale else 0)
    return min(start.rows, max(0, should - rows)), top + 1 if start.first <= top < start.last else start.first


async def _held(run: TransactionRun, before: int, mark: LogMark) -> tuple[StartRows, ...]:
    """The rows of the log by start."""
    known = await _starts(run)
    starts = {0: ""} | (known or {})
    firsts, held = sorted(starts), list[StartRows]()
    for first, end in zip(firsts, [*firsts[1:], FOREVER], strict=True):
        rows, top = await _count(run, first, min(end, before))
        epoch = starts[first]
        told = [start for start in mark.starts if known is None or _is_told_of(start, first, epoch, end)]
        lost = max(0, sum(start.rows + start.lost for start in told) - rows)
        held.append(StartRows(first, epoch, max(top, first - 1), rows, lost))
    return tuple(held)


def _is_told_of(marked: StartRows, first: int, epoch: str, end: int) -> bool:
    """Whether the mark tells of this start of the log; one that a damaged file lost has another epoch since."""
    return marked.first == first and (marked.epoch == epoch or (not marked.epoch and marked.last < end))


def _judgement(text: str, mark: LogMark) -> LogMark | None:
    """What was written about this mark, where the start that did has written no mark of its own."""
    try:
        judgement = msgspec.json.decode(text, type=Judgement) if text else None
    except msgspec.MsgspecError:
        return None
    if judgement is None or judgement.mark.writer.epoch != mark.writer.epoch or judgement.seq < mark.seq:
        return None
    return judgement.mark
