"""Loss watch: keeps the mark of the log, and the notice of a loss until somebody has seen it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import orjson

from gatepost.agent.core.clock import Clock, rfc3339
from gatepost.agent.store.damage.log_mark import MAX_RUNS, LogMark, LogMarkFile
from gatepost.agent.store.damage.loss_check import FLOOR, MARKED, LogLoss, LossCheck, floor_in, rows_of
from gatepost.agent.store.damage.salvage import JUMP, SalvageReport
from gatepost.agent.store.database import Database
from gatepost.agent.store.gap_counter import GapCounter
from gatepost.agent.store.key_value import KeyValueStore
from gatepost.agent.store.ranges import FOREVER

log = logging.getLogger(__name__)

NOTICE, HORIZON = "unseen-loss", "command-horizon"  # keys of the small state
SYNC_SECONDS = 5.0  # the mark is made durable as often as delivery positions once were: one block of 4 kB
GAP_REASON = "log-damaged"


class LossWatch:
    """Watch over one log. `notice` says what may be missing, "" = nothing, or somebody has seen it."""

    def __init__(self, database: Path, clock: Clock) -> None:
        self.notice = ""
        self.horizon = 0  # commands issued before this (wall microseconds) may have been carried out already
        self.unstored = 0  # readings that an earlier process could not store before it stopped: still to be told
        self._clock = clock
        self._file = LogMarkFile(database)
        self._check = LossCheck(database, self._file)
        self._mark = LogMark()
        self._writing = threading.Lock()  # marks are written by the threads of whoever has something to mark
        self._synced_at = float("-inf")
        self._failing = False
        self.removed: Callable[[], int] = int  # rows that retention has removed since the start
        self._missed = 0  # rows that were lost since then, and told
        self.begun = False  # the log was compared with its mark, which is kept up to date from then on

    async def look(self) -> int:
        """Before the file is opened: the highest number that it should hold."""
        await asyncio.to_thread(self._check.look)
        self._mark = self._check.mark or LogMark()
        self.unstored = self._mark.unstored
        return self._mark.seq

    def first_number(self, last: int, read_only: bool) -> int:
        """The number after `last`; of a file that could not be compared with its mark yet, one that is given once in
        any case."""
        if read_only and (self._mark.running or self._mark.seq > last):
            return max(last, self._mark.seq) + JUMP + 1
        return last + 1

    async def judge(
        self, database: Database, repair: SalvageReport | None = None, before: int = FOREVER
    ) -> LogLoss | None:
        """The file is open: what is lost of the rows below `before`, written down as a gap record. Of a file that can
        only be read nothing is said before `open_for_writing`. Raises sqlite3.Error."""
        loss = None if database.read_only else await self._check.judge(database, repair, before)
        key_value = KeyValueStore(database)
        if loss is None:
            self.notice = str(await key_value.get(NOTICE) or "")
            self.horizon = int(await key_value.get(HORIZON) or 0)
        else:
            await self._write_down(database, loss, repair.lost if repair else 0)
        if not database.read_only:
            await asyncio.to_thread(self._check.done)
            if not await database.read("meta_get", (MARKED,)):
                await database.write("meta_put", (MARKED, "1"))
        return loss

    async def open_for_writing(self, database: Database) -> None:
        """The file could only be read when the agent started: open it again. Raises sqlite3.Error."""
        async with database.mending():
            if not self.begun:
                await self.look()
            await database.open()

    @property
    def put_back(self) -> list[tuple[Any, ...]]:
        """Rows that `judge` has put back."""
        return self._check.put_back

    def repaired(self, report: SalvageReport, gaps: GapCounter) -> dict[str, bytes]:
        """The file was replaced under the running agent, the gap record of what was owed is in it: what was delivered
        becomes another one; what else it must remember."""
        missing = max(0, rows_of(self._mark) - report.rows - report.lost)
        self._missed += missing + report.lost
        if missing:
            gaps.add("", missing, GAP_REASON, self._clock.now())
        return self._notice(("database-damaged",), missing + report.lost)

    async def started(self, database: Database, first: int, epoch: str) -> None:
        """The log was compared, and is written from now on."""
        last = int((await database.read("reading_last"))[0][0])
        lowest = int((await database.read("reading_first"))[0][0])
        command = int((await database.read("ledger_top"))[0][0] or 0)
        base = max(floor_in(await database.read("meta_get", FLOOR)) + 1, lowest)
        starts = await database.read("runs")
        runs = runs_of(starts, lowest, base)
        older, known = 0, min(base, starts[0][0] if starts else base)
        if 0 < lowest < known:  # which starts these rows are of was lost with a damaged file
            older = int((await database.read("reading_count_below", (known,)))[0][0])
        self.begun = True
        self._mark = LogMark(
            seq=last,
            base=base,
            runs=tuple(runs[-MAX_RUNS:]),
            older=older + sum(hi + 1 - lo for lo, hi in runs[:-MAX_RUNS]),
            first=first,
            epoch=epoch,
            command=command,
            running=True,
            unstored=self.unstored,
        )
        await asyncio.to_thread(self._change(durable=True))

    def stored(self, seq: int | None) -> Callable[[], None]:
        """Rows up to `seq` are about to be committed, and what was untold with them: what is to be called in a thread
        once they are, before anybody is told."""
        due = self._clock.monotonic() - self._synced_at >= SYNC_SECONDS
        changes = {} if seq is None else {"seq": seq}
        change = self._change(due, unstored=0, gone=self.removed() + self._missed, **changes)
        return change if self.begun and (due or changes) else lambda: None

    async def command_recorded(self, recorded: int) -> None:
        if self.begun and recorded > self._mark.command:
            await asyncio.to_thread(self._change(durable=False, command=recorded))

    async def stopped(self, unstored: int) -> None:
        """Before the file is closed; `unstored` readings were taken and could not be stored."""
        running = self._mark.running and not self.begun  # of an earlier start, never compared
        await asyncio.to_thread(self._change(durable=True, running=running, unstored=self.unstored + unstored))
        await asyncio.to_thread(self._file.close)

    async def seen(self, key_value: KeyValueStore) -> None:
        """Somebody has seen the notice. Raises StoreError."""
        await key_value.put(NOTICE, None)
        self.notice = ""

    async def _write_down(self, database: Database, loss: LogLoss, known: int) -> None:
        """In one transaction: a start that is cut off tells either nothing or all of it."""
        state = self._notice(loss.signs, loss.missing + known)
        gap = (self.horizon, GAP_REASON, None, None, loss.missing, 0, loss.first, loss.last, None, self.horizon)
        async with database.transaction() as run:
            await self._check.mend(run, loss)
            if loss.missing:
                run.later("gap_add", gap)
            for item in state.items():
                run.later("state_put", item)

    def _notice(self, signs: tuple[str, ...], missing: int) -> dict[str, bytes]:
        """The entries of the small state that remember it."""
        self.horizon = self._clock.now().wall
        when = rfc3339(self.horizon)[:19]
        self.notice = f"at {when}Z the log was found damaged ({', '.join(signs)}): {missing} readings may be missing"
        log.error("%s", self.notice)
        return {NOTICE: orjson.dumps(self.notice), HORIZON: orjson.dumps(self.horizon)}

    def _change(self, durable: bool, **changes: Any) -> Callable[[], None]:
        """What changes the mark: blocks. One that cannot be written leaves a loss untold, no more: the log goes on."""
        now = self._clock.monotonic()

        def write() -> None:
            with self._writing:
                self._mark = msgspec.structs.replace(self._mark, **changes)
                self.unstored = self._mark.unstored
                try:
                    self._file.write(self._mark, durable)
                except OSError as error:
                    if not self._failing:
                        log.warning("the mark of the log could not be written: %s", error.strerror)
                    self._failing = True
                else:
                    self._failing = False
                    if durable:
                        self._synced_at = now

        return write


def runs_of(rows: list[tuple[Any, ...]], lowest: int, base: int) -> list[tuple[int, int]]:
    """First and last numbers of rows below `base`; `rows` have the first number of a start, and the last one before the
    next start."""
    runs: list[tuple[int, int]] = []
    for start, end in rows:
        lo, hi = max(start, lowest, 1), min(end or 0, base - 1)
        if runs and lo == runs[-1][1] + 1 and hi >= lo:
            runs[-1] = (runs[-1][0], hi)
        elif hi >= lo:
            runs.append((lo, hi))
    return runs
