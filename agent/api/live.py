"""Tells live views of readings as soon as they are stored; costs nothing while nobody looks."""

from __future__ import annotations

from agent.api.payload import payload
from agent.api.wants import App
from agent.store.rows import EVENT

TAKEN = "device.data.received"
PAGE = 500


class Live:
    """`stored` belongs into the store's `on_stored`; each new reading becomes an event in the payload form."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._next = app.store.head + 1

    def stored(self) -> None:
        store, events = self._app.store, self._app.events
        if events.watched:
            while self._next <= store.head:
                records = store.recent(self._next, PAGE)
                if not records:  # what memory does not hold any more is history
                    break
                for record in records:
                    if not record.bits & EVENT:
                        events.emit(TAKEN, payload(store, self._app.settings.gateway.id, record))
                self._next = records[-1].seq + 1
        self._next = store.head + 1
