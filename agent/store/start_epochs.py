"""Start epochs: drawn at random at each start of the agent, kept with the rows of that start, part of their ids."""

from __future__ import annotations

import secrets
from bisect import bisect_right
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from gatepost.agent.store.model import text_checksum

EPOCH_OCTETS = 4
Row = tuple[int, str, int]  # first sequence number, epoch, checksum


class StartEpochs:
    """Epochs by sequence number: one for all rows from the first number of a start on, up to that of the next start.

    So no rolled-back log, restored directory or copied card gives one id to two readings.
    """

    def __init__(self, rows: Iterable[tuple[Any, ...]], first: int) -> None:
        """`rows` of earlier starts; this start numbers from `first` on."""
        found: list[Any] = list(rows)
        # A start that cannot be read has rows that must not get the epoch of the one before it.
        whole = all(map(is_start, found))
        earlier = sorted((row[0], row[1]) for row in found if row[0] < first) if whole else []
        if not earlier or earlier[0][0] > 0:
            earlier.insert(0, (0, draw()))
        self._rows: list[tuple[int, str]] = [*earlier, (first, draw())]
        self._firsts = [row[0] for row in self._rows]
        self.first, self.current = self._rows[-1]

    def of(self, seq: int) -> str:
        """The epoch of this row."""
        return self.current if seq >= self.first else self._rows[bisect_right(self._firsts, seq) - 1][1]

    def span(self, epoch: str) -> tuple[int, int] | None:
        """The rows of an earlier start as [first, end); None for this one, and for one that is not known."""
        for (first, found), (end, _) in pairwise(self._rows):
            if found == epoch:
                return first, end
        return None

    def learn(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Starts before this one that were found later."""
        known = {first for first, _ in self._rows}
        self._rows = sorted([*self._rows, *((r[0], r[1]) for r in rows if is_start(r) and r[0] not in known)])
        self._firsts = [row[0] for row in self._rows]

    def rows(self) -> list[Row]:
        """As they are kept in the file."""
        return [start_row(first, epoch) for first, epoch in self._rows]


def draw() -> str:
    """A new epoch: 8 hexadecimal digits."""
    return secrets.token_hex(EPOCH_OCTETS)


def start_row(first: int, epoch: str) -> Row:
    return (first, epoch, text_checksum(first, epoch))


def is_start(row: tuple[Any, ...]) -> bool:
    """Whether this is a row of the table of starts that passes its checksum."""
    return len(row) == 3 and row[2] == text_checksum(*row[:2])
