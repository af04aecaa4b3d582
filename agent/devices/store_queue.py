"""Store queue of one device: append to the store, and hold readings while its queue is full.

A link that can pause is paused, and what was decoded already waits here, in order and bounded, until the store has
room. What cannot wait is counted as lost, so that a gap record tells of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from gatepost.agent.core.clock import Stamp
from gatepost.agent.devices.health import DeviceCounters
from gatepost.agent.devices.interfaces import ReadingStore
from gatepost.drivers.link import Link

MAX_WAITING = 10_000  # readings of one device; a paused link adds at most what was on its way
QUEUE_FULL = "queue-full"
NO_PROGRESS = 0.05  # seconds to leave a store alone that says room and takes nothing


class _Waiting(NamedTuple):
    series: int
    stamp: Stamp
    body: bytes
    urgent: bool
    mark: tuple[str, Any] | None


class StoreQueue:
    """Queue before the store. `put` from the hot path; one task of its own while something waits."""

    __slots__ = (
        "_append", "_append_all", "_counters", "_device", "_draining", "_link", "_log", "_marked", "_marks_wait",
        "_paused", "_store", "_waiting",
    )  # fmt: skip

    def __init__(self, device: str, store: ReadingStore, counters: DeviceCounters, log: logging.Logger) -> None:
        self._device = device
        self._store = store
        self._append = store.append
        self._append_all = store.append_all
        self._counters = counters
        self._log = log
        self._link: Link | None = None
        self._paused: Link | None = None  # the link that was told to wait, also once it is closed
        self._waiting: deque[_Waiting] = deque()
        self._draining: asyncio.Task[None] | None = None
        self._marked = 0  # sequence number of the newest reading with a mark
        self._marks_wait = 0  # how many of those wait for room

    @property
    def paused(self) -> bool:
        """Whether the device is being kept waiting."""
        return bool(self._waiting)

    def attach(self, link: Link | None) -> None:
        """The link to pause; a new one is paused at once while something waits."""
        self._link = link
        if link is not None and self._waiting and link.can_pause:
            self._pause(link)

    def put(self, series: int, stamp: Stamp, body: bytes, urgent: bool, mark: tuple[str, Any] | None = None) -> int:
        """The sequence number; 0 when it waits for room, or was lost and counted. A reading with a `mark` waits in any
        case: its device keeps it, but cannot be asked for it once more before the link is opened again."""
        if not self._waiting:
            if mark is None:
                seq = self._append(series, stamp, body, urgent)
            else:
                seq = self._append(series, stamp, body, urgent, mark)
                self._marked = seq or self._marked
            if seq:
                counters = self._counters
                counters.readings += 1
                counters.last_wall = stamp.wall
                return seq
        self._full(_Waiting(series, stamp, body, urgent, mark))
        return 0

    def put_all(self, stamp: Stamp, rows: Sequence[tuple[int, bytes]]) -> None:
        """`put` of readings (series, body) that are neither urgent nor marked."""
        taken = 0
        if not self._waiting:
            taken = self._append_all(stamp, rows)
            if taken:
                counters = self._counters
                counters.readings += taken
                counters.last_wall = stamp.wall
            if taken == len(rows):
                return
        for series, body in rows[taken:]:
            self._full(_Waiting(series, stamp, body, False, None))

    @property
    def has_bookmarks(self) -> bool:
        """Whether a reading with a mark came since the start."""
        return bool(self._marked or self._marks_wait)

    async def bookmarks_stored(self) -> None:
        """Until every reading with a mark is on disk, or lost and counted; StoreError when the store gives it up."""
        while self._marks_wait and self._draining is not None:
            await asyncio.wait((self._draining,))
        if self._marked:
            await self._store.stored(self._marked, hurry=True)  # the device waits, record by record

    def _full(self, reading: _Waiting) -> None:
        link = self._link
        may_wait = bool(self._waiting) or reading.mark is not None or (link is not None and link.can_pause)
        if not may_wait or len(self._waiting) >= MAX_WAITING:
            self._lose(1)
            return
        self._waiting.append(reading)
        self._marks_wait += reading.mark is not None
        if self._draining is None:
            if link is not None:
                self._pause(link)
            self._draining = asyncio.get_running_loop().create_task(self._drain(), name=f"{self._device}: store full")

    def _pause(self, link: Link) -> None:
        self._paused = link
        link.pause()

    def _resume(self) -> None:
        link, self._paused = self._paused, None
        if link is not None:
            link.resume()

    def _lose(self, count: int) -> None:
        self._counters.dropped += count
        self._store.lost(self._device, count, QUEUE_FULL)

    def _hand_over(self) -> bool:
        """Put what waits, as far as the store takes it; whether it took any."""
        before = len(self._waiting)
        while self._waiting:
            reading = self._waiting[0]
            seq = self._append(*reading)
            if not seq:
                break
            self._waiting.popleft()
            if reading.mark is not None:
                self._marked = seq
                self._marks_wait -= 1
            self._counters.readings += 1
            self._counters.last_wall = reading.stamp.wall
        return len(self._waiting) < before

    async def _drain(self) -> None:
        try:
            while self._waiting:
                await self._store.wait_until_writable()
                if not self._hand_over():
                    await asyncio.sleep(NO_PROGRESS)
        except Exception:
            count = len(self._waiting)
            self._waiting.clear()
            self._marks_wait = 0
            self._log.exception("%s: %d readings could not be handed to the store", self._device, count)
            self._lose(count)
        finally:
            self._draining = None
        self._resume()

    async def close(self) -> None:
        """Hand over what the store takes now; the rest is counted as lost."""
        self._link = None
        task = self._draining
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))
        self._hand_over()
        if self._waiting:
            self._lose(len(self._waiting))
            self._waiting.clear()
            self._marks_wait = 0
        else:
            self._resume()
