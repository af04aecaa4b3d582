"""Newest stored records in memory, so that what was just stored is sent without being read back."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter

from gatepost.agent.store.model import Record

MAX_ROWS = 3500
MAX_BYTES = 1_000_000
ROW_COST = 200  # octets that a record takes beside its body
UNASKED = 8  # commits in which nobody wanted any: from then on only the newest one's are kept


class RecentRecords:
    """Newest records in sequence order, bounded. `start` is the first sequence number that it can answer for."""

    def __init__(self, start: int) -> None:
        self.start = start
        self._records: list[Record] = []
        self._bytes = 0
        self._unasked = 0

    def extend(self, records: Sequence[Record]) -> int:
        """The octets of their bodies."""
        if not records:
            return 0
        if self._unasked >= UNASKED:
            self.start, self._records, self._bytes = records[0].seq, [], 0
        self._unasked += 1
        self._records.extend(records)
        octets = sum([len(record.body) for record in records])
        self._bytes += octets + ROW_COST * len(records)
        if len(self._records) > MAX_ROWS + MAX_ROWS // 4 or self._bytes > MAX_BYTES + MAX_BYTES // 4:
            self._trim()
        return octets

    def since(self, seq: int, limit: int) -> list[Record] | None:
        """Records from `seq` on, or None when the tail does not reach back that far."""
        self._unasked = 0
        if seq < self.start:
            return None
        at = seq - self.start
        if at >= len(self._records) or self._records[at].seq != seq:
            at = bisect_left(self._records, seq, key=attrgetter("seq"))
        return self._records[at : at + limit]

    def _trim(self) -> None:
        drop = max(0, len(self._records) - MAX_ROWS)
        size = self._bytes
        for record in self._records[:drop]:
            size -= len(record.body) + ROW_COST
        while size > MAX_BYTES and drop < len(self._records):
            size -= len(self._records[drop].body) + ROW_COST
            drop += 1
        self.start = self._records[drop].seq if drop < len(self._records) else self._records[-1].seq + 1
        del self._records[:drop]
        self._bytes = size
