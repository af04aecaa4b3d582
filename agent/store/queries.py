"""Queries of the log: pages for delivery, history, single rows; each with its series in memory."""

from __future__ import annotations

import logging
import sqlite3
import struct
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any, NamedTuple, ParamSpec, TypeVar

import orjson

from gatepost.agent.core.clock import Clock
from gatepost.agent.core.errors import StoreError
from gatepost.agent.store.database import Database, Params, Rows
from gatepost.agent.store.delivery.positions import NORMAL, URGENT_TRACK
from gatepost.agent.store.log_order import check_rest, check_rows, count_of, first_of, last_of
from gatepost.agent.store.model import (
    ALL,
    HistoryPage,
    Record,
    checksum_seed,
    is_sound,
    record_from,
    seeded_checksum,
)
from gatepost.agent.store.ranges import FOREVER, Range
from gatepost.agent.store.series import SeriesBook
from gatepost.agent.store.writer import explain
from gatepost.agent.store.zone_map import ZoneMap

log = logging.getLogger(__name__)

T = TypeVar("T")
P = ParamSpec("P")

SEARCH_SECONDS = 1.0  # that one search or count may take
PAGES = {NORMAL: "reading_page", URGENT_TRACK: "reading_page_urgent"}
FROM_THE_OTHER_END = {
    "reading_page": "reading_page_last",
    "reading_page_urgent": "reading_last_urgent",
    "reading_history": "reading_onward",
    "reading_onward": "reading_history",
    "reading_one": "reading_last",
}
STRETCH_ROWS = 1024  # that are worked on without a pause
MAX_LOGGED = 20  # damaged rows that the log names one by one


class UndeliveredCount(NamedTuple):
    """How many rows are in some ranges, and the first one's number; not `exact` when counting took too long."""

    rows: int
    first: int | None
    exact: bool


