"""Broadcaster of the agent's events to all WebSocket clients: each event is encoded once, each filter applied once.

While nobody listens it costs nothing; then one task tells events, and one timer pings all clients together.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from gatepost.agent.api.agent_interface import AgentInterface
from gatepost.agent.api.auth.principal import Principal, Role
from gatepost.agent.api.websocket.connection import WebSocketConnection, WebSocketTimeouts
from gatepost.agent.api.websocket.event_filter import EventFilter, EventSelection
from gatepost.agent.api.websocket.handshake import data_frame, event_frame
from gatepost.agent.core.clock import rfc3339
from gatepost.agent.core.errors import TooMany, Unavailable
from gatepost.agent.core.events import Event, EventQueue
from gatepost.agent.store.model import EVENT
from gatepost.agent.store.reading_payload import payload

TAKEN = "device.data.received"
BROADCASTER = "broadcaster"  # in the state of a request's scope
PAGE = 100  # told at once; whoever waits for the loop comes before the next ones
GATEWAY = {  # what the gateway says of itself, and as which event it is told
    "gap": "gap",
    "dead-letter": "dead-letter",
    "settings-applied": "settings",
    "settings-refused": "settings",
}


class LiveReadings:
    """`stored` belongs into the store's `on_stored`; each new reading becomes an event in the payload form."""

    def __init__(self, app: AgentInterface) -> None:
        self._app = app
        self._next = app.store.head + 1
        self._more = False

    def stored(self) -> None:
        if not self._more:
            self._tell()

    def _tell(self) -> None:
        self._more = False
        store, events = self._app.store, self._app.events
        records = store.recent.since(self._next, PAGE) if events.watched and self._next <= store.head else None
        if not records:  # what is no longer in memory is history
            if records is None and events.watched:
                events.lose(max(0, store.head + 1 - self._next))
            self._next = store.head + 1
            return
        self._next = records[-1].seq + 1
        if self._next <= store.head:
            self._more = True
            asyncio.get_running_loop().call_soon(self._tell)
        for record in records:
            event = payload(store, self._app.settings.gateway.id, record)
            kind = GATEWAY.get(event.get("event", "")) if record.bits & EVENT else TAKEN
            if kind is not None:
                events.emit(kind, event)


log = logging.getLogger(__name__)

MOST = 100  # clients,
OF_ONE = 60  # of one name and address
WAITING = 4 << 20  # octets that wait for all clients together
QUEUE = 1000  # events that wait to be told
BATCH = 100  # events told in one go,
CHUNK = 48 * 1024  # or octets
PACE = 0.05  # seconds between two goes: single events are gathered a little

_GroupKey = tuple[EventSelection, Role, tuple[str, ...], bool]
_Group = tuple[EventFilter, dict[WebSocketConnection, None]]


