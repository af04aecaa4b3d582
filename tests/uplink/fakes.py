"""A store in memory and a connection without a network, with the interfaces that a session uses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import orjson

from gatepost.agent.core.clock import Stamp
from gatepost.agent.core.errors import NotConnected, StoreError, WindowFull
from gatepost.agent.store.delivery.positions import DeliveryPosition
from gatepost.agent.store.model import EVENT, IN_STEP, URGENT, Record, Series
from gatepost.agent.store.recent_records import RecentRecords
from gatepost.agent.uplink.acknowledgements import DeliveryCounters
from gatepost.agent.uplink.delivery import BrokerDelivery
from gatepost.agent.uplink.devices_format import DevicesFormat
from gatepost.agent.uplink.formats.interface import ContractFormat
from gatepost.agent.uplink.lanes import Lanes
from gatepost.agent.uplink.message_renderer import MessageRenderer
from gatepost.agent.uplink.mqtt.connection import ConnectionLost
from gatepost.agent.uplink.poison_messages import SUSPECT_AFTER, PoisonMessages
from gatepost.agent.uplink.routing import BrokerRoutes, ReadingThinner
from gatepost.agent.uplink.wire_message import WireMessage

EPOCH = "0123abcd"
WALL = 1_795_000_000_000_000


class FakeStore:
    """Rows by sequence number; the newest `memory` of them in a tail. A page waits while `gate` is closed."""

    def __init__(self, memory: int = 1_000_000, first: int = 1) -> None:
        self.rows: dict[int, Record] = {}
        self.positions: dict[str, DeliveryPosition] = {}
        self.series: dict[int, Series] = {}
        self.dead_events: list[int] = []
        self.dead: list[tuple[str, int, int | None, str]] = []
        self.pages: list[tuple[int, int, int, int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.failing: Exception | None = None
        self.condition = ""
        self.head = first - 1
        self.queries = self.backlog = self.recent = self.writer = self  # the parts that a delivery uses, in one
        self.on_turn: list[Callable[[], None]] = []
        self._memory = memory
        self._first = first
        self._tail = RecentRecords(first)

    def add(
        self, urgent: bool = False, device: str = "d", metric: str = "reading", event: bool = False, body: bytes = b""
    ) -> int:
        common = orjson.dumps({"event": "gap"} if event else {"metric_type": metric})
        number = next((s.number for s in self.series.values() if (s.device, s.common) == (device, common)), 0)
        if not number:
            number = len(self.series) + 1
            self.series[number] = Series(number, 1, device, None, common)
        self.head += 1
        bits = IN_STEP | (URGENT if urgent else 0) | (EVENT if event else 0)
        record = Record(self.head, number, WALL + self.head, self.head, bits, body or b'{"n":%d}' % self.head)
        self.rows[self.head] = record
        self._tail.extend([record])
        self._tail.since(self.head, 1)  # a link asks after each commit
        if len(self.rows) > self._memory:
            self._forget(self.head - self._memory + 1)
        return self.head

    def restart(self) -> None:
        """What a new process remembers of the rows: nothing."""
        self._forget(self.head + 1)

    def _forget(self, start: int) -> None:
        kept = [self.rows[seq] for seq in sorted(self.rows) if seq >= start]
        self._tail = RecentRecords(start)
        self._tail.extend(kept)

    # -- what a session asks

    def since(self, seq: int, limit: int) -> list[Record] | None:
        return self._tail.since(seq, limit)

    async def page(self, track: int, lo: int, hi: int, limit: int) -> list[Record]:
        self.pages.append((track, lo, hi, limit))
        await self.gate.wait()
        if self.failing is not None:
            raise self.failing
        mine = [r for seq, r in sorted(self.rows.items()) if lo <= seq < hi and r.bits & URGENT == track]
        return mine[:limit]

    def series_of(self, number: int) -> Series:
        return self.series[number]

    def time_of(self, record: Record) -> tuple[int, str]:
        return record.wall, "synchronised"

    def id_prefix(self, seq: int) -> bytes:
        return f"gw:{EPOCH}:".encode()

    def reading_id(self, seq: int) -> str:
        return f"gw:{EPOCH}:{seq}"

    def dead_letter(self, broker: str, seq: int, code: int | None, reason: str, event: bool = False) -> None:
        self.dead.append((broker, seq, code, reason))
        if event:
            self.dead_events.append(seq)

    def position(self, broker: str) -> DeliveryPosition:
        return self.positions.setdefault(broker, DeliveryPosition.starting(broker, self._first))


class FakeConnection:
    """Takes what is published; `ack` acknowledges by tag. `sent` are tags in order, also of earlier ones."""

    def __init__(self, receive_maximum: int = 1000, version: int = 5) -> None:
        self.is_open = True
        self.receive_maximum = receive_maximum
        self.maximum_packet_size: int | None = None
        self.version = version
        self.unsent = 0
        self.sent: list[int] = []
        self.messages: dict[int, tuple[bytes, bytes, int, bool, bytes]] = {}
        self.flight: list[int] = []
        self.stuck = False
        self.checks = 0
        self.on_ack: Any = None
        self.gathering: Any = None

    @property
    def publisher(self) -> FakeConnection:
        return self

    @property
    def in_flight(self) -> int:
        return len(self.flight)

    def properties(self, *_: Any, **__: Any) -> bytes:
        return b""

    def hurry_ping(self) -> None: ...

    def unacked(self) -> list[int]:
        return list(self.flight)

    def publish(self, topic: bytes, payload: bytes, qos: int, retain: bool, properties: bytes, tag: int) -> None:
        if not self.is_open:
            raise NotConnected("closed")
        if len(self.flight) >= self.receive_maximum:
            raise WindowFull("full")
        self.sent.append(tag)
        self.flight.append(tag)
        self.messages[tag] = (topic, payload, qos, retain, properties)

    def publish_all(self, messages: Sequence[tuple[bytes, bytes, bytes]], qos: int, tags: Sequence[int]) -> None:
        for (topic, payload, properties), tag in zip(messages, tags, strict=True):
            self.publish(topic, payload, qos, False, properties, tag)

    def check(self, limit: float) -> bool:
        self.checks += 1
        return self.stuck

    def ack(self, *tags: int, code: int = 0) -> None:
        for tag in tags:
            self.flight.remove(tag)
        self.on_ack([(tag, code) for tag in tags])

    def answer(self, *pairs: tuple[int, int]) -> None:
        """(tag, code) pairs in one chunk."""
        for tag, _ in pairs:
            self.flight.remove(tag)
        self.on_ack(list(pairs))

    @property
    def readings(self) -> list[int]:
        return [tag for tag in self.sent if tag > 0]


class LongestPauses(Random):
    """Draws the upper end, so that pauses are known."""

    def uniform(self, a: float, b: float) -> float:
        return b


def topic_of(key: str, device: str = "", metric: str = "") -> str:
    """The device as it is, whatever is in its name."""
    return device or key


class HandClock:
    """The wall clock of a rig."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    def now(self) -> Stamp:
        return Stamp(self._rig.wall, 0, True)


