"""Lanes of a broker, urgent, live and backlog: what to read next, what to send next, what is settled. Sans-I/O."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Sequence

from gatepost.agent.store.delivery.account import DeliveryAccount
from gatepost.agent.store.delivery.positions import NORMAL, URGENT_TRACK, DeliveryPosition
from gatepost.agent.store.model import EVENT, Record
from gatepost.agent.store.ranges import FOREVER, Range

REFILL_BELOW = 150  # loaded records, until the next page is asked for
PAGE_ROWS = 500
PAGE_BYTES = 250_000  # aimed at: large bodies make small pages
MAX_UNSETTLED = 20_000  # rows of an account that wait for one before them; of more, counting begins anew


class Lane:
    """Lane through part of the log, in order. A record is loaded, taken (sent), then settled."""

    def __init__(self, name: str, track: int, ranges: Iterable[Range] = ()) -> None:
        self.name = name
        self.track = track
        self.in_flight: dict[int, Record] = {}  # sent, not acknowledged; in order of sending
        self.buffer: deque[Record] = deque()
        self.limit = PAGE_ROWS
        self._ahead = deque(ranges)  # still to be loaded
        self._own = deque(self._ahead)  # not settled yet, in order
        self._loaded = self._ahead[0][0] if self._ahead else 0
        self.sent: array[int] | None = None  # acknowledged readings that are not settled, where there is an account
        self.skipped: array[int] | None = None  # those done without a message
        self.delivered = 0  # acknowledged and not counted yet
        self._fresh = 0  # what was taken once lies below; in the buffer it is there again

    def missing(self, head: int) -> Range | None:
        """What to load next, as [lo, hi); None when enough is loaded or nothing is there."""
        if len(self.buffer) >= REFILL_BELOW:
            return None
        while self._ahead:
            lo, hi = max(self._ahead[0][0], self._loaded), self._ahead[0][1]
            if lo >= hi:
                self._ahead.popleft()
                continue
            return (lo, min(hi, head + 1)) if lo <= head else None
        return None

    def load(self, records: Sequence[Record], upto: int) -> None:
        """Records of this track in order; below `upto` there are no others."""
        self.buffer.extend(records)
        self._loaded = max(self._loaded, upto)
        if records:
            size = sum(len(record.body) for record in records) / len(records)
            self.limit = max(10, min(PAGE_ROWS, int(PAGE_BYTES / max(size, 1))))

    def take(self) -> Record:
        record = self.buffer.popleft()
        seq = record.seq
        self.in_flight[seq] = record
        if seq >= self._fresh:
            self._fresh = seq + 1
        return record

    def take_run(self, count: int) -> list[int]:
        """`take` of so many; their numbers."""
        take = self.buffer.popleft
        records = [take() for _ in range(count)]
        seqs = [record.seq for record in records]
        self.in_flight.update(zip(seqs, records, strict=True))
        self._fresh = max(self._fresh, seqs[-1] + 1)
        return seqs

    def skip(self, taken: Record | None = None) -> None:
        """The next record is not for this broker, or this one that was taken is not."""
        if taken is None:
            taken = self.buffer.popleft()
        else:
            self.in_flight.pop(taken.seq, None)
        if self.skipped is not None and not taken.bits & EVENT:
            self.skipped.append(taken.seq)

    def retry(self, seqs: Sequence[int]) -> None:
        """Sent, refused for now: they come first again, in order."""
        for seq in sorted(seqs, reverse=True):
            self.buffer.appendleft(self.in_flight.pop(seq))

    def unload(self) -> None:
        """Forget what is loaded and not taken: it will be missing again."""
        at, fresh = self.reach, self.fresh
        again = [(record.seq, record.seq + 1) for record in self.buffer if record.seq < self._fresh]
        # What was to be read again and is not loaded yet lies above that, and below what was never sent.
        unread = ((max(lo, at, self._loaded), min(hi, self._fresh)) for lo, hi in self._ahead)
        again += [(lo, hi) for lo, hi in unread if lo < hi]
        self._ahead = deque([*again, *((max(lo, fresh), hi) for lo, hi in self._own if hi > fresh)])
        self.buffer.clear()
        self._loaded = at

    def holds(self, seq: int) -> bool:
        """Whether this record is still to be taken or settled, as far as this lane knows."""
        if seq in self.in_flight or any(record.seq == seq for record in self.buffer):
            return True
        return any(max(lo, self._loaded) <= seq < hi for lo, hi in self._ahead)

    def passed(self) -> tuple[list[int], list[int]]:
        """The rows sent and skipped that `settled` is about to give, where there is an account."""
        if not self.sent and not self.skipped:
            return [], []
        safe, done = self._safe(), list[list[int]]()
        for name in ("sent", "skipped"):
            rows: array[int] = getattr(self, name)
            done.append([seq for seq in rows if seq < safe])
            setattr(self, name, array("q", (seq for seq in rows if seq >= safe)))
        return done[0], done[1]

    def settled(self) -> list[Range]:
        """Parts of the log that this lane is done with since the last call."""
        safe, own, done = self._safe(), self._own, []
        while own and own[0][0] < safe:
            lo, hi = own[0]
            if hi > safe:
                own[0] = (safe, hi)
                done.append((lo, safe))
                break
            own.popleft()
            done.append((lo, hi))
        return done

    def cede(self, at: int) -> Range | None:
        """Give up what was never sent below `at` (another lane takes it); go on from there."""
        lo = self.fresh
        if lo >= at or any(max(a, self._loaded) < min(b, self._fresh) for a, b in self._ahead):
            return None  # there is nothing, or what was refused is still to be read again
        self.buffer = deque(record for record in self.buffer if record.seq < self._fresh)
        self._own = deque(
            part for a, b in self._own for part in ((a, min(b, lo)), (max(a, at), b)) if part[0] < part[1]
        )
        self._ahead = deque((max(a, at), b) for a, b in self._ahead if b > at)
        self._loaded = at
        return lo, at

    def adopt(self, part: Range) -> None:
        """Take over a range that lies above all others of this lane."""
        self._ahead.append(part)
        self._own.append(part)

    @property
    def fresh(self) -> int:
        """The first sequence number that was never sent."""
        return next((record.seq for record in self.buffer if record.seq >= self._fresh), max(self._loaded, self._fresh))

    @property
    def reach(self) -> int:
        """The first sequence number that was not looked at."""
        return self.buffer[0].seq if self.buffer else self._loaded

    def _safe(self) -> int:
        """Everything below is settled: what is in flight is in order, and what comes again leads the buffer."""
        return min(next(iter(self.in_flight), FOREVER), self.reach)


RUN = 8  # live readings sent in a row where there is a backlog, too
HIGHEST_SHARE = 0.95  # of the backlog: live readings always get through


class Lanes:
    """Lanes of one connection: what the broker is owed, split into urgent rows, what comes from now on, and backlog."""

    def __init__(self, position: DeliveryPosition, head: int, share: float) -> None:
        normal = position.owed[NORMAL]
        start = head + 1
        self.urgent = Lane("urgent", URGENT_TRACK, position.owed[URGENT_TRACK])
        self.live = Lane("live", NORMAL, normal.within(start, FOREVER))
        self.backlog = Lane("backlog", NORMAL, normal.within(0, start))
        self.all = (self.urgent, self.live, self.backlog)
        self.share = share
        if position.account is not None:
            for lane in self.all:
                lane.sent, lane.skipped = array("q"), array("q")
        self._position = position
        self._credit = 0.0

    def choose(self, backlog_allowed: bool = True) -> Lane | None:
        """The lane whose turn it is among those with something loaded: urgent first, live and backlog by weight."""
        if self.urgent.buffer:
            return self.urgent
        backlog = backlog_allowed and bool(self.backlog.buffer)
        if self.live.buffer:
            if not backlog:
                return self.live
            self._credit += min(self.share, HIGHEST_SHARE)
            if self._credit < 1.0:
                return self.live
            self._credit -= 1.0
            return self.backlog
        return self.backlog if backlog else None

    def run(self, most: int) -> tuple[Lane | None, int]:
        """`choose`, and how many of that lane may be sent before it is another one's turn, at most `most`."""
        lane = self.choose()
        if lane is None or lane is self.urgent or not (self.live.buffer and self.backlog.buffer):
            return lane, most
        share = min(self.share, HIGHEST_SHARE)
        if lane is self.live:
            more = min(most, RUN, len(lane.buffer)) - 1
            self._credit += more * share
        else:
            more = min(most - 1, int(self._credit / (1 - share)))
            self._credit -= more * (1 - share)
        return lane, 1 + more

    def settle(self, rows: int = 0) -> None:
        """Bring the position up to what the lanes are done with; `rows` were delivered or given up just now."""
        position = self._position
        position.count(rows)
        for lane in self.all:
            if position.account is not None and lane.sent is not None:
                self._account(lane, position.account)
            for lo, hi in lane.settled():
                position.settle(lane.track, lo, hi)

    @staticmethod
    def _account(lane: Lane, account: DeliveryAccount) -> None:
        account.passed(lane.track, *lane.passed())
        for rows in (lane.sent, lane.skipped):
            if rows is not None and len(rows) > MAX_UNSETTLED:
                account.begin_anew(max(rows) + 1)
                del rows[:]

    def demote(self, head: int, most: int) -> bool:
        """When live lags by more than `most` rows, what it has not sent becomes backlog, so that live is live again."""
        if head - self.live.reach <= most or head - self.live.fresh <= most:
            return False
        part = self.live.cede(head + 1)
        if part is not None:
            self.backlog.adopt(part)
        return part is not None
