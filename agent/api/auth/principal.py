"""Roles and principals: who makes a request, and what they may do."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

from gatepost.agent.api.asgi import Scope
from gatepost.agent.api.auth.topic_permissions import allows, covers

Role = Literal["viewer", "operator", "admin"]
TokenRole = Literal["viewer", "operator", "admin", "device"]
Needed = Literal["open", "viewer", "operator", "admin"]
RANK = {"open": 0, "viewer": 1, "operator": 2, "admin": 3}
EVERY_TOPIC = ("#", "$SYS/#")


class Principal(NamedTuple):
    """`publish` and `subscribe`: MQTT topic filters of what may be published and subscribed to. `until`: when what it
    was recognised by ends by itself, in microseconds since 1970; None = not known here."""

    name: str
    role: Role
    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    until: int | None = None

    def may(self, needed: Needed) -> bool:
        return RANK[self.role] >= RANK[needed]

    def may_publish(self, topic: str) -> bool:
        return allows(self.publish, topic)

    def may_subscribe(self, topic_filter: str) -> bool:
        """To everything that the filter matches."""
        return covers(self.subscribe, topic_filter)


NOBODY = Principal("", "viewer")  # asks what is open to everybody
LOCAL = Principal("local", "admin", EVERY_TOPIC, EVERY_TOPIC)


class AccessGuard(Protocol):
    """Guard before every route and WebSocket of a listener."""

    async def admit(self, scope: Scope, needed: Needed) -> Principal | None:
        """Who asks; None where the route is open to everybody. Raises Unauthenticated, Forbidden, TooMany, Locked."""
        ...


class LocalGuard:
    """Guard of the Unix socket: whoever may open it is trusted."""

    async def admit(self, scope: Scope, needed: Needed) -> Principal | None:
        return LOCAL
