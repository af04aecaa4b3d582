"""Tells live views of readings as soon as they are stored; costs nothing while nobody looks."""

from __future__ import annotations

import asyncio

from agent.api.payload import payload
from agent.api.wants import App
from agent.store.rows import EVENT

TAKEN = "device.data.received"
PAGE = 100  # told at once; whoever waits for the loop comes before the next ones
GATEWAY = {  # what the gateway says of itself, and as which event it is told
    "gap": "gap",
    "dead-letter": "dead-letter",
    "settings-applied": "settings",
    "settings-refused": "settings",
}


class Live:
    """`stored` belongs into the store's `on_stored`; each new reading becomes an event in the payload form."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._next = app.store.head + 1
        self._more = False

    def stored(self) -> None:
        if not self._more:
            self._tell()

    def _tell(self) -> None:
        self._more = False
        store, events = self._app.store, self._app.events
        records = store.recent(self._next, PAGE) if events.watched and self._next <= store.head else None
        if not records:  # what memory does not hold any more is history
            self._next = store.head + 1
            return
        self._next = records[-1].seq + 1
        if self._next <= store.head:
            self._more = True
            asyncio.get_running_loop().call_soon(self._tell)
        for record in records:
            told = payload(store, self._app.settings.gateway.id, record)
            kind = GATEWAY.get(told.get("event", "")) if record.bits & EVENT else TAKEN
            if kind is not None:
                events.emit(kind, told)
