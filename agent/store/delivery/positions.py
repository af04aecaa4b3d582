"""Delivery position of a broker: the rows that it is still owed, apart for urgent and other rows."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gatepost.agent.store.delivery.account import DeliveryAccount
from gatepost.agent.store.model import text_checksum
from gatepost.agent.store.ranges import FOREVER, MAX_RANGES_OWED, Ranges

NORMAL, URGENT_TRACK = 0, 1
TRACKS = (NORMAL, URGENT_TRACK)
MARK = "position"  # of an account, of the rows that it belongs to
MANY_ROWS = 100  # delivered rows that are written down sooner than fewer would be


class DeliveryPosition:
    """Position of one broker name in the log. Changes are kept in memory and written with one of the next commits
    (`dirty`): a crash before that repeats the readings, with their ids. `on_dirty` is called by the first change, and
    when there are many."""

    def __init__(self, broker: str, on_dirty: Callable[[], None] | None = None) -> None:
        self.broker = broker
        self.owed = (Ranges(), Ranges())
        self.dirty = False
        self.on_dirty = on_dirty
        self.unsaved_rows = 0  # delivered or given up since this was written
        self._many = 1  # the first of a start: an agent that is killed again and again gets on
        self.account: DeliveryAccount | None = None  # of what was delivered, where somebody wants it

    @classmethod
    def starting(cls, broker: str, seq: int, on_dirty: Callable[[], None] | None = None) -> DeliveryPosition:
        """A broker seen for the first time is owed everything from `seq` on."""
        position = cls(broker, on_dirty)
        position.owe(seq, FOREVER)
        return position

    def count(self, rows: int) -> None:
        """So many rows were delivered or given up."""
        few = not self.many_unsaved
        self.unsaved_rows += rows
        if few and self.many_unsaved and self.on_dirty is not None:
            self.on_dirty()

    @property
    def many_unsaved(self) -> bool:
        """Whether so many were delivered that it is worth writing soon."""
        return self.unsaved_rows >= self._many

    def settle(self, track: int, lo: int, hi: int) -> None:
        """Nothing in [lo, hi) of this track is owed any more."""
        if lo < hi:
            self.owed[track].subtract(lo, hi)
            if self.account is not None:
                self.account.settled(track, lo, hi)
                if len(self.owed[track]) >= MAX_RANGES_OWED:  # of more, those between are owed again
                    self.account.begin_anew()
            self._mark_dirty()

    def dropped(self, track: int, lo: int, hi: int, seqs: Sequence[int]) -> None:
        """The rows of [lo, hi) are removed: these, in order, of which some broker was owed each."""
        if self.account is not None:
            for start, end in self.owed[track].within(lo, hi):
                self.account.dropped(track, seqs[bisect_left(seqs, start) : bisect_left(seqs, end)])
        self.settle(track, lo, hi)

    def owe(self, lo: int, hi: int) -> None:
        """Everything in [lo, hi) is owed (again)."""
        for track in TRACKS:
            if self.account is not None:
                self.account.owed_again(track, self.owed[track].outside(lo, hi))
            self.owed[track].add(lo, hi)
        self._mark_dirty()

    def _mark_dirty(self) -> None:
        if not self.dirty:
            self.dirty = True
            if self.on_dirty is not None:
                self.on_dirty()

    def take_rows(self) -> list[tuple[Any, ...]]:
        """`rows` to be written now: no longer dirty."""
        self.dirty = False
        if self.unsaved_rows:
            self.unsaved_rows, self._many = 0, MANY_ROWS
        return self.rows()

    def saved_account(self) -> dict[str, Any] | None:
        """The account as it is kept beside these rows, and by which mark that shows; None where there is none."""
        return None if self.account is None else {**self.account.as_saved(), MARK: self.mark}

    def begin_account(self, epoch_of: Callable[[int], str]) -> None:
        """Count from the first row on from which all are owed."""
        floor = max((lo for owed in self.owed for lo, hi in owed if hi == FOREVER), default=FOREVER)
        self.account = DeliveryAccount(floor, epoch_of)

    def restore_account(self, saved: Any, epoch_of: Callable[[int], str]) -> bool:
        """Go on with an account; false where it is none, or not one of these rows: something was not counted."""
        if isinstance(saved, dict) and saved.get(MARK) == self.mark:
            self.account = DeliveryAccount.restored(saved, epoch_of)
        return self.account is not None

    @property
    def mark(self) -> int:
        """Checksum of the rows: an account that was saved beside others does not fit."""
        return text_checksum(*self.rows())

    def rows(self) -> list[tuple[Any, ...]]:
        """As they are kept in the file."""
        return [owed_row(self.broker, track, lo, hi) for track in TRACKS for lo, hi in self.owed[track]]


def owed_row(broker: str, track: int, lo: int, hi: int) -> tuple[Any, ...]:
    return (broker, track, lo, hi, text_checksum(broker, track, lo, hi))


def load(rows: Iterable[tuple[Any, ...]]) -> dict[str, DeliveryPosition]:
    """Positions by broker. One with a damaged row owes everything again: repeats are harmless, a hole is not."""
    positions: dict[str, DeliveryPosition] = {}
    doubtful: set[str] = set()
    for broker, track, lo, hi, crc in rows:
        position = positions.setdefault(broker, DeliveryPosition(broker))
        if crc == text_checksum(broker, track, lo, hi):
            position.owed[track].add(lo, hi)
        else:
            doubtful.add(broker)
    for broker in doubtful:
        positions[broker].owe(1, FOREVER)
    return positions
