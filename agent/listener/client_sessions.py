"""Sessions of clients, kept beyond their connections: subscriptions, QoS 2 packet ids, commands on their way.

A session belongs to (device, client id): sketches copy client ids, and would throw each other out. What must outlive
the agent (subscriptions and packet ids, of sessions that outlive a connection) is kept in the store's small state;
commands are not: after a restart the ledger calls them outcome-unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct, field

from gatepost.agent.core.clock import US, Clock
from gatepost.agent.listener.packets import WillMessage
from gatepost.agent.listener.session import ClientOverruns
from gatepost.agent.store import Store

KEY = "mqtt-session:"
MOST_OF_DEVICE = 4  # sessions of one device without a connection
MOST_COMMANDS = 100  # that wait for one device
LONGEST_ID = 256  # characters of a client id
LAST_ID = 65_535


class NotDelivered(Exception):
    """A message did not reach the device; `sent`: it may have."""

    def __init__(self, message: str, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class OutgoingMessage(Struct, eq=False):
    """A message for a device. `done` gets its result once it is acknowledged (True), or sent with QoS 0 (False)."""

    topic: str
    payload: bytes
    expires: float  # on the loop's clock
    done: asyncio.Future[bool]
    retain: bool = False
    sent: bool = False

    def give_up(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(NotDelivered(why, self.sent))


class KeptSession(Struct, omit_defaults=True):
    """What the store keeps of a session; `ended`: wall time in microseconds when its last connection ended."""

    expiry: int
    subscriptions: dict[str, int] = {}
    received: list[int] = []
    ended: int | None = None


class ClientSession(Struct, eq=False):
    """`expiry` in seconds: how long it lives without a connection. `connection` is the one that it has, if any."""

    device: str
    client_id: str
    expiry: int = 0
    subscriptions: dict[str, int] = field(default_factory=dict)
    received: set[int] = field(default_factory=set)
    waiting: list[OutgoingMessage] = field(default_factory=list)
    flight: dict[int, OutgoingMessage] = field(default_factory=dict)
    connection: Any = None
    timer: asyncio.TimerHandle | None = None
    will: WillMessage | None = None  # that waits for its delay
    will_timer: asyncio.TimerHandle | None = None
    last_id: int = 0
    ticket: int = 0  # the commit that holds what is kept of it
    is_kept: bool = False  # the store has something of it, also from an earlier run

    @property
    def key(self) -> str:
        return f"{KEY}{self.device}/{self.client_id}"

    def next_id(self) -> int:
        while True:
            self.last_id = self.last_id % LAST_ID + 1
            if self.last_id not in self.flight:
                return self.last_id

    @property
    def commands(self) -> int:
        """Messages that wait, or are not yet acknowledged."""
        return len(self.waiting) + len(self.flight)

    def give_up(self, why: str) -> None:
        """Nothing of it reaches the device any more."""
        for message in [*self.flight.values(), *self.waiting]:
            message.give_up(why)
        self.flight.clear()
        self.waiting.clear()

    def renew(self) -> None:
        """A connection took it up: what was sent and not acknowledged comes before what waits [4.4.0-1]."""
        self.waiting[:0] = self.flight.values()
        self.flight.clear()
        self.waiting = [message for message in self.waiting if not message.done.done()]

    def kept(self, ended: int | None) -> bytes:
        return msgspec.json.encode(KeptSession(self.expiry, self.subscriptions, sorted(self.received), ended))


class ClientSessions:
    """All sessions of the listener. `on_end` hears of each that has ended for good."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.on_end: Callable[[ClientSession], None] = lambda session: None
        self._note = store.writer.note
        self._kept = store.key_value
        self._clock = clock
        self.overruns = ClientOverruns()
        self._sessions: dict[tuple[str, str], ClientSession] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    async def load(self) -> None:
        """What an earlier run kept; its connections ended with it."""
        now = self._clock.now().wall
        for name, value in (await self._kept.with_prefix(KEY)).items():
            device, _, client_id = name.partition("/")
            try:
                kept = msgspec.convert(value, KeptSession)
            except msgspec.ValidationError:
                self._note(KEY + name, None)
                continue
            session = ClientSession(device, client_id, kept.expiry, dict(kept.subscriptions), set(kept.received))
            session.is_kept = True
            gone = 0.0 if kept.ended is None else max(0.0, (now - kept.ended) / US)
            if gone >= kept.expiry:
                self._note(session.key, None)
                continue
            self._sessions[device, client_id] = session
            self._expire(session, kept.expiry - gone)

    def of(self, device: str) -> list[ClientSession]:
        return [session for session in self._sessions.values() if session.device == device]

    def take(self, device: str, client_id: str, clean: bool, expiry: int) -> tuple[ClientSession, bool]:
        """The session for a new connection, and whether it was there. The connection that it had is ended before."""
        found = self._sessions.get((device, client_id))
        if found is not None and clean:
            self.end(found, "another connection began a new session")
            found = None
        present = found is not None
        session = found or ClientSession(device, client_id)
        for timer in (session.timer, session.will_timer):
            if timer is not None:
                timer.cancel()
        session.timer = session.will_timer = session.will = None
        session.expiry = expiry
        self._sessions[device, client_id] = session
        if expiry or present:
            self.keep(session)
        return session, present

    def leave(self, session: ClientSession) -> None:
        """Its connection has ended."""
        session.connection = None
        if not session.expiry:
            self.end(session, "the device is away")
            return
        self.keep(session, self._clock.now().wall)
        self._expire(session, session.expiry)
        away = [each for each in self.of(session.device) if each.connection is None]
        for each in away[: max(0, len(away) - MOST_OF_DEVICE)]:
            self.end(each, "newer sessions of the device took its place")

    def end(self, session: ClientSession, why: str) -> None:
        """For good."""
        if self._sessions.get((session.device, session.client_id)) is session:
            del self._sessions[session.device, session.client_id]
        for timer in (session.timer, session.will_timer):
            if timer is not None:
                timer.cancel()
        session.give_up(why)
        if session.is_kept:  # or it would come back at the next start
            self._note(session.key, None)
        self.on_end(session)

    def keep(self, session: ClientSession, ended: int | None = None) -> int:
        """Have the store keep it as it is now, with what else is committed next; the ticket of that commit. Nothing is
        kept of a session that ends with its connection."""
        if session.expiry:
            session.ticket, session.is_kept = self._note(session.key, session.kept(ended)), True
        return session.ticket

    def _expire(self, session: ClientSession, seconds: float) -> None:
        session.timer = asyncio.get_running_loop().call_later(seconds, self.end, session, "its session has expired")
