"""Event filter of a client: patterns with `*` for kinds, devices and metrics."""

from __future__ import annotations

import re
from fnmatch import translate
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from gatepost.agent.api.auth.principal import Needed, Principal
from gatepost.agent.api.auth.topic_permissions import allows
from gatepost.agent.core.errors import BadInput
from gatepost.agent.core.events import Event

LOG = "log"  # told only to those who name it
KINDS = (
    *("device.data.received", "device.connected", "device.disconnected", "device.message.refused"),
    *("broker.status", "message", "command", "gap", "dead-letter", "settings", "settings.trial", "scan", LOG),
)
NEEDED: dict[str, Needed] = {LOG: "operator", "scan": "admin"}  # the role that a kind of event is for
REMEMBERED = 500  # names whose answer is kept

Patterns = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=128)], ...], Meta(max_length=64)]


class EventSelection(Struct, frozen=True, forbid_unknown_fields=True):
    """Selection of events: null lets everything through, an empty list nothing. Devices and metrics do not apply to
    events without one."""

    events: Patterns | None = None
    devices: Patterns | None = None
    metrics: Patterns | None = None

    def check(self) -> None:
        """Raises BadInput for a kind of event that there is not."""
        for pattern in self.events or ():
            if not any(_fits(kind, pattern) for kind in KINDS):
                raise BadInput(f"events: there is no event {pattern!r}", f"there are {', '.join(KINDS)}")

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("events", "devices", "metrics")}


class ClientMessage(Struct, frozen=True, forbid_unknown_fields=True):
    """A message of a client."""

    subscribe: EventSelection | UnsetType = UNSET
    ping: Any = UNSET


class ListenQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """The first filter; lists are separated by commas, `*` stands for anything."""

    events: Annotated[str, Meta(max_length=1024, description="kinds of events, separated by commas")] | None = None
    devices: Annotated[str, Meta(max_length=4096, description="devices, separated by commas")] | None = None
    metrics: Annotated[str, Meta(max_length=4096, description="metric types, separated by commas")] | None = None

    def selection(self) -> EventSelection:
        """Raises BadInput."""
        selection = EventSelection(_listed(self.events), _listed(self.devices), _listed(self.metrics))
        selection.check()
        return selection


class EventFilter:
    """A selection with what its clients may see: kinds of events by role, messages by topic."""

    def __init__(self, selection: EventSelection, principal: Principal) -> None:
        self._kinds = {
            kind
            for kind in KINDS
            if _any(selection.events, kind)
            and principal.may(NEEDED.get(kind, "viewer"))
            and (kind != LOG or LOG in (selection.events or ()))
        }
        self._selection = selection
        self._topics = principal.subscribe
        self._known: dict[tuple[bool, str], bool] = {}

    def passes(self, event: Event) -> bool:
        if event.kind not in self._kinds:
            return False
        if event.kind == "message" and not allows(self._topics, str(event.data.get("topic", ""))):
            return False
        device, metric = event.data.get("device_id"), event.data.get("metric_type")
        return (not device or self._matches(False, device)) and (not metric or self._matches(True, metric))

    def _matches(self, is_metric: bool, name: str) -> bool:
        found = self._known.get((is_metric, name))
        if found is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            found = _any(self._selection.metrics if is_metric else self._selection.devices, name)
            self._known[is_metric, name] = found
        return found


def _any(patterns: tuple[str, ...] | None, name: str) -> bool:
    return patterns is None or any(_fits(name, pattern) for pattern in patterns)


def _fits(name: str, pattern: str) -> bool:
    """As fnmatchcase, which would keep 32,768 patterns of clients in memory."""
    return re.match(translate(pattern), name) is not None


def _listed(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    found = tuple(part for each in text.split(",") if (part := each.strip()))
    if len(found) > 64:
        raise BadInput("query: more than 64 patterns", "use `*` in them")
    return found
