"""Loss watch: keeps the mark of the log, and the notice of a loss until somebody has seen it."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import orjson

from gatepost.agent.core.clock import Clock, rfc3339
from gatepost.agent.store.damage.log_mark import LogMark, LogMarkFile, StartRows
from gatepost.agent.store.damage.loss_check import FLOOR, JUDGED, MARKED, LogComparison, LogLoss, LossCheck, folded
from gatepost.agent.store.damage.salvage import JUMP
from gatepost.agent.store.damage.wal_generation import GENERATION, GenerationWatch
from gatepost.agent.store.database import Database, Rows, TransactionRun
from gatepost.agent.store.key_value import KeyValueStore
from gatepost.agent.store.log_order import last_of
from gatepost.agent.store.ranges import FOREVER
from gatepost.agent.store.start_epochs import StartEpochs

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
        self._generation = GenerationWatch(database)
        self._writing = threading.Lock()  # marks are written by the threads of whoever has something to mark
        self._synced_at = float("-inf")
        self._failing = False
        self._held: tuple[StartRows, ...] = ()  # what the log holds, by start
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

    async def judge(self, database: Database, before: int = FOREVER) -> LogLoss | None:
        """The file is open: what is lost of the rows below `before`, written down as a gap record in the transaction in
        which they are counted. Of a file that can only be read nothing is said before `open_for_writing`.

        Raises sqlite3.Error.
        """
        loss = None
        if not database.read_only:
            async with database.transaction() as run:
                mark = self._mark if self.begun else self._check.mark
                if not self.begun:
                    await self._opened(await run.read("meta_get", (GENERATION,)), self._check.wal_gone)
                found = await self._check.judge(run, mark, before)
                loss, self._held = found.loss, found.starts
                if loss is not None:
                    await self._write_down(run, mark or LogMark(), found, loss)
                elif not await run.read("meta_get", (MARKED,)):
                    run.later("meta_put", (MARKED, "1"))
            if loss is not None:
                await self._settle(database)
            await asyncio.to_thread(self._check.done)
        if loss is None:
            key_value = KeyValueStore(database)
            self.notice = str(await key_value.get(NOTICE) or "")
            self.horizon = int(await key_value.get(HORIZON) or 0)
        return loss

    async def mended(self, database: Database) -> None:
        """A new file is open, and nobody has written to it. Raises sqlite3.Error."""
        await self._opened(await database.probe("meta_get", (GENERATION,)), begins=True)

    async def _opened(self, said: Rows, begins: bool) -> None:
        await asyncio.to_thread(self._generation.opened, str(said[0][0]) if said else "", begins)

    async def _settle(self, database: Database) -> None:
        """Everything into the file: a write-ahead log that comes back later finds nothing of before the loss."""
        try:
            await database.checkpoint("TRUNCATE")
        except sqlite3.Error as error:
            log.warning("the write-ahead log could not be emptied: %s", error)

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

    async def started(self, database: Database, epochs: StartEpochs) -> None:
        """The log was compared, and is written from now on."""
        async with database.transaction() as run:
            command = int((await run.read("ledger_top"))[0][0] or 0)
            floor = int((await run.read("meta_get", (FLOOR,)) or [(0,)])[0][0])
            rows, top = (await run.read("reading_count_all", (epochs.first, FOREVER)))[0]
            last = await last_of(run.read, 1, FOREVER) or 0
            own = StartRows(epochs.first, epochs.current, int(top or epochs.first - 1), int(rows))
            held = [msgspec.structs.replace(start, epoch=epochs.of(start.first)) for start in self._held if start.rows]
            if any(not start.epoch and start.rows for start in self._held):  # the file had lost them
                run.many("start_put", epochs.rows())
            starts = folded((*held, own), own)
            self._mark = LogMark(
                seq=last, starts=starts, floor=floor, command=command, running=True, unstored=self.unstored
            )
            self.begun = True
        await asyncio.to_thread(self._change(durable=True))
        if await database.read("meta_get", (JUDGED,)):
            await database.write("meta_drop", (JUDGED,))

    def stored(self, run: TransactionRun, seq: int | None, rows: int = 0) -> None:
        """So many rows up to `seq` are about to be committed, and what was untold with them: they are in the mark once
        they are, before anybody is told."""
        due = self._clock.monotonic() - self._synced_at >= SYNC_SECONDS
        if not self.begun or not (due or seq is not None):
            return
        self._name_generation(run)
        if seq is None:
            run.then(self._change(due, unstored=0))
        else:
            *before, own = self._mark.starts
            own = StartRows(own.first, own.epoch, seq, own.rows + rows, own.lost)
            run.then(self._change(due, unstored=0, seq=seq, starts=(*before, own)))

    def border(self, seq: int) -> int:
        """The first number behind `seq` that belongs to another start: rows of both are not removed at once."""
        return next((start.first for start in self._mark.starts if start.first > seq), FOREVER)

    def removed(self, seq: int, rows: int) -> Callable[[], None]:
        """So many rows of the start that gave this number are about to be removed; what is to be called in a thread
        once they are."""
        starts = list(self._mark.starts)
        at = next((at for at in reversed(range(len(starts))) if starts[at].first <= seq), None)
        if not self.begun or at is None or not rows:
            return lambda: None
        starts[at] = msgspec.structs.replace(starts[at], rows=max(0, starts[at].rows - rows))
        return self._change(durable=False, starts=(*filter(_has_rows, starts[:-1]), starts[-1]))

    async def command_recorded(self, recorded: int, newest: int | None) -> None:
        """A command was recorded then, wall microseconds; `newest` of all, where the clock may have gone back."""
        command = max(recorded, self._mark.command) if newest is None else newest
        if self.begun and command != self._mark.command:
            await asyncio.to_thread(self._change(durable=False, command=command))

    async def stopped(self, unstored: int) -> None:
        """Before the file is closed; `unstored` readings were taken and could not be stored."""
        running = self._mark.running and not self.begun  # of an earlier start, never compared
        await asyncio.to_thread(self._change(durable=True, running=running, unstored=self.unstored + unstored))
        await asyncio.to_thread(self._file.close)
        self._generation.close()

    async def seen(self, key_value: KeyValueStore) -> None:
        """Somebody has seen the notice. Raises StoreError."""
        await key_value.put(NOTICE, None)
        self.notice = ""

    async def _write_down(self, run: TransactionRun, mark: LogMark, found: LogComparison, loss: LogLoss) -> None:
        """In one transaction: a start that is cut off tells either nothing or all of it."""
        state = self._notice(loss.signs, loss.missing + loss.known)
        floor = await self._check.mend(run, mark, found, loss)
        if loss.missing:
            when = self.horizon
            run.later("gap_add", (when, GAP_REASON, None, None, loss.missing, 0, loss.first, loss.last, None, when))
        for item in state.items():
            run.later("state_put", item)
        run.later("meta_put", (MARKED, "1"))
        self._name_generation(run)
        if self.begun:
            run.then(self._change(durable=True, starts=folded(found.starts, mark.writer), floor=floor))

    def _name_generation(self, run: TransactionRun) -> None:
        due = self._generation.due()
        if due:
            run.later("meta_put", (GENERATION, str(due)))
        run.then(lambda: self._generation.committed(due))

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
                self._mark = msgspec.structs.replace(self._mark, **changes, wal=str(self._generation.written))
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


def _has_rows(start: StartRows) -> bool:
    return bool(start.rows)
