"""One position a broker name: which rows it still owes an acknowledgement for, apart for urgent and other rows."""

from __future__ import annotations

from agent.store.ranges import FOREVER, Ranges

NORMAL, URGENT_TRACK = 0, 1
TRACKS = (NORMAL, URGENT_TRACK)


class Position:
    """What one broker owes. Changes are kept in memory and written with the next commit (`dirty`): a crash before
    that repeats the readings, with their ids."""

    def __init__(self, broker: str) -> None:
        self.broker = broker
        self.owed = (Ranges(), Ranges())
        self.dirty = False

    @classmethod
    def starting(cls, broker: str, seq: int) -> Position:
        """A broker seen for the first time owes everything from `seq` on."""
        position = cls(broker)
        for track in TRACKS:
            position.owed[track].add(seq, FOREVER)
        position.dirty = True
        return position

    def settle(self, track: int, lo: int, hi: int) -> None:
        """Nothing in [lo, hi) of this track is owed any more."""
        if lo < hi:
            self.owed[track].subtract(lo, hi)
            self.dirty = True

    def owe(self, lo: int, hi: int) -> None:
        """Everything in [lo, hi) is owed (again)."""
        for track in TRACKS:
            self.owed[track].add(lo, hi)
        self.dirty = True
