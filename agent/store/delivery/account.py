"""Account of what one broker acknowledged, by epoch: exact, because it is saved together with the delivery position.

A reading is counted once, when the position passes it. What was passed before and is owed again (a resend) is not
counted twice; where that cannot be told any more, counting begins anew above all that was counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from gatepost.agent.store.ranges import Range, Ranges

MAX_EPOCHS = 100  # starts of the agent that are accounted for at once; the oldest go first


class EpochAccount(msgspec.Struct):
    """Account of one start: of the readings from number `first` to `last`, `sent` were acknowledged, `skipped` were
    done without a message, `gaps` were dropped for want of room."""

    first: int
    last: int
    sent: int = 0
    skipped: int = 0
    gaps: int = 0


class _SavedAccount(msgspec.Struct):
    floor: int
    epochs: dict[str, EpochAccount]
    repeats: tuple[list[Range], list[Range]]


class DeliveryAccount:
    """Account of one broker. Rows below `floor` are not counted; `epoch_of` tells the epoch of a row."""

    def __init__(self, floor: int, epoch_of: Callable[[int], str]) -> None:
        self.floor = floor
        self.epochs: dict[str, EpochAccount] = {}
        self._repeats = (Ranges(), Ranges())  # by track: counted, and owed again
        self._epoch_of = epoch_of

    @classmethod
    def restored(cls, saved: Any, epoch_of: Callable[[int], str]) -> DeliveryAccount | None:
        """As `as_saved` gave it; None where it is none."""
        try:
            plain = msgspec.convert(saved, _SavedAccount)
        except msgspec.ValidationError:
            return None
        account = cls(plain.floor, epoch_of)
        account.epochs = plain.epochs
        account._repeats = (Ranges(plain.repeats[0]), Ranges(plain.repeats[1]))
        return account

    def as_saved(self) -> dict[str, Any]:
        """As JSON can hold it."""
        saved: dict[str, Any] = msgspec.to_builtins(
            _SavedAccount(self.floor, self.epochs, (list(self._repeats[0]), list(self._repeats[1])))
        )
        return saved

    def passed(self, track: int, sent: Iterable[int], skipped: Iterable[int]) -> None:
        """The position is about to pass these rows of a track."""
        again, floor = self._repeats[track], self.floor
        for seq in sent:
            if seq >= floor and not (again and seq in again):
                self._of(seq).sent += 1
        for seq in skipped:
            if seq >= floor and not (again and seq in again):
                self._of(seq).skipped += 1

    def settled(self, track: int, lo: int, hi: int) -> None:
        """Nothing in [lo, hi) of this track is owed any more."""
        if self._repeats[track]:
            self._repeats[track].subtract(lo, hi)

    def owed_again(self, track: int, ranges: Iterable[Range]) -> None:
        """These rows were passed before."""
        for lo, hi in ranges:
            self._repeats[track].add(lo, hi)

    def dropped(self, track: int, seqs: Iterable[int]) -> None:
        """These rows of a track were removed while they were owed."""
        again, floor = self._repeats[track], self.floor
        for seq in seqs:
            if seq >= floor and not (again and seq in again):
                self._of(seq).gaps += 1

    def begin_anew(self, floor: int = 0) -> None:
        """What was counted is not known to be exact any more."""
        last = max((account.last for account in self.epochs.values()), default=0)
        self.floor = max(self.floor, floor, last + 1)
        self.epochs.clear()

    def forget(self, epoch: str) -> None:
        """Nothing more comes of this start, and what came was told."""
        self.epochs.pop(epoch, None)

    def _of(self, seq: int) -> EpochAccount:
        epoch = self._epoch_of(seq)
        account = self.epochs.get(epoch)
        if account is None:
            account = self.epochs[epoch] = EpochAccount(seq, seq)
            while len(self.epochs) > MAX_EPOCHS:
                del self.epochs[next(iter(self.epochs))]
        elif seq < account.first:
            account.first = seq
        elif seq > account.last:
            account.last = seq
        return account
