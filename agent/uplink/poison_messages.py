"""Poison messages: one that makes the broker hang up must not block its lane, nor may an innocent one be given up."""

from __future__ import annotations

from collections.abc import Callable

from gatepost.agent.uplink.lanes import Lane
from gatepost.agent.uplink.log_feed import LogFeed

SUSPECT_AFTER = 2  # connections in a row that ended with the same message first in flight
CONDEMN_AFTER = 3  # hang-ups right after the suspect alone was sent on a link that was quiet and held
# DISCONNECT codes that tell of the broker or the client: server unavailable, busy, banned, shutting down, keep alive,
# taken over, rate, quota, administrative, use another server, moved, connection rate, connect time
NOT_THE_MESSAGE = frozenset((0x88, 0x89, 0x8A, 0x8B, 0x8D, 0x8E, 0x96, 0x97, 0x98, 0x9C, 0x9D, 0x9F, 0xA0))
QUIET = 2.0  # seconds that the link must hold before the suspect is sent
PROBE_WAIT = 60.0  # seconds to wait for another reading that shows whether the broker takes any, before the suspect


class PoisonMessages:
    """Poison messages of one broker: which message was first in flight when the broker hung up.

    The same one twice in a row makes it a suspect: it is then sent alone, after the link has held for QUIET seconds,
    so that a broker that kicks everybody condemns nobody. CONDEMN_AFTER such hang-ups condemn it. Another message that
    is first in flight as often becomes the suspect instead. After a condemnation nothing else is condemned until the
    broker has acknowledged a reading (`vouched`): one that hangs up on every reading is not told from a poisonous
    reading by hang-ups alone, and must not eat the log.
    """

    def __init__(self) -> None:
        self.suspect: int | None = None
        self.vouched = True  # the broker takes readings, as far as is known
        self._first: int | None = None
        self._times = 0
        self._strikes = 0

    @property
    def watching(self) -> bool:
        """Whether acknowledgements matter here at all."""
        return self._first is not None or not self.vouched

    def hung_up(self, first: int | None, alone: bool) -> int | None:
        """The broker ended the connection; `first` = seq of the first message in flight, `alone` = it was sent alone.

        The seq of a message now condemned, or None.
        """
        if first is None:
            return None
        self._times = self._times + 1 if first == self._first else 1
        self._first = first
        if first != self.suspect:
            if self._times >= SUSPECT_AFTER:
                self.suspect, self._strikes = first, 0
            return None
        self._strikes += alone
        if self._strikes < CONDEMN_AFTER or not self.vouched:
            return None
        self.acquit()
        self.vouched = False
        return first

    def delivered(self, seq: int) -> None:
        """The broker lives with this message: it was acknowledged or refused, or is not owed any more."""
        if seq == self.suspect:
            self.acquit()
        elif seq == self._first:
            self._first, self._times = self.suspect, 0

    def vouch(self) -> None:
        """The broker acknowledged a reading."""
        self.vouched = True

    def acquit(self) -> None:
        self.suspect = self._first = None
        self._times = self._strikes = 0


class SuspectProbe:
    """Probe of one connection for the suspect of `poison`."""

    def __init__(self, poison: PoisonMessages, feed: LogFeed, monotonic: Callable[[], float]) -> None:
        self._poison = poison
        self._feed = feed
        self._monotonic = monotonic
        self._wait_until = 0.0

    def start(self) -> float:
        """The connection is open: seconds that it must hold before anything is sent."""
        if self._poison.suspect is None:
            return 0.0
        self._wait_until = self._monotonic() + PROBE_WAIT
        return QUIET

    def suspect(self) -> int | None:
        """The message under suspicion, as long as some lane has it still to send."""
        suspect = self._poison.suspect
        if suspect is not None and not any(lane.holds(suspect) for lane in self._feed.lanes.all):
            self._poison.acquit()
            return None
        return suspect

    def passed_over(self, seq: int) -> None:
        """This one is not for the broker, and suspect no more."""
        self._poison.delivered(seq)

    def choose(self, suspect: int, backlog_allowed: bool) -> tuple[Lane | None, float]:
        """The lane to send one message from, or the seconds to wait for another reading than the suspect: by that one
        the broker shows first whether it takes readings at all."""
        lanes = self._feed.lanes
        if not self._poison.vouched:
            for lane in lanes.all if backlog_allowed else lanes.all[:2]:
                if lane.buffer and lane.buffer[0].seq != suspect:
                    return lane, 0.0
            left = self._wait_until - self._monotonic()
            if left > 0:
                return None, left
        return lanes.choose(backlog_allowed), 0.0
