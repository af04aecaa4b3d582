"""What rides along with a commit of readings: new series, positions of brokers, dead letters, gap records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agent.clock import Clock
from agent.store.database import Run
from agent.store.losses import Loss, Losses
from agent.store.positions import TRACKS, Position
from agent.store.rows import Series

SAVE_ROWS = 2000  # settled rows after which positions are written,
SAVE_SECONDS = 5.0  # or this long after the last time: a crash repeats at most as much
MAX_DEAD = 1000


class RideAlong:
    """Collects what is to be written in the next transaction, and keeps it until a transaction held."""

    def __init__(self, clock: Clock, losses: Losses, announce: Callable[[tuple[Any, ...]], int]) -> None:
        self.positions: dict[str, Position] = {}
        self.before_save: list[Callable[[], None]] = []  # lanes note here what they settled
        self.losses = losses
        self._clock = clock
        self._announce = announce
        self._series: list[Series] = []
        self._dead: dict[tuple[str, int], tuple[int | None, str]] = {}
        self._told: dict[int, int] = {}  # gap id -> seq of the event row that tells of it
        self._saved_at = clock.monotonic()
        self._settled = 0  # rows settled since positions were written
        self._changed = False
        self._taken = _Taken()

    def add_series(self, series: Series) -> None:
        self._series.append(series)

    def add_dead(self, broker: str, seq: int, code: int | None, reason: str) -> None:
        if len(self._dead) < MAX_DEAD:
            self._dead[broker, seq] = (code, reason)

    def tell(self, gaps: list[tuple[Any, ...]]) -> None:
        """Give each gap (a row of gap_untold) an event row; the next commit holds both."""
        for gap in gaps:
            if gap[0] not in self._told:
                self._told[gap[0]] = self._announce(gap)

    def settled(self, rows: int) -> None:
        """A lane has settled rows, and will note them when asked."""
        self._settled += rows
        self._changed = True

    @property
    def unsaved(self) -> bool:
        return self._changed or any(position.dirty for position in self.positions.values())

    def save_now(self) -> None:
        """Make positions due, for a clean stop."""
        self._saved_at = self._clock.monotonic() - SAVE_SECONDS

    def due(self) -> bool:
        """Whether this alone is worth a commit."""
        return bool(self.losses or self._dead or self._told) or self._positions_due()

    async def write(self, run: Run) -> None:
        # Taken in one go: a position must never be written without the dead letter that let it pass.
        taken = self._taken = _Taken()
        taken.series, self._series = self._series, []
        taken.told, self._told = self._told, {}
        taken.losses = self.losses.take()
        if self._dead or self._positions_due():
            self._take_positions(taken)
        taken.dead, self._dead = self._dead, {}
        for series in taken.series:
            row = (series.number, series.boot, series.device, series.patient, series.common.decode())
            await run("series_add", row)
        for gap, event in taken.told.items():
            await run("gap_told", (event, gap))
        now = self._clock.now().wall
        for loss in taken.losses:
            gap_row = (now, loss.reason, loss.device, None, loss.count, 0, None, None, loss.since, loss.until)
            await run("gap_add", gap_row)
        if taken.losses:
            taken.untold = await run.read("gap_untold")
        for (broker, seq), (code, reason) in taken.dead.items():
            await run("dead_letter_add", (now, broker, seq, code, reason))
        for position, rows in taken.positions:
            for track in TRACKS:
                await run("owed_clear", (position.broker, track))
            await run.many("owed_add", rows)

    def held(self) -> None:
        taken, self._taken = self._taken, _Taken()
        if taken.saved:
            self._saved_at = self._clock.monotonic()
        self.tell(taken.untold)

    def failed(self) -> None:
        taken, self._taken = self._taken, _Taken()
        self._series = taken.series + self._series
        self._dead = {**taken.dead, **self._dead}
        self._told = {**taken.told, **self._told}
        self.losses.give_back(taken.losses)
        for position, _ in taken.positions:
            position.dirty = True

    def _positions_due(self) -> bool:
        if not self.unsaved:
            return False
        return self._settled >= SAVE_ROWS or self._clock.monotonic() - self._saved_at >= SAVE_SECONDS

    def _take_positions(self, taken: _Taken) -> None:
        for note in self.before_save:
            note()
        self._settled, self._changed = 0, False
        taken.saved = True
        for position in self.positions.values():
            if position.dirty:
                rows = [(position.broker, track, lo, hi) for track in TRACKS for lo, hi in position.owed[track]]
                taken.positions.append((position, rows))
                position.dirty = False


class _Taken:
    """What the open transaction holds."""

    def __init__(self) -> None:
        self.series: list[Series] = []
        self.dead: dict[tuple[str, int], tuple[int | None, str]] = {}
        self.told: dict[int, int] = {}
        self.losses: list[Loss] = []
        self.untold: list[tuple[Any, ...]] = []
        self.positions: list[tuple[Position, list[tuple[Any, ...]]]] = []
        self.saved = False
