"""Routing: which readings a broker is given, and how often. Judged when sending: a rule never touches what is stored.

`every` of a rule: of each device and metric the newest in that time. The first reading is sent at once. What follows
within the time waits: a newer one takes its place, and the last of them is sent when the time is over. What was
replaced is not sent; what waits is still owed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from gatepost.agent.core.clock import US
from gatepost.agent.settings.model import RouteRule
from gatepost.agent.settings.route_rules import matches, may_send, rules_of
from gatepost.agent.uplink.lanes import Lane
from gatepost.agent.uplink.wire_message import RoutedRecord

MAX_THINNED = 10_000  # pairs of device and metric whose last reading is remembered
EVERYTHING = RouteRule()


class SeriesRoute:
    """The rules that may match readings of one series, in order; none: they are not for this broker."""

    def __init__(self, rules: Sequence[RouteRule]) -> None:
        self.rules = tuple(rules)
        self.plain = self.rules == (EVERYTHING,)  # the usual case: nothing to judge for each reading

    def rule(self, urgent: bool, good: bool) -> RouteRule | None:
        """The rule of a reading; None = it is not for this broker."""
        for rule in self.rules:
            if ("urgent" not in rule.only or urgent) and ("good" not in rule.only or good):
                return None if rule.drop else rule
        return None


class BrokerRoutes:
    """Routes of one broker, and the devices that name the brokers they report to."""

    def __init__(
        self,
        broker: str,
        routes: Sequence[RouteRule],
        device_brokers: Mapping[str, Sequence[str] | None],
        rooms: Mapping[str, str] | None = None,
    ) -> None:
        self._broker = broker
        self._routes = tuple(routes)
        self._device_brokers = dict(device_brokers)
        self.rooms = dict(rooms or {})  # device id -> room

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BrokerRoutes) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def reports(self, device: str) -> bool:
        """Whether the device reports to this broker at all."""
        named = self._device_brokers.get(device)
        return named is None or self._broker in named

    def sends(self, device: str) -> bool:
        """Whether any reading of the device may be sent to this broker."""
        return self.reports(device) and may_send(self._routes, device, self.rooms.get(device, ""))

    def series(self, device: str, metric: str) -> SeriesRoute:
        """The rules for readings of this device and metric_type; a device no longer configured has them too."""
        if not self.reports(device):
            return SeriesRoute(())
        if not self._routes:
            return SeriesRoute((EVERYTHING,))
        rules = rules_of(self._routes, device, self.rooms.get(device, ""))
        return SeriesRoute([rule for rule in rules if matches(rule.metrics, metric)])


class PaceKey(NamedTuple):
    """What a pace is kept of; the backlog has one of its own."""

    device: str
    metric: str
    replayed: bool


class PaceVerdict(Enum):
    SEND = "send"
    HOLD = "hold"
    DONE = "done"  # a newer one was sent


class _Pace:
    __slots__ = ("sent", "since", "urgent")

    def __init__(self, since: int) -> None:
        self.since = since  # when the time began that is running now
        self.sent = -1  # number of the reading that was sent last, and
        self.urgent = -1  # of the newest urgent one


class ReadingThinner:
    """Paces of one broker; they outlive its connections. Times are those of readings, in microseconds: they go back
    where the clock is set back, or where what was sent is owed again. Then the time begins anew."""

    def __init__(self) -> None:
        self._paces: dict[PaceKey, _Pace] = {}

    def begin(self) -> None:
        """A new connection: what was live on the last one and is still owed comes as backlog."""
        for key, pace in [*self._paces.items()]:
            if not key.replayed and (later := key._replace(replayed=True)) not in self._paces:
                again = self._paces[later] = _Pace(pace.since)
                again.sent = pace.sent

    def judge(self, key: PaceKey, every: float, seq: int, time: int, urgent: bool) -> PaceVerdict:
        pace = self._paces.get(key)
        # What is newer may be of a little before: it was stored when the one that waited was sent already.
        early = every * US if pace is not None and seq > pace.sent else 0
        if pace is None:
            if len(self._paces) >= MAX_THINNED:
                self._paces.clear()
            pace = self._paces[key] = _Pace(time)
        elif urgent or seq == pace.sent:  # a repeat passes
            pass
        elif seq < pace.urgent:
            return PaceVerdict.DONE
        elif pace.since - early <= time < pace.since + every * US:
            return PaceVerdict.HOLD
        else:
            pace.since = time
        if urgent:
            pace.urgent = max(pace.urgent, seq)
        else:
            pace.sent = seq
        return PaceVerdict.SEND

    def due(self, key: PaceKey, every: float) -> int:
        """When the time is over that is running now."""
        pace = self._paces.get(key)
        return 0 if pace is None else pace.since + round(every * US)

    def release(self, key: PaceKey, every: float, seq: int, time: int) -> bool:
        """What waited is sent now; False where a newer one, an urgent one, was sent meanwhile."""
        pace = self._paces.setdefault(key, _Pace(time))
        if seq < pace.urgent:
            return False
        pace.sent = seq
        pace.since = max(pace.since + round(every * US), time)
        return True


class HeldReading(NamedTuple):
    """A reading that waits for its time, taken from its lane and not sent."""

    lane: Lane
    one: RoutedRecord
    every: float


class HeldReadings:
    """Readings of one connection that wait, one of each device and metric."""

    def __init__(self, thinner: ReadingThinner) -> None:
        self.thinner = thinner
        self.next_due: int | None = None  # of those that wait
        self._held: dict[PaceKey, HeldReading] = {}

    def get(self, key: PaceKey) -> HeldReading | None:
        return self._held.get(key)

    def hold(self, key: PaceKey, held: HeldReading) -> HeldReading | None:
        """Let it wait; the older one in whose place it comes."""
        before = self._held.get(key)
        self._held[key] = held
        due = self.thinner.due(key, held.every)
        self.next_due = due if self.next_due is None else min(self.next_due, due)
        return before

    def drop(self, key: PaceKey) -> HeldReading:
        """It waits no longer, and is not sent."""
        return self._held.pop(key)

    def pop(self, key: PaceKey) -> tuple[HeldReading, bool]:
        """It waits no longer; whether it is to be sent."""
        held = self.drop(key)
        return held, self.thinner.release(key, held.every, held.one.record.seq, held.one.wall)

    def ready(self, now: int) -> list[PaceKey]:
        """Those whose time is over, where their lane has nothing newer; brings `next_due` up to date."""
        found: list[PaceKey] = []
        self.next_due = None
        for key, held in self._held.items():
            due = self.thinner.due(key, held.every)
            if due > now + held.every * US:  # the clock was set back
                due = now
            if due <= now and not held.lane.buffer:
                found.append(key)
            else:
                self.next_due = due if self.next_due is None else min(self.next_due, due)
        return found

    def give_back(self) -> None:
        """They come first again in their lanes: the rules have changed."""
        by_lane: dict[int, tuple[Lane, list[int]]] = {}
        for held in self._held.values():
            by_lane.setdefault(id(held.lane), (held.lane, []))[1].append(held.one.record.seq)
        for lane, seqs in by_lane.values():
            lane.retry(seqs)
        self.forget()

    def forget(self) -> None:
        self._held.clear()
        self.next_due = None
