"""Log feed: fills the lanes of a connection with stored records, from memory where it reaches back, else from the file.

Step 1 of 3 of the way out: log_feed -> delivery -> acknowledgements.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from random import Random

from gatepost.agent.core.backoff import Backoff
from gatepost.agent.core.errors import StoreError
from gatepost.agent.store import Store
from gatepost.agent.store.model import URGENT
from gatepost.agent.uplink.lanes import Lane, Lanes

log = logging.getLogger(__name__)

LIVE_LAG = 20_000  # rows that live may lag behind before what it has not sent becomes backlog
FIRST_REREAD, LONGEST_REREAD = 2.0, 60.0  # seconds until a page of the log that could not be read is tried again


class LogFeed:
    """Feed of the lanes of one connection. `on_loaded` is called when a page that was read from the file is there."""

    def __init__(self, name: str, store: Store, lanes: Lanes, rng: Random, on_loaded: Callable[[], None]) -> None:
        self.lanes = lanes
        self._name = name
        self._store = store
        self._recent = store.recent
        self._rng = rng
        self._on_loaded = on_loaded
        self._next_lanes: Callable[[], Lanes] | None = None
        self._loads: dict[str, asyncio.Task[None]] = {}  # pages being read, by lane

    @property
    def loading(self) -> bool:
        """Whether a page of the log is being read."""
        return bool(self._loads)

    def fill(self) -> None:
        """Load what is missing: at once from memory, else as a task."""
        head = self._store.head
        if "live" not in self._loads and self.lanes.demote(head, LIVE_LAG):
            log.info("%s: live lags by more than %d readings; they go with the backlog", self._name, LIVE_LAG)
        for lane in self.lanes.all:
            while (part := lane.missing(head)) is not None and lane.name not in self._loads:
                lo, hi = part
                records = self._recent.since(lo, lane.limit)
                if records is None:
                    self._start_load(lane, lo, hi)
                elif records:
                    track = lane.track
                    own = [record for record in records if record.bits & URGENT == track and record.seq < hi]
                    lane.load(own, min(records[-1].seq + 1, hi))
                else:
                    break

    def read_again(self, lane: Lane) -> None:
        """Read what waits in this lane from the file, which brings the series back that memory has forgotten."""
        under_way = self._loads.pop(lane.name, None)
        if under_way is not None:
            under_way.cancel()  # its records would come behind those that are read again
        lane.unload()
        part = lane.missing(self._store.head)
        if part is not None:
            self._start_load(lane, *part)

    def renew(self, lanes: Callable[[], Lanes]) -> None:
        """The broker is owed more than before: go on with new lanes as soon as nothing is in flight."""
        self._next_lanes = lanes

    def switch_lanes(self, idle: bool) -> bool:
        """Go on with the new lanes, if there are any and nothing is in flight; false while they have to wait."""
        if self._next_lanes is not None:
            if not idle:
                return False
            self.stop()
            self.lanes, self._next_lanes = self._next_lanes(), None
        return True

    def stop(self) -> None:
        """Bring the position up to date, and read no more."""
        self.lanes.settle()
        for task in self._loads.values():
            task.cancel()
        self._loads.clear()

    def _start_load(self, lane: Lane, lo: int, hi: int) -> None:
        self._loads[lane.name] = asyncio.get_running_loop().create_task(self._load(lane, lo, hi))

    async def _load(self, lane: Lane, lo: int, hi: int) -> None:
        limit = lane.limit
        backoff = Backoff(self._rng, FIRST_REREAD, LONGEST_REREAD)
        while True:
            try:
                records = await self._store.queries.page(lane.track, lo, hi, limit)
                break
            except StoreError as error:
                log.warning("%s: the log could not be read, trying again: %s", self._name, error)
            except Exception:
                log.exception("%s: the log could not be read, trying again", self._name)
            await asyncio.sleep(backoff.next())
        del self._loads[lane.name]
        lane.load(records, records[-1].seq + 1 if len(records) == limit else hi)
        self._on_loaded()
