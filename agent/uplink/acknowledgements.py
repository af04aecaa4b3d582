"""Acknowledgements of readings: delivered, refused for now and sent again, or refused for good and a dead letter.

Step 3 of 3 of the way out: log_feed -> delivery -> acknowledgements.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from gatepost.agent.core.backoff import Backoff
from gatepost.agent.store import Record, Store
from gatepost.agent.store.model import EVENT
from gatepost.agent.uplink.control_messages import ControlMessages
from gatepost.agent.uplink.lanes import Lane
from gatepost.agent.uplink.log_feed import LogFeed
from gatepost.agent.uplink.mqtt.connection import ConnectionLost, MqttConnection
from gatepost.agent.uplink.mqtt.reason_codes import QUOTA_EXCEEDED, RATE_TOO_HIGH, REFUSED, explain
from gatepost.agent.uplink.poison_messages import PoisonMessages

log = logging.getLogger(__name__)

ACK_LIMIT = 20.0  # seconds without any acknowledgement while something is in flight: the link is half-open
MOST_PATIENCE = 6.0  # times ACK_LIMIT, for a broker that was too slow for it on the connections before
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds until what was refused for now is sent again
SETTLE_ROWS = 64  # delivered rows after which the position is brought up to date, or when nothing is in flight
REFUSAL_LIMIT = 5  # refusals "for now" of one message, by a broker within its quota, until it is a dead letter
RETRYABLE_CODES = (RATE_TOO_HIGH, QUOTA_EXCEEDED)  # the broker's matter, not the message's: no refusal counts


@dataclass
class DeliveryCounters:
    """Counters since the start of the agent, readings only; and the patience that the broker's pace asks for."""

    sent: int = 0
    delivered: int = 0
    refused: int = 0
    dead: int = 0  # given up: dead letters
    skipped: int = 0  # done without a message: no rule sends it, a newer one took its place, or
    uncarried: int = 0  # of these, the format cannot say it
    delivered_by_lane: dict[str, int] = field(default_factory=lambda: {"urgent": 0, "live": 0, "backlog": 0})
    patience: float = 1.0  # times ACK_LIMIT: doubled by a connection that ran into it, shrinking while acks come


class SentUnit:
    """Readings that share messages: one reading of several messages, or a batch. Done when all are acknowledged."""

    __slots__ = ("code", "missing", "seqs")

    def __init__(self, seqs: list[int], messages: int) -> None:
        self.seqs = seqs
        self.missing = messages  # that are not answered
        self.code = 0  # the worst reason code


