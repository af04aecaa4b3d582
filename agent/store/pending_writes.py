"""Writes that wait for the next commit of readings: boots, series, delivery positions, dead letters, gap records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from gatepost.agent.core.backoff import RepeatLimiter
from gatepost.agent.core.clock import Clock
from gatepost.agent.store.boot_clock import Row
from gatepost.agent.store.database import TransactionRun
from gatepost.agent.store.delivery.positions import TRACKS, DeliveryPosition
from gatepost.agent.store.gap_counter import GapCount, GapCounter
from gatepost.agent.store.model import Series, series_row
from gatepost.agent.store.start_epochs import Row as StartRow

SAVE_SECONDS = 5.0  # positions are written this long after the last time, and
MANY_SECONDS = 0.8  # sooner where many rows were delivered: a crash repeats about a second of them
MAX_DEAD = 10_000  # as many as the file keeps; the oldest go first, here as there
ACCOUNT = "account:"  # of the store's small state, and the name of the broker
DAMAGED_ROW = "damaged-row"  # reason of a gap record
DAMAGED_ROWS = "damaged-rows"  # key of the small state: rows told as damaged, so that no start tells them again
MAX_DAMAGED = 10_000
DeadLetter = tuple[int | None, str]


class PendingWrites:
    """Pending writes: collected for the next transaction, and kept until one has been committed.

    `announce` appends the event row of a gap and returns its sequence number, 0 when there is no room now.
    """

    def __init__(self, clock: Clock, losses: GapCounter, announce: Callable[[tuple[Any, ...]], int]) -> None:
        self.positions: dict[str, DeliveryPosition] = {}
        self.losses = losses
        self.damaged: set[int] = set()  # rows that are told as damaged
        self.forget_starting = False  # the next write of positions makes the mark of a salvaged file pointless
        self._clock = clock
        self._announce = announce
        self._boots: list[Row] = []
        self._starts: list[StartRow] = []
        self._series: list[Series] = []
        self._dead: dict[tuple[str, int], DeadLetter] = {}
        self._states: dict[str, Any] = {}
        self._told: dict[int, int] = {}  # gap id -> seq of the event row that tells of it
        self.told_to = 0  # gaps up to this id have an event row
        self._untold = False  # there was no room for one
        self._pace = RepeatLimiter()
        self._saved_at = clock.monotonic()
        self._now = False
        self._ending = False
        self._taken = _Taken()

    def add_boot(self, row: Row) -> None:
        self._boots.append(row)

    def add_starts(self, rows: list[StartRow]) -> None:
        self._starts = rows

    def add_series(self, series: Series) -> None:
        self._series.append(series)

    def add_dead(self, broker: str, seq: int, code: int | None, reason: str) -> None:
        while len(self._dead) >= MAX_DEAD:
            del self._dead[next(iter(self._dead))]
        self._dead[broker, seq] = (code, reason)

    def unwritten_dead_letters(self) -> set[int]:
        """Rows with a dead letter that is not in the file yet."""
        return {seq for dead in (self._dead, self._taken.dead) for _, seq in dead}

    def keep(self, key: str, value: Any) -> None:
        """Small state (`KeyValueStore`) that is written with the delivery positions; the value as it is then."""
        self._states[key] = value

    def tell(self, gaps: list[tuple[Any, ...]]) -> None:
        """Give each gap (a row of gap_untold) an event row; the next commit holds both."""
        for gap in gaps:
            if gap[0] > self.told_to:
                seq = self._announce(gap)
                self._untold = not seq
                if not seq:
                    return
                self._told[gap[0]] = seq
                self.told_to = gap[0]

    def refile(self, untold: list[tuple[Any, ...]]) -> None:
        """The file was mended, and its gaps may have other ids now."""
        ids = {gap[0] for gap in untold}
        self._told = {gap: seq for gap, seq in self._told.items() if gap in ids}
        self.told_to = max(self._told, default=0)
        self.tell(untold)

    @property
    def unsaved(self) -> bool:
        """Whether any position has changed."""
        return any(position.dirty for position in self.positions.values())

    @property
    def many_unsaved(self) -> bool:
        return any(position.many_unsaved for position in self.positions.values())

    def save_left(self) -> float:
        """Seconds until changed positions are due; they go with a commit of readings where there is one."""
        if self._now:
            return 0.0
        return self._saved_at + (MANY_SECONDS if self.many_unsaved else SAVE_SECONDS) - self._clock.monotonic()

    def save_now(self) -> None:
        """Make positions due."""
        self._now = True

    def finish(self) -> None:
        """Make everything due, for a clean stop."""
        self._ending = self._now = True

    def due(self) -> bool:
        """Whether this alone is worth a commit."""
        return bool(self._dead or self._told or self._untold) or self.losses_left() == 0 or self._positions_due()

    def losses_left(self) -> float | None:
        """Seconds until counted losses are to be written; None when there are none."""
        if not self.losses:
            return None
        return 0.0 if self._ending else self._pace.left(self._clock.monotonic())

    def waiting(self) -> bool:
        """Whether anything would go with a commit of readings."""
        some = self._boots or self._starts or self._series or self._dead or self._told or self._untold or self.losses
        return bool(some) or self._positions_due()

    async def write(self, run: TransactionRun) -> None:
        # Taken in one go: a position must never be written without the dead letter that let it pass.
        taken = self._taken = _Taken()
        taken.boots, self._boots = self._boots, []
        taken.starts, self._starts = self._starts, []
        taken.series, self._series = self._series, []
        taken.told, self._told = self._told, {}
        positions_due = bool(self._dead) or self._positions_due()
        # A position that passes a damaged row is never written without the gap record of that row.
        if self.losses_left() == 0 or (positions_due and self.losses.counts(DAMAGED_ROW)):
            taken.losses = self.losses.take()
        if positions_due:
            self._take_positions(taken)
        taken.dead, self._dead = self._dead, {}
        for boot in taken.boots:
            run.later("boot_put", boot)
        if taken.starts:
            run.later("start_clear")
            run.many("start_put", taken.starts)
        run.many("series_add", [series_row(series) for series in taken.series])
        for gap, event in taken.told.items():
            run.later("gap_told", (event, gap))
        now = self._clock.now().wall
        for loss in taken.losses:
            gap_row = (now, loss.reason, loss.device, None, loss.count, 0, None, None, loss.since, loss.until)
            run.later("gap_add", gap_row)
        if self.damaged and taken.losses:
            run.later("state_put", (DAMAGED_ROWS, orjson.dumps(sorted(self.damaged)[-MAX_DAMAGED:])))
        if taken.losses or taken.told or self._untold:  # one look finds a limited number: go on until there are none
            taken.untold = await run.read("gap_untold", (self.told_to,))
        run.many("dead_letter_add", [(now, broker, seq, *why) for (broker, seq), why in taken.dead.items()])
        for position, rows in taken.positions:
            for track in TRACKS:
                run.later("owed_clear", (position.broker, track))
            run.many("owed_add", rows)
        for key, value in taken.states.items():
            run.later("state_put", (key, orjson.dumps(value)))
        if taken.positions and taken.forget_starting:
            run.later("meta_drop", ("starting",))

    def held(self) -> None:
        taken, self._taken = self._taken, _Taken()
        if taken.saved:
            self._saved_at = self._clock.monotonic()
        if taken.losses:
            self._pace.told(self._clock.monotonic())
        if taken.positions and taken.forget_starting:
            self.forget_starting = False
        self.tell(taken.untold)

    def failed(self) -> None:
        taken, self._taken = self._taken, _Taken()
        self._boots = taken.boots + self._boots
        self._starts = self._starts or taken.starts
        self._series = taken.series + self._series
        self._dead = {**taken.dead, **self._dead}
        self._states = {**taken.states, **self._states}
        self._told = {**taken.told, **self._told}
        self.losses.give_back(taken.losses)
        for position, _ in taken.positions:
            position.dirty = True
        self._now = self._now or taken.saved

    def _positions_due(self) -> bool:
        if not self._now and self._clock.monotonic() < self._saved_at + MANY_SECONDS:
            return False
        return self.unsaved and self.save_left() <= 0

    def _take_positions(self, taken: _Taken) -> None:
        self._now = False
        taken.saved = True
        taken.states, self._states = self._states, {}
        taken.forget_starting = self.forget_starting
        for position in self.positions.values():
            if position.dirty:
                taken.positions.append((position, position.take_rows()))
                account = position.saved_account()
                if account is not None:
                    taken.states[ACCOUNT + position.broker] = account


class _Taken:
    """What the open transaction holds."""

    def __init__(self) -> None:
        self.boots: list[Row] = []
        self.starts: list[StartRow] = []
        self.series: list[Series] = []
        self.dead: dict[tuple[str, int], DeadLetter] = {}
        self.states: dict[str, Any] = {}
        self.told: dict[int, int] = {}
        self.losses: list[GapCount] = []
        self.untold: list[tuple[Any, ...]] = []
        self.positions: list[tuple[DeliveryPosition, list[tuple[Any, ...]]]] = []
        self.forget_starting = False
        self.saved = False
