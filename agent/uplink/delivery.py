"""What happens on one open connection: keep the window full from the lanes, and note what was acknowledged."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from gatepost.agent.core.errors import NotConnected, StoreError, UplinkError
from gatepost.agent.store import Record, Store
from gatepost.agent.store.model import EVENT, URGENT, Series
from gatepost.agent.uplink.formats import PayloadFormat
from gatepost.agent.uplink.lanes import Lane, Lanes
from gatepost.agent.uplink.mqtt.codec import check_topic
from gatepost.agent.uplink.mqtt.connection import ConnectionLost, MqttConnection, packet_size
from gatepost.agent.uplink.mqtt.reason_codes import PACKET_TOO_LARGE, REFUSED, explain
from gatepost.agent.uplink.poison_messages import QUIET, PoisonMessages
from gatepost.agent.uplink.routing import BrokerRoutes

log = logging.getLogger(__name__)

MOST_UNSENT = 256_000  # octets handed to the transport and not yet taken: a slow link must not fill the memory
LIVE_LAG = 20_000  # rows that live may lag behind before what it has not sent becomes backlog
ACK_LIMIT = 20.0  # seconds without any acknowledgement while something is in flight: the link is half-open
MOST_TOPICS = 5000  # known to be good
MOST_SERIES = 20_000  # judged by the routes and remembered
READ_FIRST, READ_MOST = 2.0, 60.0  # seconds until a page of the log that could not be read is tried again
SPARE_IDS = 2  # of the receive maximum, left for responses and statuses
PAUSE_FIRST, PAUSE_MOST = 1.0, 60.0
WITNESS = 60.0  # seconds to wait for a reading that shows whether the broker takes any, before the suspect is sent
GIVE_UP = 5  # refusals "for now" of one message, by a broker that is not over its quota, until it is a dead letter
PATIENT = (0x96, 0x97)  # message rate too high, quota exceeded: the broker's matter, not the message's


@dataclass
class DeliveryCounters:
    """Counts of one broker since the start."""

    sent: int = 0
    delivered: int = 0
    refused: int = 0
    dead: int = 0
    skipped: int = 0
    delivered_by_lane: dict[str, int] = field(default_factory=lambda: {"urgent": 0, "live": 0, "backlog": 0})
    last_delivery: float | None = None  # wall seconds


class BrokerDelivery:
    """From the moment the connection is open to its end. `pump` may be called at any time; it never waits or raises.

    `on_broken` hears when the connection is of no use any more for a reason that the connection itself cannot see.
    """

    def __init__(
        self,
        name: str,
        store: Store,
        lanes: Lanes,
        render: PayloadFormat,
        routes: BrokerRoutes,
        poison: PoisonMessages,
        tally: DeliveryCounters,
        *,
        qos: int,
        window: int,
        rate: float,
        monotonic: Callable[[], float],
        on_broken: Callable[[ConnectionLost], None],
    ) -> None:
        self.lanes = lanes
        self.routes = routes
        self._name = name
        self._store = store
        self._format = render
        self._poison = poison
        self._tally = tally
        self._qos = qos
        self._window = window
        self._rate = rate
        self._monotonic = monotonic
        self._on_broken = on_broken
        self._loop = asyncio.get_running_loop()
        self._connection: MqttConnection | None = None
        self._flying: dict[int, Lane] = {}
        self._wanted: dict[int, bool] = {}
        self._good_topics: set[bytes] = set()
        self._answers: dict[int, asyncio.Future[int]] = {}
        self._next_answer = -1
        self._loads: dict[str, asyncio.Task[None]] = {}
        self._attempts: dict[int, int] = {}
        self._refused: list[int] = []
        self._pauses = 0
        self._paused_until = 0.0
        self._tokens = 1.0
        self._token_at = monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._freed = asyncio.Event()
        self._waiting_to_send = 0
        self._wary_until = 0.0
        self._held = False
        self._next_lanes: Callable[[], Lanes] | None = None
        self._oldest: tuple[int, int, float] | None = None  # first in flight, delivered when it came to be so, and when

    def start(self, connection: MqttConnection) -> None:
        self._connection = connection
        self._window = max(1, min(self._window, connection.receive_maximum - SPARE_IDS))
        if self._poison.suspect is not None:
            self._pause(QUIET)
            self._wary_until = self._monotonic() + WITNESS
        self.pump()

    # --- sending

    def pump(self) -> None:
        """Send as much as the window takes."""
        connection = self._connection
        if connection is None or not connection.is_open or self._refused or self._held:
            return
        now = self._monotonic()
        if now < self._paused_until:
            self._later(self._paused_until - now)
            return
        if connection.unsent > MOST_UNSENT:
            self._later(0.05)
            return
        try:
            self._fill(connection, now)
        except Exception as error:  # must not reach the store or the connection, which call this
            log.exception("%s: sending failed", self._name)
            self._on_broken(
                ConnectionLost(None, f"sending failed: {type(error).__name__}", "the log holds more", silent=True)
            )

    def renew(self, lanes: Callable[[], Lanes]) -> None:
        """What is owed was extended: go on with new lanes as soon as nothing is in flight."""
        self._next_lanes = lanes
        self.pump()

    def hold(self) -> None:
        """Send no more readings: the end is near, and what is in flight should be acknowledged by then."""
        self._held = True

    def _fill(self, connection: MqttConnection, now: float) -> None:
        if self._next_lanes is not None:
            if self._flying:
                return
            self.settle()
            for task in self._loads.values():
                task.cancel()
            self._loads.clear()
            self.lanes, self._next_lanes = self._next_lanes(), None
        self._feed()
        suspect = self._suspect()
        flying, lanes = self._flying, self.lanes
        limited = self._rate > 0
        before = len(flying)
        window = self._window if suspect is None else 1
        window = min(window, connection.receive_maximum - connection.in_flight + before - self._waiting_to_send)
        while len(flying) < window:
            allowed = not limited or self._token(now)
            lane = lanes.choose(allowed) if suspect is None else self._wary(suspect, allowed)
            if lane is None:
                break
            self._send(connection, lane)
            if not lane.buffer:
                self._feed()
        if flying and not before:
            self._watch_acks()

    def _suspect(self) -> int | None:
        """The message under suspicion, as long as some lane has it still to send."""
        suspect = self._poison.suspect
        if suspect is not None and not any(lane.holds(suspect) for lane in self.lanes.all):
            self._poison.acquit()
            return None
        return suspect

    def _wary(self, suspect: int, backlog_allowed: bool) -> Lane | None:
        """Whether the broker takes readings at all must show first, by another reading; one is waited for."""
        if not self._poison.vouched:
            for lane in self.lanes.all if backlog_allowed else self.lanes.all[:2]:
                if lane.buffer and lane.buffer[0].seq != suspect:
                    return lane
            left = self._wary_until - self._monotonic()
            if left > 0:
                self._later(left)
                return None
        return self.lanes.choose(backlog_allowed)

    def _send(self, connection: MqttConnection, lane: Lane) -> None:
        record = lane.buffer[0]
        store = self._store
        try:
            series = store.series_of(record.series)
            wall, clock = store.time_of(record)
        except KeyError:  # forgotten while the record waited here
            self._read_again(lane)
            return
        try:
            wanted = self._wanted.get(record.series)
            if wanted is None:
                wanted = self._judge(record, series)
            if not wanted:
                lane.skip()
                self._poison.delivered(record.seq)
                self._tally.skipped += 1
                store.backlog.settled(0)
                return
            message = self._format.render(record, series, wall, clock, lane is self.lanes.backlog)
        except Exception as error:  # a damaged row must not hold up the others
            lane.skip()
            self._bury(record, None, f"it cannot be written as a message: {type(error).__name__}: {error}")
            return
        topic, payload, properties = message
        qos = 1 if record.bits & EVENT else self._qos
        problem = self._problem(connection, topic, payload, properties, qos)
        if problem is not None:
            lane.skip()
            self._bury(record, *problem)
            return
        lane.take()
        self._flying[record.seq] = lane
        connection.publish(topic, payload, qos, False, properties, record.seq)
        self._tally.sent += 1
        if self._rate > 0 and lane is self.lanes.backlog:
            self._tokens -= 1.0

    def _judge(self, record: Record, series: Series) -> bool:
        if len(self._wanted) >= MOST_SERIES:
            self._wanted.clear()
        common: dict[str, Any] = orjson.loads(series.common)
        wanted = bool(record.bits & EVENT) or self.routes.wants(series.device, str(common.get("metric_type", "")))
        self._wanted[record.series] = wanted
        return wanted

    def _problem(
        self, connection: MqttConnection, topic: bytes, payload: bytes, properties: bytes, qos: int
    ) -> tuple[int, str] | None:
        most = connection.maximum_packet_size
        if most is not None:
            size = packet_size(topic, payload, properties, qos, connection.version)
            if size > most:
                return PACKET_TOO_LARGE, f"packet too large: {size} octets, the broker takes {most}"
        if topic not in self._good_topics:
            wrong = check_topic(topic)
            if wrong:
                return 0x90, f"topic not valid: {wrong}"
            if len(self._good_topics) < MOST_TOPICS:
                self._good_topics.add(topic)
        return None

    def _token(self, now: float) -> bool:
        self._tokens = min(max(1.0, self._rate), self._tokens + (now - self._token_at) * self._rate)
        self._token_at = now
        if self._tokens >= 1.0:
            return True
        self._later((1.0 - self._tokens) / self._rate)
        return False

    def reroute(self, routes: BrokerRoutes, share: float, rate: float) -> None:
        """The settings changed in what needs no new connection."""
        self.routes = routes
        self.lanes.share = share
        self._rate = rate
        self._wanted.clear()
        self.pump()

    # --- feeding the lanes

    def _feed(self) -> None:
        store = self._store
        head = store.head
        if "live" not in self._loads and self.lanes.demote(head, LIVE_LAG):
            log.info("%s: live lags by more than %d readings; they go with the backlog", self._name, LIVE_LAG)
        for lane in self.lanes.all:
            while (part := lane.missing(head)) is not None and lane.name not in self._loads:
                lo, hi = part
                recent = store.recent.since(lo, lane.limit)
                if recent is None:
                    self._start_load(lane, lo, hi)
                elif recent:
                    track = lane.track
                    lane.load(
                        [r for r in recent if r.bits & URGENT == track and r.seq < hi], min(recent[-1].seq + 1, hi)
                    )
                else:
                    break

    def _read_again(self, lane: Lane) -> None:
        """From the file, together with the series."""
        under_way = self._loads.pop(lane.name, None)
        if under_way is not None:
            under_way.cancel()  # it would come behind what is forgotten now
        lane.unload()
        part = lane.missing(self._store.head)
        if part is not None:
            self._start_load(lane, *part)

    def _start_load(self, lane: Lane, lo: int, hi: int) -> None:
        self._loads[lane.name] = self._loop.create_task(self._load(lane, lo, hi))

    async def _load(self, lane: Lane, lo: int, hi: int) -> None:
        limit = lane.limit
        pause = READ_FIRST
        while True:
            try:
                records = await self._store.queries.page(lane.track, lo, hi, limit)
                break
            except StoreError as error:
                log.warning("%s: the log could not be read, trying again: %s", self._name, error)
            except Exception:
                log.exception("%s: the log could not be read, trying again", self._name)
            await asyncio.sleep(pause)
            pause = min(READ_MOST, 2 * pause)
        del self._loads[lane.name]
        lane.load(records, records[-1].seq + 1 if len(records) == limit else hi)
        self.pump()

    # --- acknowledgements

    def on_ack(self, acks: list[tuple[int, int]]) -> None:
        """(tag, reason code) in wire order: tags of readings are their sequence numbers, others are negative."""
        delivered = 0
        flying, poison = self._flying, self._poison
        by_lane = self._tally.delivered_by_lane
        for tag, code in acks:
            if tag < 0:
                self._answered(tag, code)
                continue
            lane = flying.get(tag)
            if lane is None:
                continue
            if code >= REFUSED:
                self._refuse(tag, lane, code)
                continue
            del flying[tag]
            record = lane.flying.pop(tag)
            delivered += 1
            by_lane[lane.name] += 1
            if poison.watching:
                poison.delivered(tag)
                if not record.bits & EVENT:
                    poison.vouch()
        if delivered:
            self._tally.delivered += delivered
            self._tally.last_delivery = time.time()
            self._pauses = 0
            self._store.backlog.settled(delivered)
            if self._attempts:
                for tag, _ in acks:
                    if tag not in flying:
                        self._attempts.pop(tag, None)
        if self._waiting_to_send:
            self._freed.set()
            self._freed.clear()
        if self._refused and len(self._flying) == len(self._refused):
            self._requeue()
        self.pump()

    def _answered(self, tag: int, code: int) -> None:
        future = self._answers.pop(tag, None)
        if future is not None and not future.done():
            future.set_result(code)

    def _refuse(self, seq: int, lane: Lane, code: int) -> None:
        self._tally.refused += 1
        self._poison.delivered(seq)
        tries = self._attempts[seq] = self._attempts.get(seq, 0) + 1
        meaning = explain(code)
        if meaning.final or (tries >= GIVE_UP and code not in PATIENT):
            del self._flying[seq]
            self._bury(lane.flying.pop(seq), code, meaning.phrase)
        else:
            self._refused.append(seq)

    def _requeue(self) -> None:
        """Everything else in flight is settled: what was refused for now is sent again, first and in order, later."""
        for lane in self.lanes.all:
            lane.retry([seq for seq in self._refused if self._flying.get(seq) is lane])
        for seq in self._refused:
            self._flying.pop(seq, None)
        self._refused = []
        self._pauses += 1
        self._pause(min(PAUSE_MOST, PAUSE_FIRST * 2 ** min(self._pauses - 1, 10)))

    def _bury(self, record: Record, code: int | None, reason: str) -> None:
        self._attempts.pop(record.seq, None)
        self._tally.dead += 1
        log.warning("%s: reading %s is a dead letter: %s", self._name, self._store.reading_id(record.seq), reason)
        self._store.dead_letter(self._name, record.seq, code, reason, bool(record.bits & EVENT))
        self._store.backlog.settled(1)

    def settle(self) -> None:
        """Called before positions are written."""
        self.lanes.settle()

    # --- other messages

    async def send(self, topic: str, payload: bytes, qos: int, retain: bool, properties: bytes, timeout: float) -> int:
        """Publish something that is no reading; its reason code. NotConnected, UplinkError (no answer in time).

        What the broker would hang up on for its size is not sent: it counts as refused.
        """
        connection = self._connection
        if connection is None or not connection.is_open:
            raise NotConnected(f"{self._name} is not connected")
        most, octets = connection.maximum_packet_size, topic.encode()
        if most is not None and packet_size(octets, payload, properties, qos, connection.version) > most:
            return PACKET_TOO_LARGE
        tag = self._next_answer
        self._next_answer -= 1
        answer: asyncio.Future[int] = self._loop.create_future()
        self._answers[tag] = answer
        try:
            async with asyncio.timeout(timeout):
                while connection.is_open and connection.in_flight >= connection.receive_maximum:
                    self._waiting_to_send += 1
                    try:
                        await self._freed.wait()
                    finally:
                        self._waiting_to_send -= 1
                connection.publish(octets, payload, qos, retain, properties, tag)
                return await answer
        except TimeoutError:
            raise UplinkError(f"{self._name} did not acknowledge a message within {timeout:g} s") from None
        finally:
            self._answers.pop(tag, None)
            if not self._flying:
                self.pump()  # the readings may have made way for this

    # --- the end

    def end(self) -> tuple[int | None, bool]:
        """Nothing more is sent. The first message that was in flight, and whether it was all that was."""
        connection = self._connection
        alone = connection is not None and len(connection.unacked()) == 1
        for handle in (self._timer, self._watch):
            if handle is not None:
                handle.cancel()
        for task in self._loads.values():
            task.cancel()
        for future in self._answers.values():
            if not future.done():
                future.set_exception(NotConnected(f"{self._name} is not connected"))
                future.exception()
        self.settle()
        self._freed.set()
        self._connection = None
        return next(iter(self._flying), None), alone

    @property
    def flying(self) -> int:
        return len(self._flying)

    def _pause(self, seconds: float) -> None:
        self._paused_until = self._monotonic() + seconds
        self._later(seconds)

    def _later(self, seconds: float) -> None:
        """Pump again by then at the latest."""
        due = self._loop.time() + seconds + 0.001
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._rung)

    def _rung(self) -> None:
        self._timer = None
        self.pump()

    def _watch_acks(self) -> None:
        """While something is in flight, look now and then whether anything is acknowledged at all."""
        if self._watch is None:
            self._watch = self._loop.call_later(ACK_LIMIT / 4, self._look)

    def _look(self) -> None:
        self._watch = None
        connection = self._connection
        if connection is None or not self._flying or connection.check(ACK_LIMIT):
            return
        self._watch_acks()
        first, delivered, now = next(iter(self._flying)), self._tally.delivered, self._monotonic()
        if self._refused or self._oldest is None or self._oldest[0] != first:
            self._oldest = (first, delivered, now)
        elif delivered > self._oldest[1] and now - self._oldest[2] >= ACK_LIMIT:
            # What came later was acknowledged: this one's acknowledgement is lost, and the position would stay behind.
            message = f"the broker left out an acknowledgement for {ACK_LIMIT:g} s"
            self._on_broken(ConnectionLost(None, message, "the broker does not keep to MQTT", silent=True))
