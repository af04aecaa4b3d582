"""Backlog of each broker: the position it has reached in the log, the readings still undelivered, and resends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any

from gatepost.agent.core.clock import Clock, rfc3339
from gatepost.agent.store.delivery.positions import TRACKS, URGENT_TRACK, DeliveryPosition
from gatepost.agent.store.model import Record
from gatepost.agent.store.pending_writes import SAVE_SECONDS, PendingWrites
from gatepost.agent.store.queries import SEARCH_SECONDS, StoreQueries
from gatepost.agent.store.ranges import RangeCollector
from gatepost.agent.store.writer import StoreWriter

RESEND_PAGE = 2000  # readings looked at in one query of a resend
RIDE_SECONDS = 0.2  # changed positions that are due wait so long for a commit of readings that takes them along


class DeliveryBacklog:
    """Delivery positions by broker. `starting`: where a broker begins that is missing in a repaired file, 0 = at the
    next reading. `time_of` gives a record's time in wall microseconds."""

    def __init__(
        self,
        pending: PendingWrites,
        writer: StoreWriter,
        queries: StoreQueries,
        clock: Clock,
        time_of: Callable[[Record], tuple[int, str]],
        starting: int,
    ) -> None:
        self.brokers: Collection[str] | None = None  # None = not set yet: retention removes nothing
        self._pending = pending
        self._writer = writer
        self._queries = queries
        self._clock = clock
        self._time_of = time_of
        self._starting = starting
        self._save_timer: asyncio.TimerHandle | None = None

    def position(self, broker: str) -> DeliveryPosition:
        """The position of this broker; a name seen for the first time is owed everything from now on."""
        positions = self._pending.positions
        if broker not in positions:
            starting = self._starting if self._pending.forget_starting else 0
            positions[broker] = DeliveryPosition.starting(broker, starting or self._writer.head + 1, self.save_soon)
            self._pending.save_now()
            self._writer.wake()
        return positions[broker]

    def set_brokers(self, brokers: Collection[str]) -> None:
        """Retention waits for these brokers; others keep their position but hold nothing back."""
        self.brokers = tuple(brokers)
        for broker in brokers:
            self.position(broker)

    @property
    def known(self) -> frozenset[str]:
        """Brokers that have a position, configured or not."""
        return frozenset(self._pending.positions)

    async def forget(self, brokers: Collection[str]) -> None:
        """They come from settings that were never in force: nothing is owed to them. Raises sqlite3.Error."""
        for broker in brokers:
            self._pending.positions.pop(broker, None)
            for track in TRACKS:
                await self._queries.database.write("owed_clear", (broker, track))

    def save_soon(self) -> None:
        """A position has changed: it is written with one of the next commits, or on its own a little later."""
        loop, left = asyncio.get_running_loop(), SAVE_SECONDS
        if self._pending.many_unsaved:
            left = max(0.0, self._pending.save_left()) + RIDE_SECONDS
        if self._save_timer is not None:
            if self._save_timer.when() <= loop.time() + left:
                return
            self._save_timer.cancel()
        self._save_timer = loop.call_later(left, self._save_due)

    async def undelivered(self) -> list[dict[str, Any]]:
        """For each configured broker: how many readings are undelivered, how many of them urgent, since when.

        Not `exact` when counting took more than a second: the rest was estimated; asking again goes on.
        """
        give_up = self._clock.monotonic() + SEARCH_SECONDS
        return [await self._undelivered(broker, give_up) for broker in self.brokers or ()]

    async def owed_to(self, broker: str) -> int:
        """About how many readings this broker is still to get. Raises StoreError."""
        found = await self._undelivered(broker, self._clock.monotonic() + SEARCH_SECONDS)
        return int(found["readings"])

    async def mark_for_resend(self, since: int, until: int | None, device: str | None) -> int:
        """Every configured broker is owed the readings of [since, until) again; how many there are."""
        count, runs, before = 0, RangeCollector(), None
        while True:
            page = await self._queries.history(device, None, since, until, RESEND_PAGE, before)
            for record in page:
                runs.add(record.seq)
            count += len(page)
            if page.cursor is None:
                break
            before = page.cursor
        for broker in self.brokers or ():
            for lo, hi in runs:
                self.position(broker).owe(lo, hi)
        self._save()
        return count

    async def settle(self, broker: str, ranges: Collection[tuple[int, int, int]]) -> int:
        """Nothing in these ranges (track, lo, hi) is owed any more; about how many rows were."""
        position, give_up, count = self.position(broker), self._clock.monotonic() + SEARCH_SECONDS, 0
        for track, lo, hi in ranges:
            count += (await self._queries.undelivered(track, position.owed[track].within(lo, hi), give_up)).rows
        for track, lo, hi in ranges:
            position.settle(track, lo, hi)
        self._save()
        return count

    def close(self) -> None:
        if self._save_timer is not None:
            self._save_timer.cancel()

    def _save_due(self) -> None:
        self._save_timer = None
        if not self._pending.unsaved:
            return
        if self._pending.save_left() > 0:
            self.save_soon()  # a commit of readings took them along, and there are others
        else:
            self._save()

    def _save(self) -> None:
        self._pending.save_now()
        self._writer.wake()

    async def _undelivered(self, broker: str, give_up: float) -> dict[str, Any]:
        position = self.position(broker)
        counts = [await self._queries.undelivered(track, list(position.owed[track]), give_up) for track in TRACKS]
        oldest = min((count.first for count in counts if count.first is not None), default=None)
        record = await self._queries.one(oldest) if oldest is not None else None
        return {
            "broker": broker,
            "readings": sum(count.rows for count in counts),
            "urgent": counts[URGENT_TRACK].rows,
            "exact": all(count.exact for count in counts),
            "oldest": rfc3339(self._time_of(record)[0]) if record else None,
            "ranges": sum(len(position.owed[track]) for track in TRACKS),
        }
