"""Delivery of readings over one open connection: keeps the window full from the lanes.

Step 2 of 3 of the way out: log_feed -> delivery -> acknowledgements.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from itertools import islice
from random import Random

from gatepost.agent.core.clock import US
from gatepost.agent.core.token_bucket import TokenBucket
from gatepost.agent.store import Record, Store
from gatepost.agent.store.model import EVENT, URGENT
from gatepost.agent.uplink.acknowledgements import (
    AcknowledgementWatchdog,
    DeliveryCounters,
    ReadingAcknowledgements,
    SentUnit,
)
from gatepost.agent.uplink.batches import BatchEncoder
from gatepost.agent.uplink.control_messages import SMALL_WINDOW, ControlMessages, Outbox
from gatepost.agent.uplink.devices_format import PlainReadings
from gatepost.agent.uplink.lanes import Lane, Lanes
from gatepost.agent.uplink.log_feed import LogFeed
from gatepost.agent.uplink.message_renderer import MessageRenderer, UnsendableMessage
from gatepost.agent.uplink.mqtt.ack_gathering import AckGathering
from gatepost.agent.uplink.mqtt.connection import ConnectionLost, MqttConnection
from gatepost.agent.uplink.mqtt.publisher import MqttPublisher
from gatepost.agent.uplink.poison_messages import PoisonMessages, SuspectProbe
from gatepost.agent.uplink.routing import BrokerRoutes, HeldReading, HeldReadings, PaceKey, PaceVerdict, ReadingThinner
from gatepost.agent.uplink.send_timer import SendTimer
from gatepost.agent.uplink.wire_message import RoutedRecord

log = logging.getLogger(__name__)

UNSENT_LIMIT = 256_000  # octets handed to the transport and not yet taken: a slow link must not fill the memory
HELD_AT_MOST = 10.0  # seconds that readings wait for the answer to a SUBSCRIBE on which the broker hung up before
UNSENT_WAIT = 0.05  # seconds until it is looked again whether the link has taken them
SPARE_IDS = 2  # of the receive maximum, left for responses and statuses


class BrokerDelivery:
    """Delivery from the moment the connection is open to its end. `send_pending` may be called at any time; it never
    waits or raises. `on_broken` is called when the connection is of no use any more for a reason that it cannot see."""

    def __init__(
        self,
        name: str,
        store: Store,
        lanes: Lanes,
        renderer: MessageRenderer,
        thinner: ReadingThinner,
        poison: PoisonMessages,
        counters: DeliveryCounters,
        *,
        window: int,
        rate: float,
        monotonic: Callable[[], float],
        rng: Random,
        on_broken: Callable[[ConnectionLost], None],
        ready: Callable[[], bool] = lambda: True,
    ) -> None:
        self._name = name
        self._ready = ready
        self._held: asyncio.TimerHandle | None = None
        self._flowing = asyncio.Event()
        self._batch_since: float | None = None
        self._sent_to = -1  # the head of the log when the lanes had nothing more to send
        self._refill_at = 0  # readings in flight: more are sent when half of them are acknowledged, many at once
        self._store = store
        self._counters = counters
        self._window = window
        self._on_broken = on_broken
        self._publisher: MqttPublisher | None = None
        self._gathering: AckGathering | None = None
        self._outbox = Outbox()
        self.control = ControlMessages(name, self._outbox, self.send_pending)
        self._timer = SendTimer(self.send_pending, monotonic)
        self.renderer = renderer
        self._plain = None if renderer.fast is None else PlainReadings(renderer.fast, store, renderer.is_plain)
        thinner.begin()
        self._paced = HeldReadings(thinner)
        self._backlog_rate = TokenBucket(rate, max(1.0, rate), monotonic(), tokens=1.0)
        self.feed = LogFeed(name, store, lanes, rng, self.send_pending)
        self.acknowledgements = ReadingAcknowledgements(name, store, self.feed, poison, counters, self.control, rng)
        self._watchdog = AcknowledgementWatchdog(self.acknowledgements, counters, monotonic, on_broken)
        self._probe = SuspectProbe(poison, self.feed, monotonic)

    def start(self, connection: MqttConnection, held: bool = False) -> None:
        """`held`: no readings before `resume`, or HELD_AT_MOST."""
        if held:
            self._held = asyncio.get_running_loop().call_later(HELD_AT_MOST, self.resume)
        publisher = self._publisher = connection.publisher
        publisher.on_ack = self.on_ack
        if connection.gathering is not None:
            self._gathering = connection.gathering
            self._store.writer.on_turn.append(self._gathering.read)
        self._window = max(1, min(self._window, publisher.receive_maximum - SPARE_IDS))
        self._outbox.start(publisher)
        self.control.start(publisher)
        self.renderer.start(publisher, connection.properties)
        self._watchdog.start(connection)
        quiet = self._probe.start()
        if quiet:
            self._timer.pause(quiet)
        self.send_pending()

    # --- sending

    def send_pending(self) -> None:
        """Send as much as the window takes."""
        publisher = self._publisher
        if publisher is None or not publisher.is_open or (self._outbox.waiting and not self._outbox.drain()):
            return
        if self.acknowledgements.refused or self._held is not None or not self._ready():
            return
        now = self._timer.monotonic()
        if now < self._timer.paused_until:
            self._timer.wake_within(self._timer.paused_until - now)
            return
        if publisher.unsent > UNSENT_LIMIT:
            self._timer.wake_within(UNSENT_WAIT)
            return
        try:
            self._fill_window(publisher, now)
        except Exception as error:  # must not reach the store or the connection, which call this
            log.exception("%s: sending failed", self._name)
            self._on_broken(
                ConnectionLost(None, f"sending failed: {type(error).__name__}", "the log holds more", silent=True)
            )

    def _fill_window(self, publisher: MqttPublisher, now: float) -> None:
        in_flight, feed, gathering = self.acknowledgements.in_flight, self.feed, self._gathering
        before, lanes = len(in_flight), feed.lanes
        if not feed.switch_lanes(idle=not before):
            return
        if feed.lanes is not lanes:
            self._paced.forget()  # they are owed, so they come again
        feed.fill()
        suspect = self._probe.suspect()
        self.renderer.begin_burst()
        lanes, batches, waiting = feed.lanes, self.renderer.batches, self._outbox.waiting
        limited = self._backlog_rate.rate > 0
        given_up = self._counters.dead + self._counters.skipped
        window = self._window if suspect is None else min(self._window, 1)
        window = min(window, publisher.receive_maximum - publisher.in_flight + before)
        if self._paced.next_due is not None and not feed.loading:
            self._send_paced(window)
        all_sent, sent_in_runs = False, 0
        plain = None if waiting or limited or suspect is not None else self._plain
        while len(in_flight) < window:
            if plain is not None:
                lane, most = lanes.run(window - len(in_flight))
                if lane is not None and (count := self._send_run(plain, publisher, lane, most)):
                    sent_in_runs += count
                    if not lane.buffer and lane.missing(self._store.head) is not None:
                        feed.fill()
                    continue
                plain = None  # the rest of this burst one by one
            else:
                allowed = not limited or self._backlog_may_send(now)
                lane = lanes.choose(allowed) if suspect is None else self._choose_warily(suspect, allowed)
            if lane is None:
                all_sent = suspect is None and not limited and not feed.loading
                if self._paced.next_due is not None and not feed.loading:
                    self._send_paced(window)  # its lane may have nothing newer now
                break
            one = self._next_of(lane, lane.buffer[0])
            if one is not None:
                if batches is None:
                    self._send(lane, (one,))
                elif not self._send_batch(batches, lane, one, suspect is None, now):
                    break
            if waiting:
                break
            if not lane.buffer:
                feed.fill()
        self._sent_to = self._store.head if all_sent else -1
        if gathering is not None and all_sent and self.renderer.qos == 1 and 0 < sent_in_runs == len(publisher.flight):
            gathering.leave(sent_in_runs)
        given_up = self._counters.dead + self._counters.skipped - given_up
        if given_up:
            lanes.settle(given_up)
        if in_flight or not feed.loading:
            self._flowing.set()
        if len(in_flight) >= window:
            publisher.hurry_ping()
        self._refill_at = len(in_flight) // 2 if window > SMALL_WINDOW else len(in_flight)
        if in_flight and not before:
            self._watchdog.watch()

    def _send_run(self, plain: PlainReadings, publisher: MqttPublisher, lane: Lane, most: int) -> int:
        """Send those of the next readings of a lane that are plain, up to one that is not; how many."""
        replayed, limit = lane is self.feed.lanes.backlog, self.renderer.maximum_packet_size
        messages = plain.messages(lane.buffer, most, replayed, limit)
        count = len(messages)
        if count:
            seqs = lane.take_run(count)
            self.acknowledgements.in_flight.update(dict.fromkeys(seqs, lane))
            publisher.publish_all(messages, self.renderer.qos, seqs)
            self._counters.sent += count
        return count

    def _send_batch(self, batches: BatchEncoder, lane: Lane, first: RoutedRecord, together: bool, now: float) -> bool:
        """Send `first`, the next of the lane, with those behind it that go with it; false while they wait for more."""
        some = [first]
        together = together and self.renderer.joins(first.rule)
        if together and first.record.seq not in self.acknowledgements.singly:
            sizes = [len(record.body) for record in islice(lane.buffer, batches.readings)]
            count = batches.count(sizes, self.renderer.maximum_packet_size)
            if len(sizes) < batches.readings and batches.delay and lane is self.feed.lanes.live:
                since = self._batch_since = self._batch_since or now
                if now < since + batches.delay:
                    self._timer.wake_within(since + batches.delay - now)
                    return False
            self._batch_since = None
            some = self._batch(lane, first, count)
        self._send(lane, some)
        return True

    def _next_of(self, lane: Lane, record: Record) -> RoutedRecord | None:
        """The record as the routes see it; None when there is nothing to send of it."""
        store, feed = self._store, self.feed
        try:
            series = store.series_of(record.series)
            wall, clock = store.time_of(record)
        except KeyError:  # forgotten while the record waited here
            feed.read_again(lane)
            return None
        try:
            one = self.renderer.route(record, series, wall, clock, lane is feed.lanes.backlog)
        except UnsendableMessage as problem:
            lane.skip()
            self.acknowledgements.give_up(record, problem.code, problem.reason)
            return None
        if one.rule is None:
            self._skip(lane, record)
            return None
        return self._at_pace(lane, one, one.rule.every) if one.rule.every and not record.bits & EVENT else one

    def _at_pace(self, lane: Lane, one: RoutedRecord, every: float) -> RoutedRecord | None:
        """The record, where its rule's time is over; else it waits for that, or for a newer one."""
        key = PaceKey(one.series.device, self.renderer.metric(one.series), one.replayed)
        paced, urgent = self._paced, bool(one.record.bits & URGENT)
        if not urgent and paced.get(key) is not None and one.wall >= paced.thinner.due(key, every):
            self._send_held(key)
            return None
        verdict = paced.thinner.judge(key, every, one.record.seq, one.wall, urgent)
        if verdict is PaceVerdict.SEND:
            waits = paced.get(key)
            if waits is not None and not urgent and waits.one.record.seq < one.record.seq:  # the clock was set back
                self._drop_held(paced.drop(key))
            return one
        if verdict is PaceVerdict.DONE:
            self._skip(lane, one.record)
            return None
        lane.take()
        older = paced.hold(key, HeldReading(lane, one, every))
        if older is not None:
            self._drop_held(older)
        self._wake_for_paced()
        return None

    def _send_paced(self, window: int) -> None:
        """Readings whose time is over, with nothing newer behind them."""
        now = self.renderer.now()
        for key in self._paced.ready(now):
            if len(self.acknowledgements.in_flight) >= window or self._outbox.waiting:
                self._paced.next_due = now
                self._timer.wake_within(UNSENT_WAIT)
                return
            self._send_held(key)
        if self._paced.next_due is not None and self._paced.next_due > now:
            self._wake_for_paced()

    def _wake_for_paced(self) -> None:
        due = self._paced.next_due
        if due is not None:
            self._timer.wake_within(max(UNSENT_WAIT, (due - self.renderer.now()) / US))

    def _send_held(self, key: PaceKey) -> None:
        held, wanted = self._paced.pop(key)
        if wanted:
            self._send(held.lane, [held.one], taken=True)
        else:
            self._drop_held(held)

    def _drop_held(self, held: HeldReading) -> None:
        """A newer one takes its place."""
        self._skip(held.lane, held.one.record, taken=True)

    def _batch(self, lane: Lane, first: RoutedRecord, count: int) -> list[RoutedRecord]:
        """`first` and those right behind it that go with it: readings that the same rule sends."""
        some = [first]
        if first.record.bits & EVENT:
            return some
        store = self._store
        for record in islice(lane.buffer, 1, count):
            if record.bits & EVENT or record.seq in self.acknowledgements.singly:
                break
            try:
                wall, clock = store.time_of(record)
                one = self.renderer.route(record, store.series_of(record.series), wall, clock, first.replayed)
            except (KeyError, UnsendableMessage):  # dealt with when it is the first
                break
            if one.rule != first.rule:
                break
            some.append(one)
        return some

    def _send(self, lane: Lane, some: Sequence[RoutedRecord], taken: bool = False) -> None:
        """`taken`: out of its lane before."""
        acknowledgements = self.acknowledgements
        try:
            messages = self.renderer.render(some)
        except UnsendableMessage as problem:
            if len(some) > 1:
                acknowledgements.singly.update(one.record.seq for one in some)
                return
            lane.skip(some[0].record if taken else None)
            acknowledgements.give_up(some[0].record, problem.code, problem.reason)
            return
        if not messages:
            self._counters.uncarried += len(some)
            for one in some:
                self._skip(lane, one.record, taken)
            return
        first = some[0].record.seq
        for one in some:
            acknowledgements.in_flight[one.record.seq] = lane
            if not taken:
                lane.take()
        if len(some) > 1 or len(messages) > 1:
            acknowledgements.units[first] = SentUnit([one.record.seq for one in some], len(messages))
        self._outbox.put(messages, first)
        self._counters.sent += len(some)
        if lane is self.feed.lanes.backlog and self._backlog_rate.rate > 0:
            self._backlog_rate.spend()

    def _skip(self, lane: Lane, record: Record, taken: bool = False) -> None:
        """It is not sent."""
        lane.skip(record if taken else None)
        self._probe.passed_over(record.seq)
        self._counters.skipped += 1

    def _backlog_may_send(self, now: float) -> bool:
        wait = self._backlog_rate.wait(now)
        if wait:
            self._timer.wake_within(wait)
        return not wait

    def _choose_warily(self, suspect: int, backlog_allowed: bool) -> Lane | None:
        lane, wait = self._probe.choose(suspect, backlog_allowed)
        if wait:
            self._timer.wake_within(wait)
        return lane

    def on_ack(self, acks: list[tuple[int, int]]) -> None:
        """(tag, reason code) in wire order."""
        pause = self.acknowledgements.take(acks)
        if pause:
            self._timer.pause(pause)
            self._sent_to = -1  # what was refused waits to be sent again
        few = len(self.acknowledgements.in_flight) <= self._refill_at and self._sent_to != self._store.head
        if few or self._outbox.has_room or self.feed.lanes.urgent.buffer:
            self.send_pending()

    # --- other settings

    def reroute(self, routes: BrokerRoutes, share: float, rate: float) -> None:
        """The settings changed in what needs no new connection."""
        self.renderer.reroute(routes)
        if self._plain is not None:
            self._plain.forget()
        self._paced.give_back()
        self.feed.lanes.share = share
        self._backlog_rate.rate, self._backlog_rate.burst = rate, max(1.0, rate)
        self.send_pending()

    def renew(self, lanes: Callable[[], Lanes]) -> None:
        """The broker is owed more than before: go on with new lanes as soon as nothing is in flight."""
        self.feed.renew(lanes)
        self._sent_to = -1
        self.send_pending()

    async def until_flowing(self, limit: float) -> None:
        """Until the first readings are sent, none is there to send, or so many seconds are over."""
        if self._ready():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limit):
                    await self._flowing.wait()

    def resume(self) -> None:
        """Readings need not be held any longer."""
        if self._held is not None:
            self._held.cancel()
            self._held = None
            self.send_pending()

    # --- the end

    def hold(self) -> None:
        """Send no more readings: the end is near, and what is in flight should be acknowledged by then."""
        self._window = 0
        if self._gathering is not None:
            self._gathering.read()

    def end(self) -> tuple[int | None, bool]:
        """Nothing more is sent. The first message that was in flight, and whether it was all that was."""
        publisher, self._publisher = self._publisher, None
        alone = publisher is not None and len(publisher.unacked()) == 1
        if self._gathering is not None:
            self._store.writer.on_turn.remove(self._gathering.read)
            self._gathering = None
        if self._held is not None:
            self._held.cancel()
        self._timer.stop()
        self._watchdog.stop()
        self.feed.stop()
        self._outbox.stop()
        self.control.stop()
        return next(iter(self.acknowledgements.in_flight), None), alone
