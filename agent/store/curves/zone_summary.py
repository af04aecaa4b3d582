"""Summary of one zone of the log in the making; and of the newest zone, out of memory while it grows."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Any

from gatepost.agent.core.clock import US
from gatepost.agent.store.boot_clock import BootClock
from gatepost.agent.store.curves.buckets import BucketTable, columns
from gatepost.agent.store.model import EVENT, IN_STEP, Record
from gatepost.agent.store.ranges import FOREVER
from gatepost.agent.store.series import SeriesBook
from gatepost.agent.store.zone_map import ZONE_ROWS

STEP, COARSE_STEP = 300, 1800  # seconds of a bucket; the coarse ones where fine ones would hardly be fewer than rows
DENSE = {STEP: 8, COARSE_STEP: 4}  # rows that a bucket must stand for; a zone without such ones has no summary: step 0
TOGETHER, TOGETHER_OCTETS = 1024, 250_000  # stored rows that are taken in at once
MAX_READY = 16  # full zones that wait to be written


class ZoneSummary:
    """Summary of a zone. `unsure`: a boot that may tell other times later."""

    def __init__(self, zone: int, boots: BootClock, book: SeriesBook) -> None:
        self.zone = zone
        self.unsure: int | None = None
        self._boots = boots
        self._book = book
        self._table = BucketTable[tuple[int, str]](STEP)
        self._first, self._last, self._rows = FOREVER, 0, 0

    def add(self, records: Sequence[Record]) -> None:
        """Readings, the newest first. KeyError: memory has forgotten a series."""
        groups: defaultdict[tuple[int, int], list[Record]] = defaultdict(list)
        for record in records:
            groups[record.series, record.bits & IN_STEP].append(record)
        for (series, _), group in groups.items():
            walls, boot = self.times(group)
            self.unsure = boot if self.unsure is None else self.unsure
            self._first, self._last = min(self._first, *walls), max(self._last, *walls)
            self._rows += len(group)
            for bucket, part in _by_bucket(walls, group):
                bodies, seqs = [record.body for record in part], [record.seq for record in part]
                for name, values, seq in columns(bodies, seqs):
                    self._table.add_all((series, name), bucket, values, seq)

    def times(self, group: Sequence[Record]) -> tuple[list[int], int | None]:
        """Wall microseconds of records of one series and trust, and the boot that may tell others later."""
        if group[0].bits & IN_STEP:
            return [record.wall for record in group], None
        boot = self._book.get(group[0].series).boot
        shift = self._boots.shift(boot)
        if shift is None:
            return [record.wall for record in group], boot
        return [record.mono + shift for record in group], None

    def rows(self) -> tuple[list[tuple[Any, ...]], tuple[Any, ...]]:
        """As they are kept in the file: the buckets, and the zone."""
        table = self._table
        if table.size * DENSE[STEP] > self._rows:
            table = table.coarser(COARSE_STEP)
            if table.size * DENSE[COARSE_STEP] > self._rows:
                table = BucketTable(0)
        cells = [
            (self.zone, series, name, start, *cell.row())
            for (series, name), curve in table.curves.items()
            for start, cell in curve.items()
        ]
        first, last = min(self._first, self._last), self._last
        return cells, (self.zone, table.step, first // US, last // US, self.unsure)


class NewestZone:
    """The zone that is being written, summarised from what is stored as it grows: none of it is read back. A zone that
    was begun before the start of the agent, or changed under way, has to be read from the file."""

    def __init__(self, begin: Callable[[int], ZoneSummary], head: int) -> None:
        self._begin = begin
        self._ready: dict[int, ZoneSummary] = {}
        self._waiting: list[Record] = []
        self._octets = 0
        self._summary = begin(-(-(head + 1) // ZONE_ROWS))

    def stored(self, batch: Sequence[Record], octets: int) -> bool:
        """More is stored, with bodies of so many octets; whether `take_in` is due."""
        end = batch[-1].seq + 1
        if end <= self._summary.zone * ZONE_ROWS:
            return False
        self._waiting += batch
        self._octets += octets
        return len(self._waiting) >= TOGETHER or self._octets >= TOGETHER_OCTETS or end >= self._end

    def take_in(self) -> None:
        """Add what `stored` has collected to the summary."""
        records, self._waiting, self._octets = self._waiting, [], 0
        while records:
            zone = records[0].seq // ZONE_ROWS
            end = (zone + 1) * ZONE_ROWS
            at = bisect_left(records, end, key=attrgetter("seq")) if records[-1].seq >= end else len(records)
            part, records = records[:at], records[at:]
            if zone > self._summary.zone:  # numbers go on with a step
                self._full(zone)
            if zone == self._summary.zone:
                try:
                    self._summary.add([record for record in reversed(part) if not record.bits & EVENT])
                except KeyError:
                    self._summary = self._begin(zone + 1)
                    continue
                if part[-1].seq + 1 == end:
                    self._full(zone + 1)

    def take(self, zone: int) -> list[ZoneSummary]:
        """The summaries of a full zone, where there is one, and of those right behind it."""
        found: list[ZoneSummary] = []
        while (summary := self._ready.pop(zone + len(found), None)) is not None:
            found.append(summary)
        return found

    def forget(self, upto: int, head: int) -> None:
        """Rows below `upto` are not what they were."""
        for zone in [zone for zone in self._ready if zone * ZONE_ROWS < upto]:
            del self._ready[zone]
        if self._summary.zone * ZONE_ROWS < min(upto, head + 1):
            self._summary = self._begin(head // ZONE_ROWS + 1)
            self._waiting, self._octets = [], 0

    @property
    def _end(self) -> int:
        return (self._summary.zone + 1) * ZONE_ROWS

    def _full(self, following: int) -> None:
        self._ready[self._summary.zone] = self._summary
        while len(self._ready) > MAX_READY:
            del self._ready[min(self._ready)]
        self._summary = self._begin(following)


def _by_bucket(walls: list[int], group: list[Record]) -> Iterator[tuple[int, list[Record]]]:
    """Records by the start of their bucket, in seconds: nearly always one."""
    width = STEP * US
    if min(walls) // width == max(walls) // width:
        yield walls[0] // width * STEP, group
        return
    parts: defaultdict[int, list[Record]] = defaultdict(list)
    for wall, record in zip(walls, group, strict=True):
        parts[wall // width * STEP].append(record)
    yield from parts.items()
