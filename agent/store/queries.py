"""Queries of the log: pages for delivery, history, single rows; each with its series in memory."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any, NamedTuple, ParamSpec, TypeVar

import orjson

from gatepost.agent.core.clock import Clock
from gatepost.agent.core.errors import StoreError
from gatepost.agent.store.database import Database, Params, Rows, corrupt
from gatepost.agent.store.delivery.positions import NORMAL, URGENT_TRACK
from gatepost.agent.store.model import ALL, HistoryPage, Record, checksum, record_from
from gatepost.agent.store.ranges import FOREVER, Range
from gatepost.agent.store.series import SeriesBook
from gatepost.agent.store.writer import explain
from gatepost.agent.store.zone_map import ZoneMap

log = logging.getLogger(__name__)

T = TypeVar("T")
P = ParamSpec("P")

SEARCH_SECONDS = 1.0  # that one search or count may take
PAGES = {NORMAL: "reading_page", URGENT_TRACK: "reading_page_urgent"}
PAGE_ENDS = {"reading_page": "reading_page_end", "reading_page_urgent": "reading_page_urgent_end"}
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
        records, _, _ = await self._records(self.database.read, "reading_one", (seq,))
        return records[0] if records else None

    async def first(self) -> int:
        """The lowest stored sequence number, 0 when there is none."""
        return int((await self.search("reading_first", ()))[0][0])

    async def page(self, track: int, lo: int, hi: int, limit: int) -> list[Record]:
        """Up to `limit` records of one track (0 normal, 1 urgent) in [lo, hi), in order, their series in memory.

        A row whose checksum fails is left out and becomes a gap record. Fewer than `limit`: there are no more.
        """
        hi = min(hi, self._head() + 1)
        records: list[Record] = []
        while len(records) < limit:
            wanted = limit - len(records)
            part, rows, last = await self._mend_and_try(self._look_at_page, PAGES[track], lo, hi, wanted)
            records += part
            if rows < wanted:
                break
            lo = last + 1
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
        params: dict[str, Any] = {"series": None if wanted is None else orjson.dumps(sorted(wanted)).decode()}
        params |= {"since": since, "until": until}
        give_up = self._clock.monotonic() + SEARCH_SECONDS
        at = min(FOREVER if before is None else before, self._head() + 1)  # everything from here on was looked at
        looked = False  # at least at one stretch: the next page must get further
        while len(page) < limit and not (looked and self._clock.monotonic() > give_up):
            looked = True
            lo, hi = self.zones.bounds(at - 1)
            if hi <= self._head() + 1 and not whole:
                zone = await self._mend_and_try(self.zones.look, at - 1)
                if not zone.series:
                    last = (await self.search("reading_before", (lo,)))[0][0]
                    if last is None:
                        return page
                    at = last + 1
                    continue
                if not zone.may_hold(wanted, since, until):
                    at = lo
                    continue
            left = limit - len(page)
            span = {**params, "lo": 0 if whole else lo, "hi": at, "limit": left}
            part, rows, lowest = await self._records(self.database.search, "reading_history", span)
            page += part
            if whole and rows < left:
                return page
            at = lowest if rows == left else lo
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
        series = None if wanted is None else orjson.dumps(sorted(wanted)).decode()
        params: dict[str, Any] = {"series": series, "since": since, "until": until}
        give_up = self._clock.monotonic() + SEARCH_SECONDS
        at, end = start or 1, self._head() + 1  # everything before `at` was looked at
        looked = False
        while at < end and len(page) < limit and not (looked and self._clock.monotonic() > give_up):
            looked = True
            _, hi = self.zones.bounds(at)
            if hi <= end:
                zone = await self._mend_and_try(self.zones.look, at)
                if not zone.series:
                    at = (await self.search("reading_from", (hi,)))[0][0] or end
                    continue
                if not zone.may_hold(wanted, since, until):
                    at = hi
                    continue
            left = limit - len(page)
            span = {**params, "lo": at, "hi": min(hi, end), "limit": left}
            part, rows, highest = await self._records(self.database.search, "reading_onward", span)
            page += part
            at = highest + 1 if rows == left else min(hi, end)
        page.cursor = at if at < end else None
        return page

    async def stretch(self, lo: int, hi: int, wanted: Collection[int] | None = None) -> tuple[list[Record], int]:
        """The newest readings of [lo, hi), at most a zone, of all series or of these; and where the rest of it ends."""
        series = None if wanted is None else orjson.dumps(sorted(wanted)).decode()
        span = {"series": series, "since": None, "until": None, "lo": lo, "hi": hi, "limit": STRETCH_ROWS}
        records, rows, lowest = await self._records(self.database.search, "reading_history", span)
        return records, lowest if rows == STRETCH_ROWS else lo

    async def undelivered(self, track: int, ranges: Iterable[Range], give_up: float) -> UndeliveredCount:
        """How many of a track's rows are in these ranges, counted until `give_up`."""
        total, first, exact = 0, None, True
        for lo, hi in ranges:
            hi = min(hi, self._head() + 1)
            if track == URGENT_TRACK:
                count = await self._count("reading_count_urgent", lo, hi)
            else:
                count, sure = await self._normal(lo, hi, give_up)
                exact = exact and sure
            total += count
            if first is None and count:
                page, _, _ = await self._records(self.database.read, PAGES[track], (lo, hi, 1))
                first = page[0].seq if page else None
        return UndeliveredCount(total, first, exact)

    async def _normal(self, lo: int, hi: int, give_up: float) -> tuple[int, bool]:
        count = 0
        while lo < hi:
            start, end = self.zones.bounds(lo)
            if self._clock.monotonic() > give_up:
                return count + hi - lo - await self._count("reading_count_urgent", lo, hi), False
            if start == lo and end <= hi:
                rows = await self._mend_and_try(self.zones.count, start)
            else:
                end = min(hi, end)
                rows = await self._count("reading_count", lo, end)
            count += rows
            lo = end if rows else (await self.search("reading_from", (end,)))[0][0] or hi
        return count, True

    async def _count(self, name: str, lo: int, hi: int) -> int:
        return int((await self.search(name, (lo, hi)))[0][0])

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

    async def _records(
        self, read: Callable[[str, Params], Awaitable[Rows]], name: str, params: Any
    ) -> tuple[list[Record], int, int]:
        """The good ones; how many rows there were, damaged ones included; the last one's sequence number."""
        return await self._mend_and_try(self._look, read, name, params)

    async def _look_at_page(self, name: str, lo: int, hi: int, limit: int) -> tuple[list[Record], int, int]:
        """As `_look`. A number that damage has changed ends a search as if no more came: the other end is asked."""
        found = await self._look(self.database.read, name, (lo, hi, limit))
        if found[1] < limit and await self.database.read(PAGE_ENDS[name], (max(lo, found[2] + 1), hi)):
            raise corrupt("rows of the log are out of order")
        return found

    async def _look(
        self, read: Callable[[str, Params], Awaitable[Rows]], name: str, params: Any
    ) -> tuple[list[Record], int, int]:
        rows = await read(name, params)
        records = []
        for seq, series, wall, mono, bits, crc, body in rows:
            try:
                if crc & ALL != checksum(seq, series, wall, mono, bits, body):
                    raise ValueError("checksum")
                records.append(record_from(seq, series, wall, mono, bits, body))
            except (ValueError, TypeError, OverflowError):  # damage can change types, too
                if seq < 1:  # part of its page is zeros, and nobody knows how many others were there
                    raise corrupt("a page of the log is torn") from None
                self._bad_row(seq)
        await self._book.load(self.database, {record.series for record in records})
        return records, len(rows), rows[-1][0] if rows else 0

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