class ReadingAcknowledgements:
    """Acknowledgements of one connection. `in_flight`: sequence number -> lane, in order of sending; `refused`: those
    of them that were refused for now and wait for all others, so that they are sent again in order."""

    def __init__(
        self,
        name: str,
        store: Store,
        feed: LogFeed,
        poison: PoisonMessages,
        counters: DeliveryCounters,
        control: ControlMessages,
        rng: Random,
    ) -> None:
        self.in_flight: dict[int, Lane] = {}
        self.units: dict[int, SentUnit] = {}  # by the first sequence number, where a reading is not just one message
        self.singly: set[int] = set()  # refused as part of a batch: sent alone the next time
        self.refused: list[int] = []
        self._name = name
        self._store = store
        self._feed = feed
        self._poison = poison
        self._counters = counters
        self._control = control
        self._backoff = Backoff(rng, FIRST_PAUSE, LONGEST_PAUSE)
        self._unsettled = 0  # delivered or given up since the position was brought up to date
        self._refusals: dict[int, int] = {}  # how often a message was refused for now

    def take(self, acks: list[tuple[int, int]]) -> float:
        """(tag, reason code) in wire order: tags of readings are their sequence numbers, others are negative.

        Seconds in which nothing more is to be sent, because the broker refuses what it gets.
        """
        delivered = 0
        in_flight, counters = self.in_flight, self._counters
        dead_before = counters.dead
        watching = self._poison if self._poison.watching else None
        if self.units:
            acks = self._whole_units(acks)
        for tag, code in acks:
            lane = in_flight.get(tag)
            if lane is None:
                if tag < 0:
                    self._control.acknowledged(tag, code)
                continue
            if code >= REFUSED:
                self._refuse(tag, lane, code)
                continue
            del in_flight[tag]
            record = lane.in_flight.pop(tag)
            delivered += 1
            lane.delivered += 1
            if lane.sent is not None and not record.bits & EVENT:
                lane.sent.append(tag)
            if watching is not None:
                watching.delivered(tag)
                if not record.bits & EVENT:
                    watching.vouch()
        if delivered:
            counters.delivered += delivered
            for lane in self._feed.lanes.all:
                counters.delivered_by_lane[lane.name] += lane.delivered
                lane.delivered = 0
            self._backoff.reset()
            if self._refusals:
                for tag, _ in acks:
                    if tag not in in_flight:
                        self._refusals.pop(tag, None)
        self._unsettled += delivered + counters.dead - dead_before
        if self._unsettled >= SETTLE_ROWS or (self._unsettled and not in_flight):
            self._feed.lanes.settle(self._unsettled)
            self._unsettled = 0
        if self.refused and len(in_flight) == len(self.refused):
            return self._retry_refused()
        return 0.0

    def _whole_units(self, acks: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Acknowledgements of messages as those of readings: each once, when all its messages are answered."""
        readings: list[tuple[int, int]] = []
        units = self.units
        for tag, code in acks:
            unit = units.get(tag)
            if unit is None:
                readings.append((tag, code))
                continue
            if code > unit.code:
                unit.code = code
            unit.missing -= 1
            if unit.missing:
                continue
            del units[tag]
            whole = unit.code
            if whole >= REFUSED and len(unit.seqs) > 1:
                # Which of them it is will show when each is sent alone; none is a dead letter for its neighbours.
                self.singly.update(unit.seqs)
                self.refused += [seq for seq in unit.seqs if seq in self.in_flight]
                self._counters.refused += len(unit.seqs)
                continue
            if self.singly:
                self.singly.difference_update(unit.seqs)
            readings += [(seq, whole) for seq in unit.seqs]
        return readings

    def give_up(self, record: Record, code: int | None, reason: str) -> None:
        """Make a dead letter of it; it is not in flight."""
        self._refusals.pop(record.seq, None)
        self._counters.dead += 1
        log.warning("%s: reading %s is a dead letter: %s", self._name, self._store.reading_id(record.seq), reason)
        self._store.dead_letter(self._name, record.seq, code, reason, bool(record.bits & EVENT))

    def _refuse(self, seq: int, lane: Lane, code: int) -> None:
        self._counters.refused += 1
        self._poison.delivered(seq)
        refusals = self._refusals[seq] = self._refusals.get(seq, 0) + 1
        meaning = explain(code)
        if meaning.final or (refusals >= REFUSAL_LIMIT and code not in RETRYABLE_CODES):
            del self.in_flight[seq]
            self.give_up(lane.in_flight.pop(seq), code, meaning.phrase)
        else:
            self.refused.append(seq)

    def _retry_refused(self) -> float:
        """All else in flight is acknowledged: what was refused for now comes first again, in order, after a pause."""
        for lane in self._feed.lanes.all:
            lane.retry([seq for seq in self.refused if self.in_flight.get(seq) is lane])
        for seq in self.refused:
            self.in_flight.pop(seq, None)
        self.refused = []
        return self._backoff.next()


class AcknowledgementWatchdog:
    """Watchdog of acknowledgements that do not come, or that leave a message out. `on_broken` ends the connection."""

    def __init__(
        self,
        acknowledgements: ReadingAcknowledgements,
        counters: DeliveryCounters,
        monotonic: Callable[[], float],
        on_broken: Callable[[ConnectionLost], None],
    ) -> None:
        self._acknowledgements = acknowledgements
        self._counters = counters
        self._monotonic = monotonic
        self._on_broken = on_broken
        self._connection: MqttConnection | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._delivered = counters.delivered
        self._oldest: tuple[int, int, float] | None = None  # first in flight, delivered when it came to be so, and when

    def start(self, connection: MqttConnection) -> None:
        self._connection = connection

    def watch(self) -> None:
        """Look now and then, as long as something is in flight."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._limit / 4, self._look)

    def stop(self) -> None:
        self._connection = None
        if self._timer is not None:
            self._timer.cancel()

    @property
    def _limit(self) -> float:
        return ACK_LIMIT * self._counters.patience

    def _look(self) -> None:
        self._timer = None
        connection, acknowledgements, counters = self._connection, self._acknowledgements, self._counters
        if connection is None or not acknowledgements.in_flight:
            return
        if connection.check(self._limit):
            counters.patience = min(MOST_PATIENCE, counters.patience * 2)
            return
        if counters.delivered > self._delivered:
            self._delivered = counters.delivered
            counters.patience = max(1.0, counters.patience * 0.9)
        self.watch()
        first, delivered, now = next(iter(acknowledgements.in_flight)), self._counters.delivered, self._monotonic()
        if acknowledgements.refused or self._oldest is None or self._oldest[0] != first:
            self._oldest = (first, delivered, now)
        elif delivered > self._oldest[1] and now - self._oldest[2] >= self._limit:
            # What came later was acknowledged: this one's acknowledgement is lost, and the position would stay behind.
            message = f"the broker did not acknowledge a message for {self._limit:g} s"
            self._on_broken(ConnectionLost(None, message, "the broker violates MQTT", silent=True))