class Rig:
    """A store, and sessions on it one after the other."""

    def __init__(self, memory: int = 1_000_000, **options: Any) -> None:
        self.store = FakeStore(memory)
        self.poison = PoisonMessages()
        self.counters = DeliveryCounters()
        self.lost: list[ConnectionLost] = []
        self.now = 1000.0
        self.wall = WALL
        self.thinner = ReadingThinner()
        self.monotonic = lambda: self.now
        self.qos = options.pop("qos", 1)
        self.options: dict[str, Any] = {"window": 10, "rate": 0.0, **options}
        self.connection: FakeConnection
        self.session: BrokerDelivery

    def connect(
        self, receive_maximum: int = 1000, share: float = 0.5, routes: Sequence[Any] = (), **attributes: Any
    ) -> FakeConnection:
        position = self.store.backlog.position("b")
        self.connection = connection = FakeConnection(receive_maximum)
        for name, value in attributes.items():
            setattr(connection, name, value)
        self.session = BrokerDelivery(
            "b",
            self.store,  # type: ignore[arg-type]
            Lanes(position, self.store.head, share),
            MessageRenderer(
                ContractFormat,  # type: ignore[arg-type]  # asked for what it carries, no more
                DevicesFormat("gw", self.store.id_prefix, topic_of, 4),  # type: ignore[arg-type]
                BrokerRoutes("b", list(routes), {}),
                self.store.reading_id,
                HandClock(self),  # type: ignore[arg-type]
                self.qos,
                None,
            ),
            self.thinner,
            self.poison,
            self.counters,
            monotonic=lambda: self.monotonic(),
            rng=LongestPauses(),
            on_broken=self.lost.append,
            **self.options,
        )
        self.session.start(connection)  # type: ignore[arg-type]
        return connection

    def store_new(self, count: int = 1, **row: Any) -> None:
        for _ in range(count):
            self.store.add(**row)
        self.wall = max(self.wall, WALL + self.store.head)  # no row is of a later time

    def send_new(self, count: int = 1, **row: Any) -> None:
        """So many rows are stored, and the session sends what it may."""
        self.store_new(count, **row)
        self.session.send_pending()

    def later(self, seconds: float) -> None:
        """Time passes, and the session sends what it may."""
        self.now += seconds
        self.session.send_pending()

    async def send(self, topic: str, payload: bytes, qos: int, retain: bool, properties: bytes, timeout: float) -> int:
        return await self.session.control.send([WireMessage(topic.encode(), payload, qos, retain, properties)], timeout)

    def drop(self) -> tuple[int | None, bool]:
        """The connection ends: what the session says was first in flight, and whether alone."""
        result = self.session.end()
        self.connection.is_open = False
        return result

    def hung_up_on(self) -> None:
        """Connections end with the first row in flight, until that is a suspect."""
        for _ in range(SUSPECT_AFTER):
            self.connect()
            self.poison.hung_up(*self.drop())

    def suspect(self, seq: int) -> None:
        for _ in range(SUSPECT_AFTER):
            self.poison.hung_up(seq, False)

    def owed(self, track: int = 0) -> list[int]:
        """Stored rows that are still owed on this track."""
        owed = self.store.backlog.position("b").owed[track]
        return [seq for seq, record in self.store.rows.items() if record.bits & URGENT == track and seq in owed]


def connected(**options: Any) -> tuple[Rig, FakeConnection]:
    """A rig of these options, and its connection."""
    rig = Rig(**options)
    return rig, rig.connect()


FAILURE = StoreError("the log could not be read")