class StoreQueries:
    """Reads on behalf of the store. `mend` repairs what it can and says whether to try again."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        book: SeriesBook,
        head: Callable[[], int],
        damaged: set[int],
        on_damaged: Callable[[], None],
        mend: Callable[[sqlite3.Error], Awaitable[bool]],
    ) -> None:
        self.zones = ZoneMap(database)
        self.database = database
        self._clock = clock
        self._book = book
        self._head = head
        self._on_damaged = on_damaged
        self._mend = mend
        self._damaged = damaged  # rows that are told as such already
        self._logged = 0

    async def one(self, seq: int) -> Record | None:
        """A row of the log; None where there is none, or a damaged one."""
        records, _ = await self._look("reading_one", seq, seq + 1, 1)
        return records[0] if records else None

    async def first(self, lo: int = 1) -> int | None:
        """The lowest stored sequence number from `lo` on. Raises StoreError."""
        return await self._mend_and_try(first_of, self.database.search, lo, self._head() + 1)

    async def last(self, hi: int) -> int | None:
        """The highest stored sequence number below `hi`. Raises StoreError."""
        return await self._mend_and_try(last_of, self.database.search, 1, hi)

    async def page(self, track: int, lo: int, hi: int, limit: int) -> list[Record]:
        """Up to `limit` records of one track (0 normal, 1 urgent) in [lo, hi), in order, their series in memory.

        A row whose checksum fails is left out and becomes a gap record. Fewer than `limit`: there are no more.
        """
        hi = min(hi, self._head() + 1)
        records: list[Record] = []
        while len(records) < limit:
            part, reached = await self._look(PAGES[track], lo, hi, limit - len(records))
            records += part
            if reached is None:
                break
            lo = reached + 1
        return records

    async def history(
        self,
        device: str | None = None,
        metric: str | None = None,
        since: int | None = None,
        until: int | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> HistoryPage:
        """Newest first; times in wall microseconds, `before` a sequence number: the `cursor` of the page before.

        It may stop early, see HistoryPage; pages for the brokers never wait behind it.
        """
        page = HistoryPage()
        wanted = await self.series_wanted(device, metric)
        if wanted is not None and not wanted:
            return page
        whole = wanted is None and since is None and until is None
        params = _filters(wanted, since, until)
        give_up = self._clock.monotonic() + SEARCH_SECONDS
        at = min(FOREVER if before is None else before, self._head() + 1)  # everything from here on was looked at
        looked = False  # at least at one stretch: the next page must get further
        while len(page) < limit and not (looked and self._clock.monotonic() > give_up):
            looked = True
            lo, hi = self.zones.bounds(at - 1)
            if hi <= self._head() + 1 and not whole:
                zone = await self._mend_and_try(self.zones.look, at - 1)
                if not zone.series:
                    last = await self.last(lo)
                    if last is None:
                        return page
                    at = last + 1
                    continue
                if not zone.may_hold(wanted, since, until):
                    at = lo
                    continue
            part, reached = await self._look("reading_history", 0 if whole else lo, at, limit - len(page), **params)
            page += part
            if whole and reached is None:
                return page
            at = lo if reached is None else reached
        page.cursor = at if at > 1 else None
        return page

    async def history_onward(
        self,
        device: str | None = None,
        metric: str | None = None,
        since: int | None = None,
        until: int | None = None,
        limit: int = 100,
        start: int | None = None,
    ) -> HistoryPage:
        """As `history`, the oldest first; `start` is the `cursor` of the page before."""
        page = HistoryPage()
        wanted = await self.series_wanted(device, metric)
        if wanted is not None and not wanted:
            return page
        params = _filters(wanted, since, until)
        give_up = self._clock.monotonic() + SEARCH_SECONDS
        at, end = start or 1, self._head() + 1  # everything before `at` was looked at
        looked = False
        while at < end and len(page) < limit and not (looked and self._clock.monotonic() > give_up):
            looked = True
            _, hi = self.zones.bounds(at)
            if hi <= end:
                zone = await self._mend_and_try(self.zones.look, at)
                if not zone.series:
                    at = await self.first(hi) or end
                    continue
                if not zone.may_hold(wanted, since, until):
                    at = hi
                    continue
            part, reached = await self._look("reading_onward", at, min(hi, end), limit - len(page), **params)
            page += part
            at = min(hi, end) if reached is None else reached + 1
        page.cursor = at if at < end else None
        return page

    async def stretch(self, lo: int, hi: int, wanted: Collection[int] | None = None) -> tuple[list[Record], int]:
        """The newest readings of [lo, hi), at most a zone, of all series or of these; and where the rest of it ends."""
        records, reached = await self._look("reading_history", lo, hi, STRETCH_ROWS, **_filters(wanted))
        return records, lo if reached is None else reached

    async def undelivered(self, track: int, ranges: Iterable[Range], give_up: float) -> UndeliveredCount:
        """How many of a track's rows are in these ranges, counted until `give_up`."""
        total, first, exact = 0, None, True
        for lo, hi in ranges:
            hi = min(hi, self._head() + 1)
            if track == URGENT_TRACK:
                count = await self._count(lo, hi, urgent=True)
            else:
                count, sure = await self._normal(lo, hi, give_up)
                exact = exact and sure
            total += count
            if first is None and count:
                page = await self.page(track, lo, hi, 1)
                first = page[0].seq if page else None
        return UndeliveredCount(total, first, exact)

    async def _normal(self, lo: int, hi: int, give_up: float) -> tuple[int, bool]:
        count = 0
        while lo < hi:
            start, end = self.zones.bounds(lo)
            if self._clock.monotonic() > give_up:
                return count + hi - lo - await self._count(lo, hi, urgent=True), False
            if start == lo and end <= hi:
                rows = await self._mend_and_try(self.zones.count, start)
            else:
                end = min(hi, end)
                rows = await self._count(lo, end)
            count += rows
            lo = end if rows else await self.first(end) or hi
        return count, True

    async def _count(self, lo: int, hi: int, urgent: bool = False) -> int:
        return await self._mend_and_try(count_of, self.database.search, lo, hi, urgent)

    async def series_wanted(self, device: str | None, metric: str | None) -> set[int] | None:
        """Numbers of the series of this device and metric; None = all."""
        if device is None and metric is None:
            return None
        rows = await self.search("series_wanted", {"device": device, "metric": metric})
        return {row[0] for row in rows}

    async def load_series(self, numbers: Collection[int]) -> None:
        """Have these in memory; raises StoreError."""
        await self._mend_and_try(self._book.load, self.database, numbers)

    async def search(self, name: str, params: Params) -> Rows:
        """A query that may take longer; raises StoreError."""
        return await self._mend_and_try(self.database.search, name, params)

    async def _look(
        self, name: str, lo: int, hi: int, limit: int, **filters: str | int | None
    ) -> tuple[list[Record], int | None]:
        """The good ones of the next `limit` rows of [lo, hi), and the last one's number; None: there are no more."""
        return await self._mend_and_try(self._try_look, name, lo, hi, limit, **filters)

    async def _try_look(
        self, name: str, lo: int, hi: int, limit: int, **filters: str | int | None
    ) -> tuple[list[Record], int | None]:
        newest_first, paged = name == "reading_history", name in PAGES.values()
        read = self.database.read if paged or name == "reading_one" else self.database.search
        while True:
            rows = await read(name, {**filters, "lo": lo, "hi": hi, "limit": limit})
            seqs = [row[0] for row in rows]
            check_rows(seqs, lo, hi, newest_first)
            records = self._good(rows)
            if len(rows) < limit or (records and records[-1].seq == seqs[-1]):
                break
            limit += 1  # what follows shows whether the number of a damaged row is its own
        await self._book.load(self.database, {record.series for record in records})
        more = len(rows) == limit
        empty: list[Range] = []
        if not more:
            empty.append((lo, seqs[-1] if seqs else hi) if newest_first else (seqs[-1] + 1 if seqs else lo, hi))
        if paged and seqs:
            empty.append((lo, seqs[0]))
        for start, end in empty:
            await check_rest(read, FROM_THE_OTHER_END[name], start, end, **filters)
            if paged and start < end:  # a row that no page has is never sent
                await last_of(read, 1, end)
        return records, seqs[-1] if more else None

    def _good(self, rows: Rows) -> list[Record]:
        records = []
        like, seed = (0, 0, 0, 0), 0  # of the row before: those of one chunk share nearly everything
        for seq, series, wall, mono, bits, crc, body in rows:
            try:
                key = (series, wall, mono, bits)
                if key != like:
                    seed, like = checksum_seed(*key), key
                if crc & ALL != seeded_checksum(seq, seed, body) and not is_sound((seq, *key), crc, body):
                    raise ValueError("checksum")
                records.append(record_from(seq, series, wall, mono, bits, body))
            except (ValueError, TypeError, OverflowError, struct.error):  # damage can change types, too
                self._bad_row(seq)
        return records

    async def _mend_and_try(self, look: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        while True:
            try:
                return await look(*args, **kwargs)
            except sqlite3.Error as error:
                if not await self._mend(error):
                    raise StoreError(f"the log could not be read: {explain(error)}") from error

    def _bad_row(self, seq: int) -> None:
        if seq not in self._damaged:
            self._damaged.add(seq)
            self._logged += 1
            if self._logged <= MAX_LOGGED:
                log.error("row %d of the log is damaged; it is left out", seq)
            self._on_damaged()


def _filters(wanted: Collection[int] | None, since: int | None = None, until: int | None = None) -> dict[str, Any]:
    series = None if wanted is None else orjson.dumps(sorted(wanted)).decode()
    return {"series": series, "since": since, "until": until}