class Broadcaster:
    """`waiting`: octets in the clients' queues; `lost`: events that did not reach one; `cut_off`: clients ended."""

    def __init__(self, app: AgentInterface) -> None:
        self.patience = WebSocketTimeouts()
        self.waiting = self.lost = self.cut_off = 0
        self._app = app
        self._groups: dict[_GroupKey, _Group] = {}
        self._clients: dict[WebSocketConnection, None] = {}
        self._number = self._missed = 0
        self._heard: EventQueue | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def clients(self) -> int:
        return len(self._clients)

    def check_room(self, principal: Principal, address: str) -> None:
        """Raises Unavailable, TooMany when there is no room for one more."""
        if len(self._clients) >= MOST:
            raise Unavailable(f"there are {MOST} WebSocket clients already", "try again later")
        mine = (principal.name, address)
        if sum((client.principal.name, client.address) == mine for client in self._clients) >= OF_ONE:
            raise TooMany(f"{OF_ONE} WebSockets are open for you already", "close some", self.patience.ping)

    def room_for(self, octets: int) -> bool:
        return self.waiting + octets <= WAITING

    # --- who listens

    def join(self, client: WebSocketConnection) -> None:
        self._clients[client] = None
        self._sort_in(client)
        if not client.bare:
            client.say(
                "hello",
                {
                    "gateway_id": self._app.settings.gateway.id,
                    "name": client.principal.name,
                    "role": client.principal.role,
                    "filter": client.selection.as_dict(),
                    "ping": self.patience.ping,
                },
            )
        if self._task is None:
            self._task = asyncio.create_task(self._run())
            self._timer = asyncio.get_running_loop().call_later(self.patience.ping, self._beat)

    def leave(self, client: WebSocketConnection) -> None:
        if client not in self._clients:
            return
        del self._clients[client]
        self._sort_out(client)
        if not self._clients and self._task is not None:
            self._task.cancel()
            self._task = self._heard = None
            if self._timer is not None:
                self._timer.cancel()

    def choose(self, client: WebSocketConnection, selection: EventSelection) -> None:
        """What happened before is still told by the old one."""
        while self._heard is not None and not self._heard.empty():
            self._go(self._heard)
        self._sort_out(client)
        client.selection = selection
        self._sort_in(client)

    def _sort_in(self, client: WebSocketConnection) -> None:
        key = _group_of(client)
        if key not in self._groups:
            self._groups[key] = EventFilter(client.selection, client.principal), {}
        self._groups[key][1][client] = None

    def _sort_out(self, client: WebSocketConnection) -> None:
        key = _group_of(client)
        del self._groups[key][1][client]
        if not self._groups[key][1]:
            del self._groups[key]

    def check_validity(self) -> None:
        """A token was revoked, a session ended: who came with it is ended at once."""
        for client in tuple(self._clients):
            client.check_validity()

    def _beat(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self.patience.ping, self._beat)
        for client in tuple(self._clients):
            try:
                client.beat()
            except Exception:
                log.exception("a WebSocket client is ended")
                client.transport.abort()

    # --- what they are told

    def frame(self, kind: str, data: Any) -> bytes:
        """Of what is for one client only; the number is that of the last event."""
        return event_frame(kind, data, self._now(), self._number)

    async def _run(self) -> None:
        with self._app.events.listen(QUEUE) as heard:
            self._heard, self._missed = heard, 0
            while True:
                self._go(heard, await heard.get())
                await asyncio.sleep(0 if heard.qsize() >= BATCH else PACE)

    def _go(self, heard: EventQueue, *events: Event) -> None:
        batch = list(events)
        while len(batch) < BATCH and not heard.empty():
            batch.append(heard.get_nowait())
        missed, self._missed = heard.lost - self._missed, heard.lost
        try:
            self._tell(batch, missed)
        except Exception:  # others listen on
            log.exception("events could not be sent")

    def _tell(self, events: list[Event], missed: int) -> None:
        if missed:
            for client in self._clients:
                client.miss(missed)
        at = self._now()
        written: list[tuple[Event, bytes]] = []
        size = 0
        for event in events:
            self._number += 1
            if not any(sieve.passes(event) for sieve, _ in self._groups.values()):
                continue
            written.append((event, event_frame(event.kind, event.data, at, self._number)))
            size += len(written[-1][1])
            if size >= CHUNK:
                self._spread(written)
                written, size = [], 0
        if written:
            self._spread(written)

    def _spread(self, written: list[tuple[Event, bytes]]) -> None:
        for (_, _, _, bare), (sieve, clients) in tuple(self._groups.items()):
            frames = [
                data_frame(event.data) if bare else event_bytes for event, event_bytes in written if sieve.passes(event)
            ]
            if frames:
                joined = b"".join(frames)
                for client in tuple(clients):
                    client.feed(joined, len(frames))

    def _now(self) -> str:
        return rfc3339(self._app.clock.now().wall)


def _group_of(client: WebSocketConnection) -> _GroupKey:
    return client.selection, client.principal.role, client.principal.subscribe, client.bare
